# SPDX-License-Identifier: Apache-2.0
"""The model of examples/breast_cancer as an ONNX file, and what it says in the clear.

patients        float32, (rows, 30)      measurements as they are: the scaling is in the file
label           int64, (rows,)           1 benign, 0 malignant
probabilities   float32, (rows, 2)       malignant, benign
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

INPUT, LABEL, PROBABILITIES = "patients", "label", "probabilities"
Array = NDArray[Any]

_OPSET, _IR = 17, 10
# Its types are known in part only.
_onnx: Any = onnx
_make: Any = onnx.helper


def export(model: Mapping[str, Array]) -> bytes:
    """An ONNX file of a released model (mean, scale: (30,); weights: (31,), the last one the
    intercept)."""
    weights = np.zeros((len(model["mean"]), 2))
    weights[:, 1] = model["weights"][:-1]
    constants = {
        "mean": model["mean"],
        "scale": model["scale"],
        # A score of nought for malignant: a softmax over both is then the logistic function.
        "weights": weights,
        "intercepts": np.array([0, model["weights"][-1]]),
    }
    nodes = [
        _make.make_node("Sub", [INPUT, "mean"], ["centred"]),
        _make.make_node("Div", ["centred", "scale"], ["scaled"]),
        _make.make_node("Gemm", ["scaled", "weights", "intercepts"], ["scores"]),
        _make.make_node("ArgMax", ["scores"], [LABEL], axis=-1, keepdims=0),
        _make.make_node("Softmax", ["scores"], [PROBABILITIES], axis=-1),
    ]
    graph = _make.make_graph(
        nodes,
        "breast-cancer",
        [_value(INPUT, onnx.TensorProto.FLOAT, len(weights))],
        [_value(LABEL, onnx.TensorProto.INT64), _value(PROBABILITIES, onnx.TensorProto.FLOAT, 2)],
        [_onnx.numpy_helper.from_array(v.astype(np.float32), n) for n, v in constants.items()],
    )
    file = _make.make_model(graph, opset_imports=[_make.make_opsetid("", _OPSET)], ir_version=_IR)
    _onnx.checker.check_model(file)
    return bytes(file.SerializeToString())


def probabilities(model: Mapping[str, Array], patients: Array) -> Array:
    """What the released model says itself, without ONNX: (rows, 2), malignant and benign;
    float64."""
    scaled = (patients - model["mean"]) / model["scale"]
    score = scaled @ model["weights"][:-1] + model["weights"][-1]
    benign = 1 / (1 + np.exp(-score))
    return np.stack([1 - benign, benign], axis=1)


def _value(name: str, dtype: int, *shape: int) -> Any:
    return _make.make_tensor_value_info(name, dtype, ["rows", *shape])
