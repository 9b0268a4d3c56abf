# SPDX-License-Identifier: Apache-2.0
"""States as vectors: what fits comes back bit by bit, what does not fit is refused by name. And
files and PyTorch."""

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.client import FileRefused
from placet.client.errors import StateRefused
from placet.client.federations import (
    flatten,
    from_safetensors,
    from_torch,
    layout_of,
    layout_of_file,
    load_state,
    save_state,
    to_safetensors,
    to_torch,
    unflatten,
)
from placet.governance.documents import Layout, Tensor

LAYOUT = Layout((Tensor("w", (2, 3)), Tensor("b", (3,)), Tensor("t", ())), "float32", 65536)


def state(**changed: Any) -> dict[str, Any]:
    """A state of the layout, with some arrays replaced; None leaves one out."""
    arrays: dict[str, Any] = {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.full(3, 7, np.float32),
        "t": np.array(9, np.float32),
        **changed,
    }
    return {name: array for name, array in arrays.items() if array is not None}


@given(
    st.lists(st.lists(st.integers(1, 4), max_size=3).map(tuple), min_size=1, max_size=6),
    st.integers(0, 2**32),
)
def test_what_goes_in_comes_back(shapes: list[tuple[int, ...]], seed: int) -> None:
    random = np.random.default_rng(seed)
    layout = Layout(
        tuple(Tensor(f"t{n}", shape) for n, shape in enumerate(shapes)), "float32", 65536
    )
    arrays = {t.name: random.normal(size=t.shape).astype(np.float32) for t in layout.tensors}
    vector = flatten(dict(reversed(arrays.items())), layout)
    assert vector.shape == (layout.elements,) and vector.dtype == np.float32
    back = unflatten(vector, layout)
    assert list(back) == [t.name for t in layout.tensors]
    for name, array in arrays.items():
        assert back[name].shape == array.shape and np.array_equal(back[name], array)


def test_the_order_is_the_layouts_and_rows_come_first() -> None:
    assert flatten(state(), LAYOUT).tolist() == [0, 1, 2, 3, 4, 5, 7, 7, 7, 9]
    turned = np.asfortranarray(state()["w"])
    assert flatten(state(w=turned), LAYOUT).tolist()[:6] == [0, 1, 2, 3, 4, 5]


def test_neither_shares_memory_with_what_it_was_given() -> None:
    given_state = state()
    vector = flatten(given_state, LAYOUT)
    made = unflatten(vector, LAYOUT)
    vector[:] = -1
    made["w"][:] = -2
    assert given_state["w"][1, 2] == 5 and made["b"].tolist() == [7, 7, 7]


def test_the_difference_of_arrays_without_dimensions_is_one_too() -> None:
    assert flatten(state(t=np.array(9, np.float32) - np.float32(1)), LAYOUT)[-1] == 8


@pytest.mark.parametrize("name", ["model.npz", "model.safetensors"])
def test_arrays_that_no_federation_takes_are_refused_and_not_left_out(
    tmp_path: Path, name: str
) -> None:
    arrays: Any = {"w": np.ones(2, np.float32), "count": np.ones(1, np.int64)}
    save_state(tmp_path / name, arrays)
    assert set(load_state(tmp_path / name)) == {"w"}
    arrays["file"] = np.ones(2, np.complex64)
    save_state(tmp_path / name, arrays)
    for read in (load_state, layout_of_file):
        with pytest.raises(StateRefused) as refused:
            read(tmp_path / name)
        assert refused.value.details["claim"] == "file"


