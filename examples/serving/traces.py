# SPDX-License-Identifier: Apache-2.0
"""Looking for secrets in what a host keeps, in the forms in which they might lie about."""

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path


def forms(secret: bytes) -> Iterator[bytes]:
    """Raw, in hexadecimal, and in base64 at each of the three alignments."""
    yield secret
    yield secret.hex().encode()
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + secret)
        # Characters that other bytes share with the secret are left out.
        yield text[4 if shift else 0 : len(text) - 4]


def found(folder: Path, secrets: Mapping[str, bytes]) -> list[str]:
    """Which secrets lie anywhere below the folder, and where."""
    wanted = [(name, form) for name, secret in secrets.items() for form in forms(secret)]
    hits: list[str] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            hits += [f"{name} in {path.name}" for name, form in wanted if form in content]
    return hits
