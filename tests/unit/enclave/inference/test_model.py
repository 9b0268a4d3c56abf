# SPDX-License-Identifier: Apache-2.0
"""Which models are served, how they are run, and which are refused before the runtime sees them."""

import importlib
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from placet.enclave.worker.inference.model import load_model
from placet.enclave.worker.inference.modelfile import check_model_file
from placet.enclave.worker.inference.rehearsal import rehearse
from placet.governance.documents.serving import (
    Field,
    Rations,
    Raw,
    Rounded,
    Sample,
    Shown,
    TopClass,
)
from placet.proto.refusals import refusal_of
from placet.refusals import ModelInvalid
from tests.support import nets

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
RAW: Mapping[str, Shown] = {"y": Raw("raw")}
X: Any = {"x": (FLOAT, ["n", 3])}
Y: Any = {"y": (FLOAT, ["n", 3])}
node = helper.make_node


def _made(*graph: Any, **more: Any) -> onnx.ModelProto:
    model: onnx.ModelProto = nets.build(*graph, **more)
    return model


def test_it_computes_what_the_file_says() -> None:
    """Same numbers as the same layers in float64, and the ports that it declares."""
    model = nets.load(nets.mlp())
    x = np.random.default_rng(1).standard_normal((5, nets.FEATURES)).astype(np.float32)
    probabilities, label = model.run({"x": x})
    np.testing.assert_allclose(probabilities, nets.forward(x), atol=1e-5)
    np.testing.assert_array_equal(label, nets.forward(x).argmax(-1))
    assert model.inputs == (Field("x", "float32", (0, nets.FEATURES)),)
    assert model.answers == (
        Field("p", "float32", (0, nets.CLASSES)),
        Field("label", "int64", (0,)),
    )
    assert model.batchable


def test_the_file_is_wiped() -> None:
    good, bad = bytearray(nets.mlp().SerializeToString()), bytearray(b"no model at all")
    load_model(good, {"p": Raw("raw")})
    with pytest.raises(ModelInvalid):
        load_model(bad, {"p": Raw("raw")})
    assert not any(good) and not any(bad)


def _mean_over_rows() -> onnx.ModelProto:
    nodes = [node("ReduceMean", ["x"], ["m"], axes=[0]), node("Sub", ["x", "m"], ["y"])]
    return _made(nodes, X, Y)


def _quantised_by_the_batch() -> onnx.ModelProto:
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    return _made(nodes, X, Y)


def _rows_in_order() -> onnx.ModelProto:
    return _made([node("ReduceSum", ["x"], ["y"], keepdims=0)], X, {"y": (FLOAT, [])})


@pytest.mark.parametrize("build", [_mean_over_rows, _quantised_by_the_batch, _rows_in_order])
def test_rows_that_depend_on_each_other_are_found(build: Callable[[], onnx.ModelProto]) -> None:
    """Such models are served, question by question."""
    model = nets.load(build())
    assert model.rows == "dependent"
    assert model.run({"x": np.ones((2, 3), np.float32)})


def test_a_fixed_number_of_rows_is_served_unbatched() -> None:
    model = nets.load(
        nets.build([node("Relu", ["x"], ["y"])], {"x": (FLOAT, [2, 3])}, {"y": (FLOAT, [2, 3])})
    )
    assert model.rows == "fixed" and model.inputs[0].shape == (2, 3)


def test_what_has_no_axis_of_rows_is_found() -> None:
    """A state beside the rows, a scalar, or an output of another length: nothing may be cut."""
    add = [node("Add", ["x", "s"], ["y"])]
    for state in ([], [3], [1, 3]):
        model = nets.load(nets.build(add, {**X, "s": (FLOAT, state)}, Y))
        assert model.rows == "dependent", state
        assert model.run({"x": np.ones((2, 3), "f4"), "s": np.ones(state, "f4")})
    fixed = {"x": (FLOAT, [2, 3])}
    total = [node("ReduceSum", ["x"], ["y"], keepdims=0)]
    assert nets.load(nets.build(total, fixed, {"y": (FLOAT, [])})).rows == "dependent"


def test_local_functions_of_standard_operators_are_served() -> None:
    function = helper.make_function(
        "ours",
        "Twice",
        ["a"],
        ["b"],
        [node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 17)],
    )
    model = _made([node("Twice", ["x"], ["y"], domain="ours")], X, Y, functions=[function])
    model.opset_import.append(helper.make_opsetid("ours", 1))
    (answer,) = nets.load(model).run({"x": np.ones((1, 3), np.float32)})
    np.testing.assert_array_equal(answer, np.full((1, 3), 2.0))


def _external(tensor: onnx.TensorProto) -> onnx.TensorProto:
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return tensor


