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
from typing import TYPE_CHECKING, Any, Protocol, cast

from placet.enclave import _kernel
from placet.refusals import OutputMissing, OutputTooLarge, OutputUndeclared

if TYPE_CHECKING:
    from _typeshed import SupportsRead
    from numpy.typing import NDArray

Scalar = str | int | bool


class PlainFile(Protocol):
    """The plaintext of an input as a seekable binary file."""

    def readinto(self, buffer: memoryview, /) -> int | None: ...

    def read(self, size: int = -1, /) -> bytes | None: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def tell(self) -> int: ...

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
        source = self.open()
        try:
            _fill(source, memoryview(content))
        finally:
            source.close()
        return content

    def array(self) -> "NDArray[Any]":
        """The array of a .npy file, decrypted straight into place; pickled objects are refused."""
        # Not at the top of the file: a worker joins sooner without numpy, and loads it while it
        # waits for a lease.
        import numpy as np
        from numpy.lib import format as npy

        source = self.open()
        header = cast("SupportsRead[bytes]", source)
        try:
            version = npy.read_magic(header)
            if version not in ((1, 0), (2, 0)):
                raise ValueError("only versions 1.0 and 2.0 of the .npy format are read")
            read_header = (
                npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            )
            shape, fortran, dtype = read_header(header)
            size = dtype.itemsize
            for dimension in shape:
                size *= dimension
            if dtype.hasobject or size != self.length - source.tell():
                raise ValueError("the .npy file holds pickled objects or has another length")
            flat = np.empty(size, np.uint8)
            _fill(source, flat.data)
        finally:
            source.close()
        array = flat.view(dtype) if size else np.empty(0, dtype)
        return array.reshape(shape, order="F" if fortran else "C")


class Output(io.RawIOBase):
    """A declared output as a binary file to write. Raises `OutputTooLarge` beyond its declared
    size."""

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
            raise OutputTooLarge(
                f"The output {self._name} is declared with at most {self._max_bytes} bytes."
            )
        self.content += view
        return len(view)


class Job:
    """A program gets this, and nothing else."""

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
        self._begun: list[Output] = []
        self._report = report

    def output(self, name: str) -> Output:
        """The declared output of this name, empty; asking again starts it anew. Raises
        `OutputUndeclared`."""
        if name not in self._declared:
            raise OutputUndeclared(f"Only these outputs are declared: {', '.join(self._declared)}.")
        self._outputs[name] = Output(name, self._declared[name])
        self._begun.append(self._outputs[name])
        return self._outputs[name]

    def progress(self, fraction: float) -> None:
        """How far the program is, from 0 to 1. Shown as a whole percentage that only rises, once a
        second at most."""
        self._report(float(fraction))

    def written(self) -> dict[str, bytearray]:
        """Every declared output as it was written. Raises `OutputMissing`."""
        if self._declared.keys() != self._outputs.keys():
            raise OutputMissing(
                f"Each of these outputs has to be written: {', '.join(self._declared)}."
            )
        return {name: self._outputs[name].content for name in self._declared}

    def wipe(self) -> None:
        """Overwrite all that was written, whether it became an output or not."""
        for output in self._begun:
            _kernel.wipe(output.content)


def _fill(source: PlainFile, view: memoryview) -> None:
    done = 0
    while done < len(view):
        size = source.readinto(view[done:])
        if not size:
            raise EOFError("the input ends before its length")
        done += size
