# SPDX-License-Identifier: Apache-2.0
"""Fuzz the tensors of questions: pip install atheris; python tests/fuzz/fuzz_tensors.py
-max_total_time=60"""

import importlib
import sys

atheris = importlib.import_module("atheris")
with atheris.instrument_imports():
    from placet.proto.tensors import pack, unpack
    from placet.refusals import QuestionInvalid


def one(data: bytes) -> None:
    """They are refused, or pack to the same bytes again; nothing else is raised."""
    try:
        tensors = unpack(data)
    except QuestionInvalid:
        return
    assert pack(tensors) == data


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
