# SPDX-License-Identifier: Apache-2.0
"""A model that a worker would refuse is refused at home, with its place and a remedy."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from placet.client import Client, Keys
from placet.client.cli import app
from placet.client.drafts.templates import template
from tests.support import nets

Run = Callable[..., Any]
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
X: Any = {"x": (FLOAT, ["n", 3])}
Y: Any = {"y": (FLOAT, ["n", 3])}
node = helper.make_node


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Check a model with an output `y`; it is not sealed yet, and there is no council."""
    monkeypatch.chdir(tmp_path)

    def checked(model: onnx.ModelProto, *more: str, code: int = 1, text: bool = False) -> Any:
        (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
        usual = "largest_question = 1048576"
        given = template("serve").replace(usual, f"# {usual}")
        first, last = given.split("[answers]")
        (tmp_path / "serve.toml").write_text(
            "\n".join((*more, first, "[answers]", last.replace("probabilities", "y")))
        )
        line = ["check", "model", "net.onnx", "--terms", "serve.toml"]
        result = CliRunner().invoke(app, ["--home", "none", *line, *([] if text else ["--json"])])
        assert result.exit_code == code, result.output
        return result.output if text else json.loads(result.stdout)

    return checked


def _relu(**ports: Any) -> onnx.ModelProto:
    made: onnx.ModelProto = nets.build(
        [node("Relu", ["x"], ["y"])], **{"inputs": X, "outputs": Y, **ports}
    )
    return made


def test_it_says_what_users_will_be_told(check: Run) -> None:
    found = check(_relu(), code=0)
    assert (found["served"], found["rows"], found["refusal"]) == (True, "independent", None)
    assert found["inputs"] == [{"name": "x", "dtype": "float32", "shape": [0, 3]}]
    assert found["answers"] == [{"name": "y", "dtype": "int64", "shape": [0]}]
    assert found["question"]["rows"] == 1 and found["batch"]["rows"] == 64
    assert found["question"]["sealed"] == 272
    assert found["largest"] == {"bytes": 1 << 20, "rows": 600}  # as many as in a minute
    told = check(_relu(), code=0, text=True)
    assert "Each row is answered by itself." in told and "would serve net.onnx" in told


def _list_of_maps() -> onnx.ModelProto:
    made = nets.build([node("SequenceConstruct", ["x"], ["y"])], X, Y)
    kind = helper.make_tensor_sequence_value_info("y", FLOAT, None)
    made.graph.output[0].CopyFrom(kind)
    return made


def _text() -> onnx.ModelProto:
    ports: Any = {"x": (TensorProto.STRING, ["n", 3])}
    return nets.build([node("Shape", ["x"], ["y"])], ports, {"y": (INT64, [2])})


def _half() -> onnx.ModelProto:
    cast = node("Cast", ["x"], ["y"], to=TensorProto.BFLOAT16)
    return nets.build([cast], X, {"y": (TensorProto.BFLOAT16, ["n", 3])})


def _of_the_runtime() -> onnx.ModelProto:
    return nets.build([node("Gelu", ["x"], ["y"], domain="com.microsoft", name="block/7")], X, Y)


def _elsewhere() -> onnx.ModelProto:
    model = nets.build([node("Add", ["x", "w"], ["y"])], X, Y)
    weight = numpy_helper.from_array(np.zeros(3, "f4"), "w")
    weight.data_location = TensorProto.EXTERNAL
    weight.ClearField("raw_data")
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    model.graph.initializer.append(weight)
    return model


def _other_output() -> onnx.ModelProto:
    return nets.build([node("Relu", ["x"], ["z"])], X, {"z": (FLOAT, ["n", 3])})


def _image() -> onnx.ModelProto:
    shape: Any = ["n", 3, 320, 320]
    nodes = [node("ReduceMean", ["x"], ["y"], axes=[2, 3], keepdims=0)]
    return nets.build(nodes, {"x": (FLOAT, shape)}, Y)


@pytest.mark.parametrize(
    ("build", "claim", "note", "remedy"),
    [
        (_list_of_maps, "outputs.y", "", "zipmap"),
        (_text, "inputs.x", "", "into numbers"),
        (_half, "outputs.y", "", "Cast"),
        (
            _of_the_runtime,
            "operators",
            "'Gelu' of the domain 'com.microsoft', as in the node 'block/7'",
            "QDQ",
        ),
        (_elsewhere, "external data", "The tensor 'w'", "one file"),
        (_other_output, "answers.y", "Its outputs are 'z'.", ""),
        (_image, "largest_question", "", "largest_question = 1228822"),
    ],
    ids=lambda value: value.__name__[1:] if callable(value) else "",
)
def test_what_a_worker_would_refuse_is_refused_at_home(
    check: Run, build: Callable[[], onnx.ModelProto], claim: str, note: str, remedy: str
) -> None:
    found = check(build())
    refusal = found["refusal"]
    assert not found["served"] and refusal["details"]["claim"] == claim
    assert note in " ".join(refusal["notes"])
    assert remedy in refusal["remedy"]


def test_an_image_is_asked_about_where_the_terms_allow_it(check: Run) -> None:
    found = check(_image(), "largest_question = 1228822", code=0)
    assert found["question"]["question"] == 1228822
    assert found["largest"]["rows"] == 1


def _picked() -> onnx.ModelProto:
    """`at` says which of five rows of a table: nothing that is made up is such a number."""
    table = numpy_helper.from_array(np.eye(5, 3, dtype="f4"), "t")
    ten = numpy_helper.from_array(np.array([10], "i8"), "ten")
    nodes = [
        node("Sub", ["at", "ten"], ["d"]),
        node("Gather", ["t", "d"], ["y"]),
    ]
    model = nets.build(nodes, {"at": (INT64, ["n"])}, Y)
    model.graph.initializer.extend([table, ten])
    return model


def test_a_sample_is_tried_where_nothing_made_up_would_do(check: Run) -> None:
    refused = check(_picked())["refusal"]
    assert refused["details"]["claim"] == "model" and "[samples]" in refused["remedy"]
    assert any("Gather" in note for note in refused["notes"])
    sample = "samples.at = { shape = [4], values = [10, 12, 14] }"
    assert check(_picked(), sample, code=0)["rows"] == "independent"
    alike = "samples.at = { shape = [4], values = [10] }"
    assert check(_picked(), alike, code=0)["rows"] == "dependent"
    for wrong, claim in (
        ("samples.no = { shape = [4], values = [10] }", "samples.no"),
        ("samples.at = { shape = [4, 1], values = [10] }", "samples.at"),
        ("samples.at = { shape = [4], values = [0.5] }", "samples.at"),
    ):
        assert check(_picked(), wrong)["refusal"]["details"]["claim"] == claim


def test_nothing_is_proposed_that_no_worker_would_serve(
    run: Run, founded: Client, people: dict[str, Keys], tmp_path: Path
) -> None:
    (tmp_path / "net.onnx").write_bytes(_other_output().SerializeToString())
    for id, keys in people.items():
        keys.save(tmp_path / f"{id}.key")
    run("seal", "net.onnx", "--owner", "owner.pub.json", "--kind", "model")
    text = template("serve").replace('"model.object.json"', '"net.onnx.object.json"')
    text = text.replace('owner = "hospital-a"', 'owner = "owner"').replace(
        "uses = 100", "uses = 10"
    )
    (tmp_path / "serve.toml").write_text(text)
    line = ("propose", "serve.toml", "--key", "owner.key")
    told = run(*line, code=1, text=True)
    assert "Nothing was proposed." in told and "Its outputs are 'z'." in told
    assert not founded.council.proposals()
    (tmp_path / "net.onnx").rename(tmp_path / "elsewhere.onnx")
    assert "The model was not tried" in run(*line, text=True)
    assert "Nothing was proposed." in run(*line, "--model", "elsewhere.onnx", code=1, text=True)
    assert "tried" not in run(*line, "--model", "elsewhere.onnx", "--untried", text=True)
