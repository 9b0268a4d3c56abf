# SPDX-License-Identifier: Apache-2.0
"""Writes triage.onnx, the model of docs/tutorial-inference.md: four numbers a patient in, three
probabilities out."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

WEIGHTS = np.array([[-2, 0.5, 1.5], [-3, 1, 2], [1, 0.5, -1.5], [-1, 0.5, 0.5]], dtype=np.float32)
BIAS = np.array([2, 0, -2], dtype=np.float32)


def main() -> None:
    """One linear layer and a softmax."""
    nodes = [
        helper.make_node("Gemm", ["patients", "weights", "bias"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["urgency"], axis=1),
    ]
    shapes = {"patients": 4, "urgency": 3}
    given, answered = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width])
        for name, width in shapes.items()
    )
    constants = [
        numpy_helper.from_array(WEIGHTS, "weights"),
        numpy_helper.from_array(BIAS, "bias"),
    ]
    graph = helper.make_graph(nodes, "triage", [given], [answered], constants)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    Path("triage.onnx").write_bytes(model.SerializeToString())


if __name__ == "__main__":
    main()
