# SPDX-License-Identifier: Apache-2.0
"""States from and to PyTorch and files. PyTorch and safetensors are imported where they are used,
and only there.

    state = from_torch(module.state_dict())                    # floating tensors, as float32
    module.load_state_dict(to_torch(state, module.state_dict()))

Tensors of whole numbers or truth values (batch normalisation's `num_batches_tracked`, say) are no
part of a state: they are not sent, and `to_torch` leaves them as they are at home. Floating buffers
(`running_mean`, `running_var`) are part of it, and are aggregated as weights are unless the terms
have another rule for them (`terms.buffers`). Anything else
(complex or quantised tensors, floats of 8 bits, a module's `_extra_state`) is refused: a federation
that left it out would train another model than its clients have.
"""

import importlib
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from placet.client.errors import FileRefused, SettingMissing, StateRefused
from placet.client.federations.vectors import State, Vector
from placet.client.files import write_file
from placet.client.npz import npz_bytes
from placet.governance.documents import Layout, Tensor
from placet.governance.documents.federation import Encoding

SEGMENT_BYTES = 65536
# As safetensors names them.
_FLOATING = ("F16", "BF16", "F32", "F64")
# As PyTorch and Keras name what normalisation layers have seen.
_STATISTICS = ("running_mean", "running_var", "moving_mean", "moving_var", "moving_variance")
_WHOLE = ("BOOL", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64")


def layout_of(
    state: Mapping[str, Any], encoding: Encoding = "float32", segment_bytes: int = SEGMENT_BYTES
) -> Layout:
    """The layout of a state, its arrays in the order of their names."""
    shapes = {name: tuple(int(n) for n in array.shape) for name, array in state.items()}
    return _layout(shapes, encoding, segment_bytes)


def layout_of_file(
    path: Path, encoding: Encoding = "float32", segment_bytes: int = SEGMENT_BYTES
) -> Layout:
    """The layout of the floating arrays in a .safetensors or .npz file. Raises `FileRefused` or
    `SettingMissing`."""
    if path.suffix == ".npz":
        return layout_of(load_state(path), encoding, segment_bytes)
    shapes: dict[str, tuple[int, ...]] = {}
    try:
        with _safetensors().safe_open(path, framework="np") as file:
            for name in list(file.keys()):
                part = file.get_slice(name)
                if part.get_dtype() in _FLOATING:
                    shapes[name] = tuple(part.get_shape())
                elif part.get_dtype() not in _WHOLE:
                    raise _no_part(name, part.get_dtype())
    except (OSError, _safetensors().SafetensorError) as error:
        raise _unreadable(path, error) from None
    return _layout(shapes, encoding, segment_bytes)


def load_state(path: Path) -> State:
    """The floating arrays of a .safetensors or .npz file as float32. Raises `FileRefused` or
    `SettingMissing`."""
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as file:
                return _floating({name: file[name] for name in file.files})
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from None
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None
    return from_safetensors(data)


def save_state(path: Path, state: State, *, keep: bool = False) -> None:
    """Write a state into a .safetensors or .npz file. keep: another file that is there stays.
    Raises `FileRefused` or `SettingMissing`."""
    data = npz_bytes(state) if path.suffix == ".npz" else to_safetensors(state)
    write_file(path, data, keep=keep)


def from_safetensors(data: bytes) -> State:
    """The floating arrays of a file's bytes, as float32. Raises `FileRefused` or
    `SettingMissing`."""
    library = _safetensors()
    try:
        return _floating(cast("dict[str, Any]", library.numpy.load(data)))
    except (library.SafetensorError, KeyError, TypeError, AttributeError):
        raise FileRefused(
            "This is not a safetensors file that NumPy can read (it has no bfloat16). Convert it "
            "to float32.",
            claim="safetensors",
        ) from None


def to_safetensors(state: State) -> bytes:
    """A state as a file's bytes. Raises `SettingMissing` without safetensors."""
    arrays = {name: np.asarray(array, order="C") for name, array in state.items()}
    return bytes(_safetensors().numpy.save(arrays))


def from_torch(state_dict: Mapping[str, Any]) -> State:
    """The floating tensors of a `state_dict` by name, as float32 copies on the CPU. Raises
    `StateRefused` for an entry that is none and holds no whole numbers."""
    return {
        name: tensor.detach().cpu().float().numpy().copy()
        for name, tensor in _floating_tensors(state_dict).items()
    }


def to_torch(state: State, like: Mapping[str, Any], home: Collection[str] = ()) -> dict[str, Any]:
    """A `state_dict` with the arrays of a state, each of the type and on the device that the tensor
    in `like` has.

    Tensors of `like` that do not float are passed on as they are, and so are those that the terms
    leave at home (`terms.ruled("home")`). Raises `StateRefused` where names or shapes differ, and
    for a variance below zero.
    """
    torch: Any = importlib.import_module("torch")
    floating = {n: t for n, t in _floating_tensors(like).items() if n not in home}
    shapes = {name: tuple(tensor.shape) for name, tensor in floating.items()}
    if shapes != {name: array.shape for name, array in state.items()}:
        raise StateRefused(
            "The state must have the names and shapes of the module's floating tensors, and has "
            "others. Check that the module is the one the federation was made for.",
            claim="state",
        )
    for name, own in state.items():
        _check_variance(name, own)
    made: dict[str, Any] = dict(like)
    for name, tensor in floating.items():
        array: Any = torch.from_numpy(state[name].copy())
        made[name] = array.to(dtype=tensor.dtype, device=tensor.device)
    return made


def is_statistic(name: str) -> bool:
    """Whether an array is what a normalisation layer has seen, and no weight, by its name."""
    return re.split(r"[./]", name)[-1] in _STATISTICS


def _check_variance(name: str, array: Vector) -> None:
    if is_statistic(name) and "var" in name and (array < 0).any():
        raise StateRefused(
            f"The array {name!r} is a variance with numbers below zero, as noise makes them. The "
            "terms need a rule for it: [buffers] with keep, home or mean-without-noise.",
            claim=name,
            expected="no number below zero",
        )


def _floating_tensors(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    torch: Any = importlib.import_module("torch")
    floating: dict[str, Any] = {}
    for name, tensor in state_dict.items():
        if not isinstance(tensor, torch.Tensor):
            raise _no_part(name, type(tensor).__name__)
        narrow = tensor.is_floating_point() and tensor.element_size() < 2
        if tensor.is_quantized or tensor.is_complex() or narrow:
            raise _no_part(name, str(tensor.dtype))
        if tensor.is_floating_point():
            floating[name] = tensor
    return floating


def _floating(arrays: Mapping[str, Any]) -> State:
    state: State = {}
    for name, array in arrays.items():
        if array.dtype.kind == "f":
            state[name] = array.astype(np.float32)
        elif array.dtype.kind not in "iub":
            raise _no_part(name, str(array.dtype))
    return state


def _no_part(name: str, found: str) -> StateRefused:
    return StateRefused(
        f"A federation takes floating arrays, leaves whole numbers at home, and {name!r} is "
        f"{found}. Convert it (complex numbers as two arrays, quantised weights as float32), or "
        "train without it.",
        claim=name,
        actual=found,
    )


def _layout(
    shapes: Mapping[str, tuple[int, ...]], encoding: Encoding, segment_bytes: int
) -> Layout:
    tensors = tuple(Tensor(name, shape) for name, shape in sorted(shapes.items()))
    return Layout(tensors, encoding, segment_bytes)


def _safetensors() -> Any:
    try:
        importlib.import_module("safetensors.numpy")
        return importlib.import_module("safetensors")
    except ImportError:
        raise SettingMissing(
            "safetensors is not installed. Install it (pip install safetensors), or use .npz files."
        ) from None


def _unreadable(path: Path, error: Exception) -> FileRefused:
    why = getattr(error, "strerror", None) or "it is no such file"
    return FileRefused(
        f"Cannot read {path}: {why}. Name a .safetensors or .npz file.", claim=str(path)
    )
