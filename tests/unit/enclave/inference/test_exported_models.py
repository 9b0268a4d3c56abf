# SPDX-License-Identifier: Apache-2.0
"""Models that PyTorch exported, with questions and answers that it gave: the vectors that the onnx
package brings. What is served gives these answers."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from placet.enclave.worker.inference.model import load_model
from placet.governance.documents.serving import Raw
from placet.refusals import ModelInvalid

runtime: Any = importlib.import_module("onnxruntime")
NOT_THERE: Any = importlib.import_module(
    "onnxruntime.capi.onnxruntime_pybind11_state"
).NotImplemented
DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
CASES = sorted(path.parent for path in DATA.glob("pytorch-*/*/model.onnx"))


def tensor(path: Path) -> Any:
    return numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


def given(model: onnx.ModelProto) -> list[str]:
    """The inputs that are no weights: old files list both."""
    weights = {one.name for one in model.graph.initializer}
    return [port.name for port in model.graph.input if port.name not in weights]


def runs(data: bytes) -> bool:
    """Whether onnxruntime has all operators of a file, some of which are of opset 6."""
    try:
        runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    except NOT_THERE:
        return False
    return True


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_answers_are_those_of_the_exporter(case: Path) -> None:
    data = (case / "model.onnx").read_bytes()
    model = onnx.load_from_string(data)
    shown = {port.name: Raw("raw") for port in model.graph.output}
    if not runs(data):
        with pytest.raises(ModelInvalid):
            load_model(bytearray(data), shown)
        return
    loaded = load_model(bytearray(data), shown)
    for folder in case.glob("test_data_set_*"):
        inputs = {name: tensor(folder / f"input_{n}.pb") for n, name in enumerate(given(model))}
        answers = loaded.run(inputs)
        for n, answer in enumerate(answers):
            expected = tensor(folder / f"output_{n}.pb")
            np.testing.assert_allclose(answer, expected, rtol=1e-3, atol=1e-5)


def test_most_are_served() -> None:
    assert sum(runs((case / "model.onnx").read_bytes()) for case in CASES) > 80
