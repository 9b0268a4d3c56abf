# SPDX-License-Identifier: Apache-2.0
"""The public names, and what the client must not import."""

import subprocess
import sys

import placet.client


def test_all_is_what_there_is() -> None:
    assert sorted(placet.client.__all__) == placet.client.__all__
    for name in set(placet.client.__all__) - {"Progress"}:  # an alias of a foreign type
        assert getattr(placet.client, name).__module__.startswith("placet.client")


def test_neither_host_nor_enclave_is_imported() -> None:
    code = (
        "import sys, placet.client.cli\n"
        "print([m for m in sys.modules if m.startswith(('placet.host', 'placet.enclave'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"
