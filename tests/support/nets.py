# SPDX-License-Identifier: Apache-2.0
"""Small models, and questions to them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from placet.enclave.worker.inference.model import Model, load_model
from placet.governance.documents.serving import Raw, Roster, Shown
from placet.governance.documents.work.parts import Input
from placet.governance.documents.work.serve import Serve
from placet.proto.tensors import Tensor, pack
from tests.support import documents

Array = NDArray[Any]
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
FEATURES, CLASSES, WORDS = 16, 4, 10

RANDOM = np.random.default_rng(5)
WEIGHTS = {
    "w1": RANDOM.standard_normal((FEATURES, 32)).astype(np.float32),
    "w2": RANDOM.standard_normal((32, CLASSES)).astype(np.float32),
    "table": RANDOM.standard_normal((WORDS, FEATURES)).astype(np.float32),
}


def build(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[int, Sequence[int | str]]],
    outputs: Mapping[str, tuple[int, Sequence[int | str] | None]],
    weights: Sequence[str] = (),
    **more: Any,
) -> onnx.ModelProto:
    """A model of these nodes; ports by name: element type and shape."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, *port) for name, port in inputs.items()],
        [helper.make_tensor_value_info(name, *port) for name, port in outputs.items()],
        [numpy_helper.from_array(WEIGHTS[name], name) for name in weights],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, **more)


def linear() -> bytes:
    """x of shape (rows, 4) times whole numbers, which are exact in whatever order they are
    added."""
    whole = numpy_helper.from_array(np.arange(12, dtype=np.float32).reshape(4, 3), "whole")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "whole"], ["probabilities"])],
        "linear",
        [helper.make_tensor_value_info("x", FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("probabilities", FLOAT, ["n", 3])],
        [whole],
    )
    opsets = [helper.make_opsetid("", 17)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return model.SerializeToString()


def two_ports() -> bytes:
    """ids of shape (rows, words) and scale of shape (rows): their product's sum, and the top
    one."""
    node, double, half = helper.make_node, TensorProto.DOUBLE, TensorProto.FLOAT16
    axes = numpy_helper.from_array(np.array([1], np.int64), "axes")
    graph = helper.make_graph(
        [
            node("ReduceSum", ["ids", "axes"], ["total"], keepdims=0),
            node("Cast", ["total"], ["wide"], to=double),
            node("Cast", ["scale"], ["factor"], to=double),
            node("Mul", ["wide", "factor"], ["sum"]),
            node("ArgMax", ["ids"], ["top"], axis=1, keepdims=0),
        ],
        "two ports",
        [
            helper.make_tensor_value_info("ids", INT64, ["n", "words"]),
            helper.make_tensor_value_info("scale", half, ["n"]),
        ],
        [
            helper.make_tensor_value_info("sum", double, ["n"]),
            helper.make_tensor_value_info("top", INT64, ["n"]),
        ],
        [axes],
    )
    opsets = [helper.make_opsetid("", 17)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return model.SerializeToString()


def mlp() -> onnx.ModelProto:
    """A perceptron: x of shape (rows, FEATURES) to probabilities and the label of each row."""
    node = helper.make_node
    return build(
        [
            node("MatMul", ["x", "w1"], ["h"]),
            node("Relu", ["h"], ["r"]),
            node("MatMul", ["r", "w2"], ["z"]),
            node("Softmax", ["z"], ["p"], axis=-1),
            node("ArgMax", ["z"], ["label"], axis=-1, keepdims=0),
        ],
        {"x": (FLOAT, ["n", FEATURES])},
        {"p": (FLOAT, ["n", CLASSES]), "label": (INT64, ["n"])},
        ["w1", "w2"],
    )


def words() -> onnx.ModelProto:
    """The mean of the embeddings of `ids`, shape (rows, words); an id that is no word makes the
    runtime fail."""
    node = helper.make_node
    return build(
        [
            node("Gather", ["table", "ids"], ["e"]),
            node("ReduceMean", ["e"], ["mean"], axes=[1], keepdims=0),
        ],
        {"ids": (INT64, ["n", "length"])},
        {"mean": (FLOAT, ["n", FEATURES])},
        ["table"],
    )


def forward(x: Array) -> Array:
    """What `mlp` computes, in float64."""
    z = np.maximum(x.astype(np.float64) @ WEIGHTS["w1"], 0.0) @ WEIGHTS["w2"]
    powers = np.exp(z - z.max(-1, keepdims=True))
    probabilities: Array = powers / powers.sum(-1, keepdims=True)
    return probabilities


def load(model: onnx.ModelProto, answers: Mapping[str, Shown] | None = None) -> Model:
    """The model, every output of it shown raw unless said otherwise."""
    shown = answers or {port.name: Raw("raw") for port in model.graph.output}
    return load_model(bytearray(model.SerializeToString()), shown)


def packed(**arrays: Array) -> bytearray:
    """Arrays as the content of a question."""
    return pack(
        [
            Tensor(name, array.dtype.name, array.shape, memoryview(array.tobytes()))
            for name, array in arrays.items()
        ]
    )


def unpacked(tensors: Sequence[Tensor]) -> dict[str, Array]:
    """Copies of what tensors hold."""
    return {
        tensor.name: np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape).copy()
        for tensor in tensors
    }


def terms(**changed: Any) -> Serve:
    """Those of a service; the batcher reads what is said of questions and batches."""
    model = documents.descriptor("net", labels=(), length=100, kind="model")
    fields: dict[str, Any] = {
        "users": Roster("roster", ("ada",)),
        "answers": {"p": Raw("raw")},
        "largest_request": 100,
    }
    return documents.serve(Input(model, "owner"), **{**fields, **changed})
