# SPDX-License-Identifier: Apache-2.0
"""The one object that a program sees: inputs, parameters, declared outputs, progress, scratch.

def main(job):
    table = job.inputs["patients"].array()
    for step in range(job.parameters["steps"]):
        ...
        job.progress(step / job.parameters["steps"])
    with job.output("model") as sink:
        sink.write(...)
"""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from placet.enclave.errors import MissingOutput, OversizedOutput, UndeclaredOutput

Scalar = str | int | bool


class PlainFile(Protocol):
    """The plaintext of an input as a seekable binary file."""

    def readinto(self, buffer: memoryview, /) -> int | None: ...

    def read(self, size: int = -1, /) -> bytes | None: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def close(self) -> None: ...


class Input:
    """A sealed object, opened for this job alone."""

    def __init__(
        self, opener: Callable[[], PlainFile], length: int, labels: tuple[str, ...]
    ) -> None:
        self._opener = opener
        self.length = length  # bytes of plaintext
        self.labels = labels

    def open(self) -> PlainFile:
        """A seekable binary file; every byte that it gives has been authenticated."""
        return self._opener()

    def read(self) -> bytearray:
        """The whole plaintext."""
        content = bytearray(self.length)
        view, done = memoryview(content), 0
        source = self.open()
        try:
            while done < self.length:
                done += source.readinto(view[done:]) or 0
        finally:
            source.close()
        return content

    def array(self) -> NDArray[Any]:
        """The array of a .npy file; pickled objects are refused."""
        return cast("NDArray[Any]", np.load(io.BytesIO(self.read()), allow_pickle=False))


class Output(io.RawIOBase):
    """A declared output as a binary file to write. Raises `OversizedOutput` beyond its declared size."""

    def __init__(self, name: str, max_bytes: int) -> None:
        super().__init__()
        self._name = name
        self._max_bytes = max_bytes
        self.content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        if len(self.content) + len(view) > self._max_bytes:
            raise OversizedOutput(
                f"The output {self._name} is declared with at most {self._max_bytes} bytes, and the program wrote more.",
                claim=f"outputs.{self._name}",
                expected=f"at most {self._max_bytes} bytes",
            )
        self.content += view
        return len(view)


class Job:
    """What a program gets, and all that it gets."""

    def __init__(
        self,
        inputs: Mapping[str, Input],
        parameters: Mapping[str, Scalar],
        outputs: Mapping[str, int],
        report: Callable[[float], None],
        scratch: Path,
    ) -> None:
        self.inputs = dict(inputs)
        self.parameters = dict(parameters)
        self.scratch = scratch
        self._declared = dict(outputs)
        self._outputs: dict[str, Output] = {}
        self._report = report

    def output(self, name: str) -> Output:
        """The declared output of this name, empty; asking again starts it anew. Raises `UndeclaredOutput`."""
        if name not in self._declared:
            raise UndeclaredOutput(
                "The program asked for an output that the proposal does not declare.",
                claim="outputs",
                expected=", ".join(sorted(self._declared)),
            )
        self._outputs[name] = Output(name, self._declared[name])
        return self._outputs[name]

    def progress(self, fraction: float) -> None:
        """How far the program is, from 0 to 1. Shown as a whole percentage that only rises, once a second at most."""
        self._report(float(fraction))

    def written(self) -> dict[str, bytearray]:
        """Every declared output as it was written. Raises `MissingOutput`."""
        missing = sorted(set(self._declared) - set(self._outputs))
        if missing:
            raise MissingOutput(
                f"The program did not write {', '.join(missing)}.",
                claim="outputs",
                expected=", ".join(sorted(self._declared)),
            )
        return {name: output.content for name, output in self._outputs.items()}