def _weight(name: str) -> onnx.TensorProto:
    return helper.make_tensor(name, FLOAT, [3], [1.0, 2.0, 3.0])


def _branch(inner: onnx.NodeProto, *tensors: onnx.TensorProto) -> onnx.NodeProto:
    """A node that holds a subgraph of `inner`."""
    out = [helper.make_tensor_value_info("o", FLOAT, None)]
    graph = helper.make_graph([inner], "branch", [], out, list(tensors))
    return node("If", ["c"], ["y"], then_branch=graph, else_branch=graph)


def _external_initializer() -> onnx.ModelProto:
    model = _made([node("Add", ["x", "w"], ["y"])], X, Y)
    model.graph.initializer.append(_external(_weight("w")))
    return model


def _external_without_location() -> onnx.ModelProto:
    model = _external_initializer()
    model.graph.initializer[0].ClearField("data_location")
    return model


def _external_constant() -> onnx.ModelProto:
    constant = node("Constant", [], ["w"], value=_external(_weight("v")))
    return _made([constant, node("Add", ["x", "w"], ["y"])], X, Y)


def _external_in_subgraph() -> onnx.ModelProto:
    branch = _branch(node("Identity", ["w"], ["o"]), _external(_weight("w")))
    return _made([branch], X, Y)


def _external_in_function() -> onnx.ModelProto:
    constant = node("Constant", [], ["b"], value=_external(_weight("v")))
    function = helper.make_function(
        "ours", "F", ["a"], ["b"], [constant], [helper.make_opsetid("", 17)]
    )
    return _made([node("F", ["x"], ["y"], domain="ours")], X, Y, functions=[function])


def _external_sparse() -> onnx.ModelProto:
    model = _made([node("Add", ["x", "w"], ["y"])], X, Y)
    sparse = model.graph.sparse_initializer.add()
    sparse.values.CopyFrom(_external(_weight("w")))
    return model


def _custom_operator() -> onnx.ModelProto:
    return _made([node("Gelu", ["x"], ["y"], domain="com.microsoft")], X, Y)


def _function_named_as_a_custom_operator() -> onnx.ModelProto:
    """The runtime would take its own operator, whatever the function says."""
    inner, standard = node("Identity", ["a"], ["b"]), [helper.make_opsetid("", 17)]
    function = helper.make_function("com.microsoft", "Gelu", ["a"], ["b"], [inner], standard)
    model = _made([node("Gelu", ["x"], ["y"], domain="com.microsoft")], X, Y, functions=[function])
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


def _custom_in_subgraph() -> onnx.ModelProto:
    return _made([_branch(node("Own", ["x"], ["o"], domain="ours"))], X, Y)


def _custom_in_function() -> onnx.ModelProto:
    function = helper.make_function(
        "ours", "F", ["a"], ["b"], [node("Own", ["a"], ["b"], domain="theirs")], []
    )
    return _made([node("F", ["x"], ["y"], domain="ours")], X, Y, functions=[function])


def _no_such_operator() -> onnx.ModelProto:
    return _made([node("NoSuchOperator", ["x"], ["y"])], X, Y)


def _text_input() -> onnx.ModelProto:
    ports = {"x": (TensorProto.STRING, ["n"])}
    return _made([node("Identity", ["x"], ["y"])], ports, {"y": (TensorProto.STRING, ["n"])})


def _text_output() -> onnx.ModelProto:
    cast = node("Cast", ["x"], ["y"], to=TensorProto.STRING)
    return _made([cast], X, {"y": (TensorProto.STRING, ["n", 3])})


def _no_input() -> onnx.ModelProto:
    constant = node("Constant", [], ["y"], value=_weight("v"))
    return _made([constant], {}, {"y": (FLOAT, [3])})


def _too_many_inputs() -> onnx.ModelProto:
    ports = {f"x{n}": (FLOAT, ["n", 3]) for n in range(65)}
    return _made([node("Sum", list(ports), ["y"])], ports, Y)


def _large_inputs() -> onnx.ModelProto:
    """Each could be tried, but all of them together would take gigabytes."""
    ports = {f"x{n}": (FLOAT, ["n", 1 << 20]) for n in range(60)}
    return _made([node("Sum", list(ports), ["y"])], ports, {"y": (FLOAT, ["n", 1 << 20])})


def _other_output() -> onnx.ModelProto:
    return _made([node("Relu", ["x"], ["z"])], X, {"z": (FLOAT, ["n", 3])})


def _never_runs() -> onnx.ModelProto:
    shape = helper.make_tensor("s", INT64, [1], [7])
    nodes = [node("Constant", [], ["s"], value=shape), node("Reshape", ["x", "s"], ["y"])]
    return _made(nodes, X, {"y": (FLOAT, [7])})


