# SPDX-License-Identifier: Apache-2.0
"""Rows from files, and answers into files: CSV, JSON, NPY, and NPZ for several arrays.

    csv     one array; a line a row, its numbers in C order; a first line without any number is a
            heading
    json    lists of rows; of several arrays an object of them by name
    npy     one array            npz     several by name

Text has no dtype, so it gets the model's. Arrays in NPY and NPZ are taken as they are.
"""

import csv
import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np

from placet.client.errors import FileRefused, UsageRefused
from placet.client.files import read_file, write_file
from placet.client.services.arrays import Array, Arrays
from placet.governance.documents.serving import Field

Format = Literal["csv", "json", "npy", "npz"]
_MAX_FILE = 4 * 1024**3
_UNREADABLE = (ValueError, TypeError, OverflowError, EOFError, RecursionError)


def format_of(path: Path, given: str = "") -> Format:
    """The format that is named, or that the file's suffix names. Raises `UsageRefused`."""
    found = (given or path.suffix.removeprefix(".")).lower()
    for format in get_args(Format):
        if format == found:
            return cast("Format", format)
    raise UsageRefused(
        f"{path} names no format. Give it a suffix or --format: {', '.join(get_args(Format))}.",
        claim="format",
        actual=found[:40],
    )


def load_rows(path: Path, format: Format, inputs: Sequence[Field]) -> Array | Arrays:
    """The rows in a file, for a model that takes these inputs. Raises `FileRefused`."""
    data = read_file(path, _MAX_FILE)
    try:
        if format == "csv":
            return _from_csv(data.decode("utf-8-sig"), _only(inputs, path))
        if format == "json":
            return _from_json(json.loads(data), inputs)
        loaded: Any = np.load(io.BytesIO(data), allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            return cast("Array", loaded)
        with cast("Any", loaded) as file:
            return {name: file[name] for name in file.files}
    except (*_UNREADABLE, zipfile.BadZipFile, csv.Error) as error:
        raise FileRefused(
            f"{path} holds no rows in {format}: {str(error)[:200]}. Check the file.",
            claim=str(path),
        ) from None


def save_answers(path: Path, format: Format, answers: Array | Mapping[str, Array]) -> None:
    """Write answers. Raises `FileRefused`, or `UsageRefused` for several in a format of one."""
    if isinstance(answers, Mapping) and format in ("csv", "npy"):
        raise UsageRefused(
            f"The model has several outputs, and {format} holds one. Write .npz or .json.",
            claim="format",
        )
    write_file(path, _written(format, answers))


def _written(format: Format, answers: Array | Mapping[str, Array]) -> bytes:
    binary = io.BytesIO()
    if isinstance(answers, Mapping):
        if format == "npz":
            np.savez(binary, **cast("Any", dict(answers)))
            return binary.getvalue()
        return _dumped({name: array.tolist() for name, array in answers.items()})
    if format == "csv":
        text = io.StringIO()
        rows = answers.reshape(len(answers), -1)
        csv.writer(text, lineterminator="\n").writerows([str(v) for v in row] for row in rows)
        return text.getvalue().encode()
    if format == "json":
        return _dumped(answers.tolist())
    if format == "npz":
        np.savez(binary, answers=answers)
    else:
        np.save(binary, answers)
    return binary.getvalue()


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _from_csv(text: str, field: Field) -> Array:
    reader = csv.reader(io.StringIO(text))
    lines = [(reader.line_num, line) for line in reader if line]
    # A row with a cell that is missing is no heading: to leave it out would give its patient the
    # answer of the next.
    if lines and not any(_is_number(cell) for cell in lines[0][1]):
        lines = lines[1:]
    if not lines:
        raise ValueError(
            "no line has a number; numbers are separated by commas, with a decimal point"
        )
    width = math.prod(field.shape[1:]) or len(lines[0][1])
    for at, line in lines:
        for column, cell in enumerate(line, 1):
            if not _is_number(cell):
                raise ValueError(f"line {at}, column {column} is no number: {cell[:40]!r}")
        if len(line) != width:
            raise ValueError(f"line {at} has {len(line)} numbers, and a row has {width}")
    return _shaped(np.array([line for _, line in lines], dtype=np.str_), field)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _from_json(value: Any, inputs: Sequence[Field]) -> Array | Arrays:
    if isinstance(value, dict):
        named = {field.name: field for field in inputs}
        given = cast("dict[str, Any]", value)
        return {
            name: _shaped(np.array(rows), named[name]) if name in named else np.array(rows)
            for name, rows in given.items()
        }
    if len(inputs) != 1:
        raise ValueError("the model takes several inputs: give an object with a list of rows each")
    return _shaped(np.array(value), inputs[0])


def _shaped(array: Array, field: Field) -> Array:
    """Numbers as the model's dtype, each row in the model's shape where that is fixed."""
    rest = field.shape[1:]
    if all(rest):
        array = array.reshape(len(array), *rest)
    if field.dtype.startswith(("int", "uint")) and array.dtype.kind == "f":
        raise ValueError(f"the model takes whole numbers for {field.name}")
    return array.astype(field.dtype)


def _only(inputs: Sequence[Field], path: Path) -> Field:
    if len(inputs) != 1:
        names = ", ".join(field.name for field in inputs)
        raise FileRefused(
            f"The model takes several inputs ({names}), and {path} holds one. Give .npz or .json.",
            claim=str(path),
        )
    return inputs[0]
