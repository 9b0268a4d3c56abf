# SPDX-License-Identifier: Apache-2.0
"""A model in the runtime."""

from collections.abc import Mapping

from placet.governance.documents.serving import Field, Shown


class Model:
    """A model that has run: `load_model` makes it."""

    inputs: tuple[Field, ...]
    answers: tuple[Field, ...]


def load_model(data: bytearray, answers: Mapping[str, Shown]) -> Model:
    """Load an ONNX file, and run it on probes. `data` is wiped, also where it is refused.

    Raises ModelInvalid, ModelTooLarge.
    """
    raise NotImplementedError
