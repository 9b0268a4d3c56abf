# SPDX-License-Identifier: Apache-2.0
"""Rows from files, and answers into files: CSV, JSON, NPY, and NPZ for several arrays.

    csv     one array; a line a row, its numbers in C order, and perhaps a heading
    json    rows as lists in the model's shape; of several arrays an object of them by name
    npy     one array            npz     several by name

Text has no type, so it gets the model's (`values.py`). Arrays in NPY and NPZ are taken as they are.
A first line of CSV without any value is a heading. One that could be either, as pandas writes
columns without names (0,1,2), is asked about.

In CSV and NPY the answers of several arrays are several files: `answers.NAME.csv`. JSON has no NaN:
it is written "NaN", and infinities "Infinity" and "-Infinity", as Protocol Buffers do.
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast, get_args
from urllib.parse import quote

import numpy as np

from placet.client.errors import FileRefused, UsageRefused
from placet.client.files import read_file, write_file
from placet.client.npz import npz_bytes
from placet.client.services.arrays import Array, Arrays, shape_text
from placet.client.services.values import converted, is_value
from placet.governance.documents.serving import Field, RowsAre

Format = Literal["csv", "json", "npy", "npz"]
_MAX_FILE = 4 * 1024**3


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


def load_rows(
    path: Path,
    format: Format,
    inputs: Sequence[Field],
    heading: bool | None = None,
    rows: RowsAre = "independent",
) -> Array | Arrays:
    """The rows in a file, for a model that takes these inputs, whose rows are so.

    heading: whether the first line of a CSV file is one; None: the line says so itself. Raises
    `FileRefused`.
    """
    if rows == "fixed":  # several questions may come in one file
        inputs = [replace(field, shape=(0, *field.shape[1:])) for field in inputs]
    data = read_file(path, _MAX_FILE)
    try:
        return _loaded(data, format, inputs, heading)
    # Each of four formats is read by a library, and none of them lists what it raises.
    except Exception as error:  # noqa: BLE001
        raise FileRefused(
            f"{path} holds no rows in {format}: {str(error)[:300]}. Check the file.",
            claim=str(path),
        ) from None


def files_of(path: Path, format: Format, names: Sequence[str]) -> dict[str, Path]:
    """Which file the array of each of these outputs is written into."""
    if len(names) == 1 or format in ("json", "npz"):
        return dict.fromkeys(names, path)
    return {
        name: path.with_name(f"{path.stem}.{quote(name, safe=' ')}{path.suffix}") for name in names
    }


def save_answers(path: Path, format: Format, answers: Array | Mapping[str, Array]) -> None:
    """Write answers. Raises `FileRefused`."""
    if isinstance(answers, Mapping) and format in ("csv", "npy"):
        for name, file in files_of(path, format, list(answers)).items():
            write_file(file, _written(format, answers[name]))
    else:
        write_file(path, _written(format, answers))


def _loaded(
    data: bytes, format: Format, inputs: Sequence[Field], heading: bool | None
) -> Array | Arrays:
    if format == "csv":
        return _from_csv(data.decode("utf-8-sig"), _only(inputs), heading)
    if format == "json":
        return _from_json(json.loads(data), inputs)
    loaded: Any = np.load(io.BytesIO(data), allow_pickle=False)
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        return cast("Array", loaded)
    with cast("Any", loaded) as file:
        return {name: file[name] for name in file.files}


def _written(format: Format, answers: Array | Mapping[str, Array]) -> bytes:
    if format == "npz":
        return npz_bytes(answers if isinstance(answers, Mapping) else {"answers": answers})
    if format == "json":
        if isinstance(answers, Mapping):
            value: Any = {name: _plain(array) for name, array in answers.items()}
        else:
            value = _plain(answers)
        return json.dumps(value, allow_nan=False).encode() + b"\n"
    assert not isinstance(answers, Mapping)
    if format == "csv":
        text = io.StringIO()
        rows = np.atleast_1d(answers)
        rows = rows.reshape(len(rows), -1)
        csv.writer(text, lineterminator="\n").writerows([str(v) for v in row] for row in rows)
        return text.getvalue().encode()
    binary = io.BytesIO()
    np.save(binary, answers)
    return binary.getvalue()


def _plain(array: Array) -> Any:
    """Lists of numbers; what is no number in JSON, by its name."""
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()
    names = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    plain = array.astype(object)
    wild = ~np.isfinite(array)
    plain[wild] = [names[str(float(value))] for value in array[wild]]
    return plain.tolist()


def _from_csv(text: str, field: Field, heading: bool | None) -> Array:
    # Of three line ends, lone carriage returns among them, one is left.
    reader = csv.reader(io.StringIO(text, newline=None))
    lines = [(reader.line_num, line) for line in reader if line]
    if lines and (_is_heading(lines, field) if heading is None else heading):
        lines = lines[1:]
    if not lines:
        raise ValueError(
            "no line has a number; numbers are separated by commas, with a decimal point"
        )
    width = math.prod(field.shape[1:]) or len(lines[0][1])
    for at, line in lines:
        if len(line) != width:
            raise ValueError(f"line {at} has {len(line)} numbers, and a row has {width}")

    def place(number: int) -> str:
        return f"line {lines[number // width][0]}, column {number % width + 1}"

    cells = [cell for _, line in lines for cell in line]
    return converted(cells, field, place).reshape(len(lines), *_row_shape(field, width))


def _is_heading(lines: list[tuple[int, list[str]]], field: Field) -> bool:
    """Whether the first line is one. A row with a cell that is missing is none: to leave it out
    would give its patient the answer of the next."""
    first = lines[0][1]
    if not any(is_value(cell, field.dtype) for cell in first):
        return True
    if [cell.strip() for cell in first] == [str(number) for number in range(len(first))]:
        raise ValueError(
            f"line {lines[0][0]} is {','.join(first)[:40]}: a heading, as pandas writes columns "
            "without names, or a row. Say --heading or --no-heading"
        )
    return False


def _row_shape(field: Field, width: int) -> tuple[int, ...]:
    """The shape of a row of so many numbers. A row of CSV is flat, so at most one dimension is
    free."""
    rest = field.shape[1:]
    fixed = math.prod(size for size in rest if size)
    if rest.count(0) > 1 or width % fixed:
        raise ValueError(
            f"a row of {field.name!r} has dimensions of any length: give .json or .npy"
        )
    return tuple(size or width // fixed for size in rest)


def _from_json(value: Any, inputs: Sequence[Field]) -> Array | Arrays:
    if not isinstance(value, dict):
        if len(inputs) != 1:
            raise ValueError(
                "the model takes several inputs: give an object with a list of rows each"
            )
        return _nested(value, inputs[0])
    named = {field.name: field for field in inputs}
    given = cast("dict[str, Any]", value)
    if unknown := sorted(set(given) - set(named)):
        raise ValueError(f"the model has no input {unknown[0]!r}; it takes {', '.join(named)}")
    return {name: _nested(rows, named[name]) for name, rows in given.items()}


def _nested(value: Any, field: Field) -> Array:
    """Lists in lists as an array, in the very shape that the model takes."""
    level, shape = [value], list[int]()

    def place(number: int) -> str:
        at = np.unravel_index(number, tuple(shape)) if shape else ()
        return field.name + "".join(f"[{index}]" for index in at)

    for wanted in field.shape:
        sizes = [_length(part) for part in level]
        length = wanted or (sizes[0] if sizes else 0)
        for number, size in enumerate(sizes):
            if size != length or size < 0:
                found = "no list" if size < 0 else f"a list of {size}"
                raise ValueError(
                    f"{place(number)} is {found}, and the model takes {_shape_text(field)}"
                    + (f"; {place(0)} has {length}" if not wanted and length >= 0 < number else "")
                )
        shape.append(length)
        level = [item for part in level for item in part]
    return converted(level, field, place).reshape(shape)


def _length(value: object) -> int:
    """Of a list of JSON; of anything else -1."""
    return len(value) if isinstance(value, list) else -1  # pyright: ignore[reportUnknownArgumentType]


def _shape_text(field: Field) -> str:
    return f"{field.name!r} as lists of shape {shape_text(field, 'independent')}"


def _only(inputs: Sequence[Field]) -> Field:
    if len(inputs) != 1:
        names = ", ".join(field.name for field in inputs)
        raise ValueError(f"the model takes several inputs ({names}): give .npz or .json")
    return inputs[0]
