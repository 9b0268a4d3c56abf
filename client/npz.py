# SPDX-License-Identifier: Apache-2.0
"""Arrays by name as the bytes of an .npz file.

`numpy.savez` takes names as keyword arguments, so an array named `file` would be its file.
"""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The file as `numpy.load` reads it, not compressed."""
    binary = io.BytesIO()
    with zipfile.ZipFile(binary, "w") as archive:
        for name, array in arrays.items():
            # Without a date, so that the same arrays are the same bytes.
            member = zipfile.ZipInfo(f"{name}.npy")
            with archive.open(member, "w", force_zip64=True) as part:
                np.lib.format.write_array(part, np.asanyarray(array), allow_pickle=False)
    return binary.getvalue()
