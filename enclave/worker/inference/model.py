# SPDX-License-Identifier: Apache-2.0
"""A model in the runtime.

What the runtime holds cannot be wiped from here: the weights, for as long as the worker lives; the results of a model's inner
operators; and the copy of the file that it takes as `bytes`, which is freed as soon as it is loaded.
"""

import os
import resource
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

import numpy.typing as npt
import onnxruntime as ort

from placet.enclave import _kernel
from placet.enclave.worker.inference.errors import ModelTooLarge
from placet.enclave.worker.inference.modelfile import check_model_file, invalid
from placet.enclave.worker.inference.policy import show, shown_field
from placet.enclave.worker.inference.probing import Probe, probe
from placet.governance.documents.serving import DType, Field, Shown
from placet.governance.errors import GovernanceError

Array = npt.NDArray[Any]

_FATAL: Final = 4  # the runtime's messages quote models and questions, so it gives none
_DTYPES: Final[dict[str, DType]] = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    **{f"tensor({name})": name for name in get_args(DType) if name not in ("float32", "float64")},
}
# The file, what is loaded of it, and that packed for the processor.
_TIMES_THE_FILE: Final = 3
_MAX_THREADS: Final = 32


class Model:
    """A model that has run: `load_model` makes it.

    inputs: what a question holds. answers: what users see. batchable: whether rows of several questions can be run together.
    """

    def __init__(self, session: ort.InferenceSession, answers: Mapping[str, Shown]) -> None:
        self._session = session
        self._answers = dict(answers)
        self._names = list(answers)
        self._options = ort.RunOptions()
        self._options.log_severity_level = _FATAL
        self.inputs = tuple(_field("inputs", arg) for arg in session.get_inputs())
        if not self.inputs:
            raise invalid("inputs", "at least one", "none")
        outputs = {arg.name: arg for arg in session.get_outputs()}
        for name in self._names:
            if name not in outputs:
                raise invalid("answers." + name, "an output of the model", "no such output")
        declared = [_field("outputs", outputs[name]) for name in self._names]
        found: Probe = probe(self._compute, self.inputs)
        self.batchable = found.batchable
        self.answers = tuple(
            shown_field(answers[field.name], _observed(field, shape))
            for field, shape in zip(declared, found.shapes, strict=True)
        )

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """The answers to one question, or to several joined along their rows; in the order of `answers`.

        Raises whatever the runtime raises, which may quote the feeds, and MemoryError.
        """
        answers: list[Array] = []
        for name, output in zip(self._names, self._compute(feeds), strict=True):
            shown = show(self._answers[name], output)
            if shown is not output:
                output.fill(0)
            answers.append(shown)
        return answers

    def _compute(self, feeds: Mapping[str, Array]) -> list[Array]:
        return self._session.run(self._names, feeds, self._options)


def load_model(data: bytearray | memoryview, answers: Mapping[str, Shown]) -> Model:
    """Load an ONNX file, and run it on probes. `data` is wiped, also where it is refused.

    Raises ModelInvalid, ModelTooLarge.
    """
    try:
        check_model_file(data)
        _check_memory(len(data))
        session = _session(data)
    finally:
        _kernel.wipe(data)
    try:
        return Model(session, answers)
    except MemoryError:
        raise _too_large(len(data)) from None


def _session(data: bytearray | memoryview) -> ort.InferenceSession:
    ort.set_default_logger_severity(_FATAL)
    try:
        # Without the fallback, which prints what it falls back from.
        session = ort.InferenceSession(
            bytes(data), _options(), providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except MemoryError:
        raise _too_large(len(data)) from None
    except Exception as error:  # noqa: BLE001 - the runtime's classes have no common base
        if "alloc" in str(error):
            raise _too_large(len(data)) from None
        raise invalid("file", "a model that the runtime loads", type(error).__name__) from None
    session._model_bytes = None  # it would keep the file
    return session


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = min(_MAX_THREADS, len(os.sched_getaffinity(0)))
    options.inter_op_num_threads = 1
    # Waiting threads would take the processors from what decrypts.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # The arena and the patterns keep memory for each shape that was ever seen.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    return options


def _field(claim: str, arg: ort.NodeArg) -> Field:
    dtype = _DTYPES.get(arg.type)
    if dtype is None:
        expected = "dense tensors of " + ", ".join(get_args(DType))
        raise invalid(f"{claim}.{arg.name}"[:200], expected, str(arg.type)[:200])
    try:
        return Field(arg.name, dtype, tuple(_dimensions(arg.shape)))
    except GovernanceError as error:
        raise invalid(claim, "names and shapes that an offer can hold", str(error)) from None


def _dimensions(shape: Iterable[int | str | None]) -> Iterable[int]:
    """As declared; 0 where it is free."""
    return (length if isinstance(length, int) and length > 0 else 0 for length in shape)


def _observed(field: Field, shape: tuple[int, ...]) -> Field:
    """An output as it is: a model need not declare how many dimensions it has."""
    if len(field.shape) == len(shape):
        return field
    return Field(field.name, field.dtype, (0,) * len(shape))


def _check_memory(length: int) -> None:
    if length * _TIMES_THE_FILE > _available():
        raise _too_large(length)


def _available() -> int:
    """Bytes that this process can still get, as far as the system says; under some systems it says nothing."""
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


def _too_large(length: int) -> ModelTooLarge:
    return ModelTooLarge(
        "The model does not fit the worker's memory. Serve a smaller one, or give workers more.",
        claim="model",
        expected=f"memory for {_TIMES_THE_FILE} times its file",
        actual=f"{length} bytes",
    )
