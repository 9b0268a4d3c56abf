# SPDX-License-Identifier: Apache-2.0
"""Fuzz the CBOR decoder: pip install atheris; python tests/fuzz/fuzz_cbor.py -max_total_time=60"""

import importlib
import sys

atheris = importlib.import_module("atheris")
with atheris.instrument_imports():
    from placet.ratls import cbor
    from placet.refusals import EvidenceMalformed

LIMIT = 4096


def one(data: bytes) -> None:
    """It is refused, or encodes to the same bytes again; nothing else is raised."""
    try:
        item = cbor.decode(data, LIMIT)
    except EvidenceMalformed:
        return
    assert cbor.encode(item) == data


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
