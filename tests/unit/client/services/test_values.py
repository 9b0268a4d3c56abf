# SPDX-License-Identifier: Apache-2.0
"""Rows from files become what the model declares, exactly, or are refused by their place; answers
are written as others read them."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from placet.client.errors import FileRefused
from placet.client.services.files import Format, files_of, load_rows, save_answers
from placet.governance.documents.serving import Field
from placet.proto.tensors import DTYPES

WHOLE = [name for name in DTYPES if "int" in name]
FLOATS = [name for name in DTYPES if name.startswith("float")]


def load(folder: Path, text: str, format: Format, *inputs: Field, heading: Any = None) -> Any:
    path = folder / f"rows.{format}"
    path.write_bytes(text.encode())
    return load_rows(path, format, inputs, heading)


def refused(folder: Path, text: str, format: Format, *inputs: Field) -> str:
    with pytest.raises(FileRefused) as caught:
        load(folder, text, format, *inputs)
    return str(caught.value)


def same(found: NDArray[Any], wanted: list[Any], dtype: str) -> None:
    assert found.dtype == dtype
    assert np.array_equal(found, np.array(wanted, dtype))


def pair(dtype: Any) -> Field:
    return Field("x", dtype, (0, 2))


@pytest.mark.parametrize("format", ["csv", "json"])
def test_truth(tmp_path: Path, format: Format) -> None:
    texts = {"csv": "true,0\n1,False\n", "json": "[[true, 0], [1, false]]"}
    same(load(tmp_path, texts[format], format, pair("bool")), [[1, 0], [1, 0]], "bool")
    for value in ("2", "-1", "0.5", '"yes"'):
        text = f"1,1\n{value},1\n" if format == "csv" else f"[[1, 1], [{value}, 1]]"
        assert "true, false, 1 or 0" in refused(tmp_path, text, format, pair("bool"))


@pytest.mark.parametrize("dtype", WHOLE)
def test_whole_numbers_never_wrap(tmp_path: Path, dtype: str) -> None:
    limits = np.iinfo(dtype)
    ends = [limits.min, limits.max]
    same(load(tmp_path, f"{ends[0]},{ends[1]}\n", "csv", pair(dtype)), [ends], dtype)
    same(load(tmp_path, f"[{ends}]", "json", pair(dtype)), [ends], dtype)
    for wrong in (limits.min - 1, limits.max + 1, 0.5, "1e3", "1_000", "0x1", "nan", "١"):
        said = refused(tmp_path, f"1,1\n1,{wrong}\n", "csv", pair(dtype))
        assert "line 2, column 2" in said
        assert f"whole numbers from {limits.min} to {limits.max}" in said
        said = refused(tmp_path, json.dumps([[1, 1], [1, wrong]]), "json", pair(dtype))
        assert "x[1][1]" in said
    same(load(tmp_path, "5.0,1\n", "csv", pair(dtype)), [[5, 1]], dtype)
    assert "true" in refused(tmp_path, "[[true, 1]]", "json", pair(dtype)).lower()


@pytest.mark.parametrize("dtype", FLOATS)
def test_floats_are_the_nearest_and_never_infinite(tmp_path: Path, dtype: str) -> None:
    same(load(tmp_path, "0.1,1e-3\n.5,-2.\n", "csv", pair(dtype)), [[0.1, 1e-3], [0.5, -2]], dtype)
    same(load(tmp_path, "[[1, 0.1]]", "json", pair(dtype)), [[1, 0.1]], dtype)
    wild = load(tmp_path, "nan,-inf\nInfinity,+inf\n", "csv", pair(dtype))
    assert np.array_equal(wild, np.array([[np.nan, -np.inf], [np.inf, np.inf]], dtype), True)
    too_large = {"float16": "70000", "float32": "1e39", "float64": "1e309"}[dtype]
    for wrong in (too_large, "1_000", "0x10", "--inf", "-+inf", "1,5".replace(",", ";"), "true"):
        assert "line 1, column 1" in refused(tmp_path, f"{wrong},1\n", "csv", pair(dtype))
    assert "x[0][0]" in refused(tmp_path, f"[[{10**400}, 1]]", "json", pair(dtype))


@settings(deadline=None)
@given(rows=st.lists(st.tuples(*[st.floats(width=32)] * 2), min_size=1, max_size=5))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, float]]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    array = np.array(rows, np.float32)
    for format in ("csv", "json", "npy"):
        save_answers(folder / "a", format, array)
        found: Any = load_rows(folder / "a", format, [pair("float32")], False)
        assert np.array_equal(found, array, equal_nan=True)


def test_json_has_the_shape_of_the_model_or_is_refused(tmp_path: Path) -> None:
    image = Field("x", "float32", (0, 3, 4, 4))
    last = np.zeros((2, 4, 4, 3)).tolist()
    said = refused(tmp_path, json.dumps(last), "json", image)
    assert "x[0] is a list of 4" in said
    assert "(rows, 3, 4, 4)" in said
    assert "no list" in refused(tmp_path, "[1, 2]", "json", pair("float32"))
    assert "x[1] is a list of 1" in refused(tmp_path, "[[1, 2], [3]]", "json", pair("float32"))
    free = Field("x", "float32", (0, 0))
    assert "x[1] is a list of 1" in refused(tmp_path, "[[1, 2], [3]]", "json", free)
    assert load(tmp_path, "[]", "json", pair("float32")).shape == (0, 2)
    for wrong in ("[[[1], 2]]", "[[null, 2]]", '[[{"a": 1}, 2]]'):
        assert "x[0][0]" in refused(tmp_path, wrong, "json", pair("float32"))
    assert "no input 'y'" in refused(tmp_path, '{"y": [[1, 2]]}', "json", pair("float32"))


def test_a_heading_is_known_by_its_names_or_asked_for(tmp_path: Path) -> None:
    """`pandas.DataFrame(X).to_csv(index=False)` writes 0,1 over columns without names."""
    one = pair("float32")
    assert len(load(tmp_path, "age,weight\n1,2\n", "csv", one)) == 1
    pandas = "0,1\n0.5,1.5\n"
    assert "--heading or --no-heading" in refused(tmp_path, pandas, "csv", one)
    assert len(load(tmp_path, pandas, "csv", one, heading=True)) == 1
    assert len(load(tmp_path, pandas, "csv", one, heading=False)) == 2
    assert "line 1, column 1" in refused(tmp_path, "age,2\n1,2\n", "csv", one)
    assert len(load(tmp_path, "true,false\n0,1\n", "csv", pair("bool"))) == 2


def test_line_ends_of_every_system(tmp_path: Path) -> None:
    for end in ("\n", "\r\n", "\r"):
        text = end.join(["a,b", "1,2", "3,4", ""])
        same(load(tmp_path, text, "csv", pair("int8")), [[1, 2], [3, 4]], "int8")


def test_rows_of_csv_are_flat(tmp_path: Path) -> None:
    grid = Field("x", "int64", (0, 2, 2))
    same(load(tmp_path, "1,2,3,4\n", "csv", grid), [[[1, 2], [3, 4]]], "int64")
    assert "a row has 4" in refused(tmp_path, "1,2,3\n", "csv", grid)
    one_free = Field("x", "int64", (0, 0, 2))
    assert load(tmp_path, "1,2,3,4,5,6\n", "csv", one_free).shape == (1, 3, 2)
    both_free = Field("x", "int64", (0, 0, 0))
    assert ".json or .npy" in refused(tmp_path, "1,2,3,4\n", "csv", both_free)


def test_answers_whatever_their_outputs_are_called(tmp_path: Path) -> None:
    answers = {"file": np.array([1.5, np.nan]), "a/b": np.array([[1], [2]])}
    save_answers(tmp_path / "a.npz", "npz", answers)
    with np.load(tmp_path / "a.npz") as found:
        assert {name: found[name].shape for name in found.files} == {"file": (2,), "a/b": (2, 1)}
    save_answers(tmp_path / "a.json", "json", answers)

    def no_json(word: str) -> None:
        raise AssertionError(word)

    text = (tmp_path / "a.json").read_text()
    assert json.loads(text, parse_constant=no_json) == {"file": [1.5, "NaN"], "a/b": [[1], [2]]}
    save_answers(tmp_path / "a.csv", "csv", answers)
    files = files_of(tmp_path / "a.csv", "csv", list(answers))
    assert [path.name for path in files.values()] == ["a.file.csv", "a.a%2Fb.csv"]
    assert list(csv.reader(io.StringIO(files["a/b"].read_text()))) == [["1"], ["2"]]
