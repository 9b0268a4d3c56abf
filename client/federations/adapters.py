# SPDX-License-Identifier: Apache-2.0
"""States from and to PyTorch and files. PyTorch and safetensors are imported where they are used,
and only there.

    state = from_torch(module.state_dict())                    # floating tensors, as float32
    module.load_state_dict(to_torch(state, module.state_dict()))

Tensors of whole numbers or truth values (batch normalisation's `num_batches_tracked`, say) are no
part of a state: they are not sent, and `to_torch` leaves them as they are at home. Floating buffers
(`running_mean`, `running_var`) are part of it, and are aggregated as weights are.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from placet.client.errors import FileRefused, SettingMissing, StateRefused
from placet.client.federations.vectors import State
from placet.governance.documents import Layout, Tensor
from placet.governance.documents.federation import Encoding

SEGMENT_BYTES = 65536
_FLOATING = ("F16", "BF16", "F32", "F64")  # as safetensors names them


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


def save_state(path: Path, state: State) -> None:
    """Write a state into a .safetensors or .npz file. Raises `FileRefused` or `SettingMissing`."""
    try:
        if path.suffix == ".npz":
            np.savez(path, **cast("dict[str, Any]", state))
        else:
            path.write_bytes(to_safetensors(state))
    except OSError as error:
        raise FileRefused(f"Cannot write {path}: {error.strerror}. Name another.") from None


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
    """The floating tensors of a `state_dict` by name, as float32 copies on the CPU."""
    return {
        name: tensor.detach().cpu().float().numpy().copy()
        for name, tensor in state_dict.items()
        if tensor.is_floating_point()
    }


def to_torch(state: State, like: Mapping[str, Any]) -> dict[str, Any]:
    """A `state_dict` with the arrays of a state, each of the type and on the device that the tensor
    in `like` has.

    Tensors of `like` that do not float are passed on as they are. Raises `StateRefused` where names
    or shapes differ.
    """
    torch: Any = importlib.import_module("torch")
    floating = {name: tensor for name, tensor in like.items() if tensor.is_floating_point()}
    shapes = {name: tuple(tensor.shape) for name, tensor in floating.items()}
    if shapes != {name: array.shape for name, array in state.items()}:
        raise StateRefused(
            "The state must have the names and shapes of the module's floating tensors, and has "
            "others. Check that the module is the one the federation was made for.",
            claim="state",
        )
    made: dict[str, Any] = dict(like)
    for name, tensor in floating.items():
        array: Any = torch.from_numpy(state[name].copy())
        made[name] = array.to(dtype=tensor.dtype, device=tensor.device)
    return made


def _floating(arrays: Mapping[str, Any]) -> State:
    return {
        name: array.astype(np.float32)
        for name, array in arrays.items()
        if np.issubdtype(array.dtype, np.floating)
    }


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
