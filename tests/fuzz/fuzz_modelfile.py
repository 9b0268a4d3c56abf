# SPDX-License-Identifier: Apache-2.0
"""Fuzz what reads ONNX files before the runtime: pip install atheris; python
tests/fuzz/fuzz_modelfile.py [FOLDER with models]"""

import importlib
import sys

atheris = importlib.import_module("atheris")
with atheris.instrument_imports():
    from placet.enclave.worker.inference.modelfile import check_model_file
    from placet.refusals import ModelInvalid


def one(data: bytes) -> None:
    """It is refused or it is not; nothing else is raised."""
    try:
        check_model_file(data)
    except ModelInvalid:
        return


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
