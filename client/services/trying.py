# SPDX-License-Identifier: Apache-2.0
"""A model is tried at home only where it can be."""

from importlib.util import find_spec
from pathlib import Path

from placet.client.errors import FileRefused, UsageRefused


def check_triable(file: Path) -> None:
    """Raises `FileRefused` where there is no such file, `UsageRefused` without onnxruntime."""
    if not file.is_file():
        raise FileRefused(f"Cannot read {file}: there is no such file. Check the path.")
    if find_spec("onnxruntime") is None:
        raise UsageRefused(
            "Models are tried with onnxruntime, which is not installed here. Run: pip install "
            "onnxruntime",
            claim="onnxruntime",
        )
