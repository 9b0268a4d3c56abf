# SPDX-License-Identifier: Apache-2.0
"""Fuzz the reading of RA-TLS certificates and of what is in them, which a signature hides from a
fuzzer.

pip install atheris; python tests/fuzz/fuzz_ratls.py -max_total_time=60 [FOLDER with DER
certificates]
"""

import importlib
import sys

atheris = importlib.import_module("atheris")
with atheris.instrument_imports():
    from placet.ratls import Payload, read_certificate
    from placet.ratls.payload import read_legacy, read_payload
    from placet.refusals import Refusal

NOW = 1_680_000_000
KEY = b"key"


def one(data: bytes) -> None:
    """Each reader gives a payload with 64 bytes of report data, or refuses."""
    for read in (_whole, read_payload, read_legacy):
        try:
            assert len(read(data, KEY).report_data) == 64
        except Refusal:
            continue


def _whole(data: bytes, _: bytes) -> Payload:
    return read_certificate(data, now=NOW)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