@pytest.mark.parametrize(
    ("changed", "named", "said"),
    [
        ({"b": None}, "state", "Missing: b"),
        ({"more": np.zeros(1, np.float32)}, "state", "not in the layout: more"),
        ({"b": np.zeros(1, np.float32)}, "b", "shape"),  # would be broadcast
        ({"b": np.zeros((1, 3), np.float32)}, "b", "shape"),
        ({"b": np.zeros((3, 1), np.float32)}, "b", "shape"),
        ({"w": np.zeros((3, 2), np.float32)}, "w", "shape"),
        ({"w": np.zeros(6, np.float32)}, "w", "shape"),
        ({"b": np.float32(1)}, "b", "float32"),  # a scalar, not an array
        ({"b": [1.0, 2.0, 3.0]}, "b", "list"),
        ({"b": np.zeros(3)}, "b", "float64"),
        ({"b": np.zeros(3, np.int64)}, "b", "int64"),
        ({"b": np.zeros(3, np.float16)}, "b", "float16"),
        ({"b": np.zeros(3, np.complex64)}, "b", "complex64"),
        ({"b": np.array([1, np.nan, 2], np.float32)}, "b", "finite"),
        ({"w": np.full((2, 3), -np.inf, np.float32)}, "w", "finite"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    changed: dict[str, Any], named: str, said: str
) -> None:
    with pytest.raises(StateRefused, match=said) as refused:
        flatten(state(**changed), LAYOUT)
    assert refused.value.reason == "STATE_REFUSED"
    assert refused.value.details["claim"] == named


@pytest.mark.parametrize(
    "vector", [np.zeros(9, np.float32), np.zeros(11, np.float32), np.zeros(10)]
)
def test_a_vector_of_another_length_or_type_is_refused(vector: Any) -> None:
    with pytest.raises(StateRefused):
        unflatten(vector, LAYOUT)


def test_files_come_back_as_they_were(tmp_path: Path) -> None:
    for name in ("model.safetensors", "model.npz"):
        save_state(tmp_path / name, state())
        back = load_state(tmp_path / name)
        assert flatten(back, LAYOUT).tolist() == flatten(state(), LAYOUT).tolist()
        layout = layout_of_file(tmp_path / name, "int8", 16384)
        assert layout == layout_of(state(), "int8", 16384)
        assert [t.name for t in layout.tensors] == ["b", "t", "w"]


def test_whole_numbers_are_no_part_of_a_state(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {"w": np.ones(2, np.float64), "count": np.array([3])}
    np.savez(tmp_path / "model.npz", **arrays)
    found = load_state(tmp_path / "model.npz")
    assert list(found) == ["w"] and found["w"].dtype == np.float32
    written = to_safetensors({**arrays, "w": np.ones(2, np.float32)})
    assert list(from_safetensors(written)) == ["w"]
    (tmp_path / "model.safetensors").write_bytes(written)
    assert [t.name for t in layout_of_file(tmp_path / "model.safetensors").tensors] == ["w"]


@pytest.mark.parametrize("name", ["model.npz", "model.safetensors"])
def test_what_is_no_such_file_is_refused(tmp_path: Path, name: str) -> None:
    for read in (load_state, layout_of_file):
        with pytest.raises(FileRefused):
            read(tmp_path / name)
    (tmp_path / name).write_bytes(b"\x80\x04not a model")
    for read in (load_state, layout_of_file):
        with pytest.raises(FileRefused):
            read(tmp_path / name)


@pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is not installed (pip install torch)"
)
def test_torch_and_back() -> None:
    torch: Any = importlib.import_module("torch")
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    before = module.state_dict()
    found = from_torch(before)
    assert "1.num_batches_tracked" not in found and "1.running_mean" in found
    layout = layout_of(found)
    doubled = unflatten(flatten(found, layout) * np.float32(2), layout)
    module.load_state_dict(to_torch(doubled, before))
    after = module.state_dict()
    assert torch.equal(after["0.weight"], before["0.weight"])  # the same memory
    assert np.array_equal(after["0.weight"].numpy(), doubled["0.weight"])
    assert after["1.num_batches_tracked"].dtype == torch.int64
    with pytest.raises(StateRefused):
        to_torch({"0.weight": doubled["0.weight"]}, before)
    home = ("1.running_mean", "1.running_var")
    sent = {name: array for name, array in doubled.items() if name not in home}
    made = to_torch(sent, before, home)
    assert made["1.running_var"] is before["1.running_var"]
    noised = {**doubled, "1.running_var": -doubled["1.running_var"]}
    with pytest.raises(StateRefused, match=r"variance with numbers below zero"):
        to_torch(noised, before)
    with warnings.catch_warnings():  # they are deprecated, and there are models that have them
        warnings.simplefilter("ignore")
        quantised = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    eight = torch.ones(2).to(torch.float8_e4m3fn)
    for odd in (torch.ones(2, dtype=torch.complex64), quantised, eight, {"a": 1}):
        with pytest.raises(StateRefused) as refused:
            from_torch({**before, "odd": odd})
        assert refused.value.details["claim"] == "odd"


def test_arrays_that_stay_at_home_are_left_out() -> None:
    own = {**state(), "n.running_var": np.ones(3, np.float32)}
    with pytest.raises(StateRefused, match=r"\[buffers\]"):
        flatten(own, LAYOUT)
    assert flatten(own, LAYOUT, ["n.running_var"]).tolist() == flatten(state(), LAYOUT).tolist()
