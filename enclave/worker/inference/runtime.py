# SPDX-License-Identifier: Apache-2.0
"""The runtime, onnxruntime: one model, on processors alone.

What it holds cannot be wiped from here: the weights, for as long as the worker lives; the results
of a model's inner operators; and the copy of the file that it takes as `bytes`, which is freed as
soon as it is loaded.
"""

import os
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy.typing as npt
import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

from placet.enclave.worker.inference.modelfile import invalid
from placet.refusals import ModelTooLarge

# It says nothing of its types.
_ort: Any = onnxruntime

Array = npt.NDArray[Any]

_FATAL: Final = 4  # its messages quote models and questions, so it gives none
# The file, what is loaded of it, and that packed for the processor.
_TIMES_THE_FILE: Final = 3
_MAX_THREADS: Final = 32


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output as the runtime declares it; kind: such as "tensor(float)"."""

    name: str
    kind: str
    shape: tuple[int | str | None, ...]


class Runtime:
    """A loaded model."""

    def __init__(self, data: bytearray | memoryview) -> None:
        """Load a file that was checked. Raises ModelInvalid, ModelTooLarge."""
        if len(data) * _TIMES_THE_FILE > _available():
            raise too_large(len(data))
        _ort.set_default_logger_severity(_FATAL)
        try:
            # Without the fallback, which prints what it falls back from, and without options that
            # the file brings along.
            self._session = _ort.InferenceSession(
                bytes(data),
                _session_options(),
                ["CPUExecutionProvider"],
                enable_fallback=0,
                read_config_from_model=0,
            )
        except MemoryError:
            raise too_large(len(data)) from None
        except Exception as error:  # noqa: BLE001 - the runtime's classes have no common base
            if _lacks_memory(error):
                raise too_large(len(data)) from None
            refused = invalid("file", "a model that the runtime loads", type(error).__name__)
            refused.add_note(str(error))
            raise refused from None
        self._session._model_bytes = None  # it would keep the file
        self._options = _run_options()
        self.inputs = tuple(map(_port, self._session.get_inputs()))
        self.outputs = tuple(map(_port, self._session.get_outputs()))

    def run(self, names: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """The outputs of these names. Raises whatever the runtime raises, which may quote the
        feeds, and MemoryError."""
        self._options = _run_options()
        try:
            return list(self._session.run(names, feeds, self._options))
        except Exception as error:
            if _lacks_memory(error):
                raise MemoryError from None
            raise

    def stop(self) -> None:
        """Let the run under way raise as soon as its next operator begins; from any thread."""
        self._options.terminate = True


def too_large(length: int) -> ModelTooLarge:
    """The refusal of a model whose file has so many bytes."""
    return ModelTooLarge(
        "The model does not fit the worker's memory. Serve a smaller one, or give workers more.",
        claim="model",
        expected=f"memory for {_TIMES_THE_FILE} times its file",
        actual=f"{length} bytes",
    )


def _lacks_memory(error: Exception) -> bool:
    """Whether it is memory that there was not enough of: the runtime has no class of its own for
    that."""
    return any(words in str(error) for words in ("bad_alloc", "bad allocation", "allocate memory"))


def _port(arg: Any) -> Port:
    return Port(arg.name, arg.type, tuple(arg.shape))


def _run_options() -> Any:
    options = _ort.RunOptions()
    options.log_severity_level = _FATAL
    return options


def _session_options() -> Any:
    options = _ort.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = min(_MAX_THREADS, len(os.sched_getaffinity(0)))
    options.inter_op_num_threads = 1
    # Threads that spin would take the processors from what decrypts.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # The arena and the patterns keep memory for each shape that was ever seen.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    return options


def _available() -> int:
    """Bytes that this process can still get, as far as the system says; where it says nothing,
    loading will show."""
    left = [2**63]
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            left += [
                int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable")
            ]
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            with open("/proc/self/statm", encoding="ascii") as statm:
                left.append(limit - int(statm.read().split()[0]) * resource.getpagesize())
    except (OSError, ValueError):
        pass
    return min(left)
