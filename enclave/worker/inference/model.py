# SPDX-License-Identifier: Apache-2.0
"""A model that answers under the terms of its service."""

from collections.abc import Mapping
from typing import Any, Final, get_args

import numpy.typing as npt

from placet.enclave import _kernel
from placet.enclave.worker.inference.modelfile import check_model_file, invalid
from placet.enclave.worker.inference.policy import show, shown_field
from placet.enclave.worker.inference.probing import probe
from placet.enclave.worker.inference.runtime import Port, Runtime, too_large
from placet.governance.documents.serving import DType, Field, RowsAre, Sample, Shown
from placet.proto.tensors import MAX_TENSORS
from placet.refusals import Refusal

Array = npt.NDArray[Any]

_ELEMENTS: Final[dict[str, DType]] = {
    **{f"tensor({name})": name for name in get_args(DType)},
    "tensor(float)": "float32",
    "tensor(double)": "float64",
}


class Model:
    """A model that has run: `load_model` makes it.

    inputs: what a question holds. answers: what users see. rows: how those of a question hang
    together. asked: the shapes of the smallest question that it has answered.
    """

    def __init__(
        self, runtime: Runtime, answers: Mapping[str, Shown], samples: Mapping[str, Sample]
    ) -> None:
        self._runtime = runtime
        self._answers = dict(answers)
        self._names = list(answers)
        self.inputs = tuple(_field("inputs", port) for port in runtime.inputs)
        if not 0 < len(self.inputs) <= MAX_TENSORS:
            raise invalid("inputs", f"1 to {MAX_TENSORS}", str(len(self.inputs)))
        outputs = {port.name: port for port in runtime.outputs}
        for name in self._names:
            if name not in outputs:
                refused = invalid("answers." + name, "an output of the model", "no such output")
                refused.add_note(f"Its outputs are {', '.join(map(repr, outputs))}.")
                raise refused
        declared = [_field("outputs", outputs[name]) for name in self._names]
        found = probe(self._compute, self.inputs, samples)
        self.rows: RowsAre = found.rows
        self.asked = found.asked
        self.answers = tuple(
            shown_field(answers[field.name], _observed(field, shape), shape)
            for field, shape in zip(declared, found.given, strict=True)
        )

    @property
    def batchable(self) -> bool:
        """Whether rows of several questions can be run together."""
        return self.rows == "independent"

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """The answers to one question, or to several joined along their rows; in the order of
        `answers`.

        Raises whatever the runtime raises, which may quote the feeds, and MemoryError.
        """
        answers: list[Array] = []
        for name, output in zip(self._names, self._compute(feeds), strict=True):
            shown = show(self._answers[name], output)
            if shown is not output:
                output.fill(0)
            answers.append(shown)
        return answers

    def stop(self) -> None:
        self._runtime.stop()

    def _compute(self, feeds: Mapping[str, Array]) -> list[Array]:
        return self._runtime.run(self._names, feeds)


def load_model(
    data: bytearray | memoryview,
    answers: Mapping[str, Shown],
    samples: Mapping[str, Sample] | None = None,
) -> Model:
    """Load an ONNX file, and run it on samples, and on numbers made up where there are none. `data`
    is wiped, also where it is refused.

    Raises ModelInvalid, ModelTooLarge.
    """
    try:
        check_model_file(data)
        runtime = Runtime(data)
    finally:
        _kernel.wipe(data)
    try:
        return Model(runtime, answers, samples or {})
    except MemoryError:
        raise too_large(len(data)) from None


def _field(claim: str, port: Port) -> Field:
    dtype = _ELEMENTS.get(port.kind)
    if dtype is None:
        expected = "dense tensors of " + ", ".join(get_args(DType))
        raise invalid(f"{claim}.{port.name}"[:200], expected, port.kind[:200])
    # As declared; 0 where it is free.
    shape = tuple(length if isinstance(length, int) and length > 0 else 0 for length in port.shape)
    try:
        return Field(port.name, dtype, shape)
    except Refusal as error:
        raise invalid(claim, "names and shapes that an offer can hold", str(error)) from None


def _observed(field: Field, shape: tuple[int, ...]) -> Field:
    """An output as it is: a model need not declare how many dimensions it has."""
    if len(field.shape) == len(shape):
        return field
    return Field(field.name, field.dtype, (0,) * len(shape))