REFUSED: dict[Callable[[], onnx.ModelProto], str] = {
    _external_initializer: "external data",
    _external_without_location: "external data",
    _external_constant: "external data",
    _external_in_subgraph: "external data",
    _external_in_function: "external data",
    _external_sparse: "external data",
    _custom_operator: "operators",
    _function_named_as_a_custom_operator: "operators",
    _custom_in_subgraph: "operators",
    _custom_in_function: "operators",
    _no_such_operator: "file",
    _text_input: "inputs.x",
    _text_output: "outputs.y",
    _no_input: "inputs",
    _too_many_inputs: "inputs",
    _large_inputs: "model",
    _other_output: "answers.y",
    _never_runs: "model",
}


@pytest.mark.parametrize("build", REFUSED, ids=lambda build: build.__name__[1:])
def test_models_that_are_not_served(
    build: Callable[[], onnx.ModelProto], capfd: pytest.CaptureFixture[str]
) -> None:
    """By a claim that says what is wrong, and without a word on the terminal."""
    with pytest.raises(ModelInvalid) as refused:
        load_model(bytearray(build().SerializeToString()), RAW)
    assert refused.value.details["claim"] == REFUSED[build]
    assert capfd.readouterr() == ("", "")


def _deep() -> bytes:
    graph = b""
    for _ in range(40):  # a graph in an attribute in a node in a graph, three levels each
        for tag in (0x0A, 0x2A, 0x32):
            size = len(graph)
            length = bytes([size & 0x7F | 0x80, size >> 7]) if size > 127 else bytes([size])
            graph = bytes([tag]) + length + graph
    size = len(graph)
    return b"\x3a" + bytes([size & 0x7F | 0x80, size >> 7]) + graph


FILES = {
    "empty": b"",
    "text": b"this is no model",
    "group": b"\x0b\x0c",
    "endless number": b"\x08" + b"\xff" * 11,
    "longer than the file": b"\x3a\x7f",
    "graph that is a number": b"\x38\x01",
    "no graph": b"\x08\x08",
    "runtime's own format": b"\x18\x00\x00\x00ORTM" + bytes(64),
    "too deep": _deep(),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_models(name: str) -> None:
    with pytest.raises(ModelInvalid) as refused:
        load_model(bytearray(FILES[name]), RAW)
    assert refused.value.details["claim"] == "file"


def test_a_file_that_was_cut_off_or_changed_is_refused_or_computes() -> None:
    """Whatever a single byte does, nothing else is raised by what reads the file first."""
    data = nets.mlp().SerializeToString()
    for place in range(0, len(data), 7):
        for changed in (data[:place], data[:place] + b"\xff" + data[place + 1 :]):
            try:
                check_model_file(changed)
            except ModelInvalid:
                continue


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("label", Rounded("rounded", 2)),
        ("label", TopClass("top-class")),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(output: str, shown: Shown) -> None:
    with pytest.raises(ModelInvalid) as refused:
        nets.load(nets.mlp(), {output: shown})
    assert refused.value.details["claim"] == f"answers.{output}"


_LARGE = """
import resource
import onnx
from onnx import helper, numpy_helper
import numpy as np
from placet.enclave.worker.inference.model import load_model
from placet.governance.documents.serving import Raw
from placet.refusals import ModelTooLarge

weights = numpy_helper.from_array(np.ones((4000, 4000), np.float32), "w")
port = helper.make_tensor_value_info
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "w"], ["y"])], "large",
    [port("x", 1, ["n", 4000])], [port("y", 1, ["n", 4000])], [weights],
)
data = bytearray(helper.make_model(graph, ir_version=8).SerializeToString())
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + 2 * len(data),) * 2)
try:
    load_model(data, {"y": Raw("raw")})
except ModelTooLarge as refused:
    print(refused.reason, any(data))
"""


def test_a_model_that_does_not_fit_is_refused() -> None:
    """In a process of its own, because only there the limit can be set."""
    ran = subprocess.run(
        [sys.executable, "-c", _LARGE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("MODEL_TOO_LARGE False\n", "")


def test_a_tag_that_the_runtime_would_cut_off_hides_nothing() -> None:
    """A graph with a tensor whose external data have the tag 13 << 3 | 2, and bit 32 besides."""
    tensor = b"\xea\x80\x80\x80\x10\x00"
    with pytest.raises(ModelInvalid) as refused:
        check_model_file(b"\x3a\x08\x2a\x06" + tensor)
    assert refused.value.details["actual"] == "a tag of more than 32 bits"


def test_the_runtime_has_no_operators_in_domains_that_are_not_known() -> None:
    """Or else a function of a model could have the name of one of them."""
    runtime: Any = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    domains: set[str] = {operator.domain for operator in runtime.get_all_operator_schema()}
    assert {"", "com.microsoft"} <= domains
    assert all(
        domain in ("", "ai.onnx.ml") or domain.startswith(("com.microsoft", "com.ms."))
        for domain in domains
    )


def _gathered() -> onnx.ModelProto:
    """Numbers below 10 are none of its ids."""
    weights = [helper.make_tensor("t", FLOAT, [2, 3], list(map(float, range(6))))]
    weights.append(helper.make_tensor("ten", INT64, [1], [10]))
    nodes = [node("Sub", ["ids", "ten"], ["d"]), node("Gather", ["t", "d"], ["y"])]
    model = _made(nodes, {"ids": (INT64, ["n"])}, Y)
    model.graph.initializer.extend(weights)
    return model


def _along_time() -> onnx.ModelProto:
    """Its first axis is time, of which it takes five steps at least."""
    nodes = [
        node("Unsqueeze", ["x", "axes"], ["u"]),
        node("Conv", ["u", "w"], ["c"], kernel_shape=[5, 1]),
        node("Squeeze", ["c", "axes"], ["y"]),
    ]
    model = _made(nodes, X, Y)
    model.graph.initializer.append(helper.make_tensor("axes", INT64, [2], [0, 1]))
    model.graph.initializer.append(helper.make_tensor("w", FLOAT, [1, 1, 5, 1], [1.0] * 5))
    return model


@pytest.mark.parametrize(
    ("build", "sample", "rows"),
    [
        (_gathered, {"ids": Sample((3,), ("10", "11"))}, "independent"),
        (_gathered, {"ids": Sample((3,), ("11",))}, "dependent"),
        (_gathered, {"ids": Sample((1,), ("11",))}, "dependent"),
        (_along_time, {"x": Sample((5, 3), ("-0.5", "1e-3"))}, "dependent"),
    ],
)
def test_a_sample_is_tried_in_place_of_numbers_that_are_made_up(
    build: Callable[[], onnx.ModelProto], sample: dict[str, Sample], rows: str
) -> None:
    """Rows that are alike, or one alone, show nothing of how rows hang together."""
    data = build().SerializeToString()
    if build is _gathered:
        with pytest.raises(ModelInvalid) as refused:
            load_model(bytearray(data), RAW)
        assert refused.value.details["claim"] == "model"
    assert load_model(bytearray(data), RAW, sample).rows == rows


@pytest.mark.parametrize(
    ("name", "sample"),
    [
        ("other", Sample((3,), ("10",))),
        ("ids", Sample((3, 1), ("10",))),
        ("ids", Sample((3,), ("0.5",))),
        ("ids", Sample((3,), ("1e19",))),
    ],
)
def test_a_sample_that_no_input_takes_is_refused(name: str, sample: Sample) -> None:
    with pytest.raises(ModelInvalid) as refused:
        load_model(bytearray(_gathered().SerializeToString()), RAW, {name: sample})
    assert refused.value.details["claim"] == f"samples.{name}"


@pytest.mark.parametrize(
    ("ports", "terms", "claim"),
    [
        ({"x": (FLOAT, ["n", 300])}, {"largest_question": 1024}, "largest_question"),
        ({"x": (FLOAT, [64, 3])}, {"largest_request": 63}, "largest_request"),
        ({"x": (FLOAT, [64, 3])}, {"rations": Rations(63, 63, 63, 63)}, "rations"),
    ],
)
def test_what_nobody_could_ask_is_not_served(ports: Any, terms: Any, claim: str) -> None:
    """Nothing that is asked of it later is any smaller."""
    nodes = [node("ReduceSum", ["x"], ["s"], keepdims=0), node("Add", ["x", "s"], ["y"])]
    model = nets.load(_made(nodes, ports, {"y": (FLOAT, None)}))
    assert rehearse(model, nets.terms()).rows in (1, 64)
    with pytest.raises(ModelInvalid) as refused:
        rehearse(model, nets.terms(**terms))
    assert refused.value.details["claim"] == claim


def test_an_answer_that_is_too_large_is_found() -> None:
    tile = node("Tile", ["x", "times"], ["y"])
    model = _made([tile], X, {"y": (FLOAT, ["n", 3000])})
    model.graph.initializer.append(helper.make_tensor("times", INT64, [2], [1, 1000]))
    with pytest.raises(ModelInvalid, match="cannot be served") as refused:
        rehearse(nets.load(model), nets.terms(largest_question=4096))
    assert refused.value.__notes__ == ["That is the size of an answer."]


def test_names_in_the_file_leave_no_worker() -> None:
    """They are in the notes of a refusal, for who checks at home."""
    with pytest.raises(ModelInvalid) as refused:
        load_model(bytearray(_custom_operator().SerializeToString()), RAW)
    assert "'Gelu'" in refused.value.__notes__[0]
    assert b"Gelu" not in refusal_of(refused.value).SerializeToString()
