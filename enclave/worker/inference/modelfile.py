# SPDX-License-Identifier: Apache-2.0
"""The contents of an ONNX file are checked before the runtime sees them.

The file is a protocol-buffers message (onnx.proto, IR version 3 to 14). This walks its fields where
they lie: a parser would copy the weights. Whatever reads the file later reads every field that is
looked at here, and of a message that occurs twice both are looked at, so it cannot be led past.
Tags are 32 bits: some readers cut longer ones off, others see another field.

Refused: what is no model; operators that are not of ONNX and not local functions; functions in the
runtime's own domains, where its operators of the same name come first; weights in other files.
"""

from collections.abc import Iterator
from typing import Final

from placet.refusals import ModelInvalid

_STANDARD: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_OF_THE_RUNTIME: Final = ("com.microsoft", "com.ms.")  # how the domains of its own operators begin
# As deep as protobuf's own parsers go.
_MAX_DEPTH: Final = 100
_ORT_MAGIC: Final = b"ORTM"  # at byte 4: the runtime's own format, which says less of itself

# Field numbers of onnx.proto: of each message those that are messages to look into, and which they
# are.
_CHILDREN: Final[dict[str, dict[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
# Of a node and of a function the fields of its domain, its operator's name, and its own name; of a
# tensor that of its name.
_NAMED: Final = {"node": (7, 4, 3), "function": (10, 1), "tensor": (8,)}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a tensor

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_Name = tuple[str, str]  # of a domain and an operator
_Used = dict[_Name, str]  # and of the first node that uses it
_LISTED: Final = 20


def check_model_file(data: bytes | bytearray | memoryview) -> None:
    """Raises ModelInvalid unless the file can be given to the runtime.

    Names in the file are secrets of the model's owner. So a refusal has them in its notes, which
    leave no worker, and which whoever checks a model at home reads.
    """
    view = memoryview(data)
    if bytes(view[4:8]) == _ORT_MAGIC:
        raise invalid("file", "an ONNX model", "a file in the runtime's own format")
    used: dict[str, _Used] = {"node": {}, "function": {}}
    # A stack instead of recursion, so that no file can be too deep for the interpreter.
    messages = [("model", view, 0)]
    graphs = 0
    while messages:
        kind, message, depth = messages.pop()
        if depth > _MAX_DEPTH:
            raise invalid("file", f"at most {_MAX_DEPTH} levels", "more")
        graphs += kind == "graph"
        messages += [(child, part, depth + 1) for child, part in _look_into(kind, message, used)]
    if not graphs:
        raise invalid("file", "an ONNX model", "no graph")
    _check_operators(used["node"], used["function"])


def invalid(claim: str, expected: str, actual: str) -> ModelInvalid:
    """The refusal of a model."""
    remedy = "Export it anew, with ONNX's operators alone and its weights inside."
    if claim.startswith(("answers.", "samples.", "largest_", "rations")):
        remedy = "Have it proposed anew, with terms that fit it."
    return ModelInvalid(
        f"The model cannot be served. {remedy}",
        claim=claim,
        expected=expected,
        actual=actual,
    )


def _look_into(
    kind: str, message: memoryview, used: dict[str, _Used]
) -> list[tuple[str, memoryview]]:
    """The messages inside one; notes the operator that it uses or defines."""
    children, named = _CHILDREN[kind], _NAMED.get(kind, ())
    found: list[tuple[str, memoryview]] = []
    names = dict.fromkeys(named, "")
    for number, value in _fields(message):
        if number in children or number in names:
            if isinstance(value, int):
                raise invalid("file", "an ONNX model", "fields of another type")
            if number in children:
                found.append((children[number], value))
            else:
                names[number] = _text(value, strict=kind in used and number in named[:2])
        elif kind == "tensor" and (
            number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value)
        ):
            refused = invalid("external data", "weights inside the file", "weights in other files")
            refused.add_note(f"The tensor {''.join(names.values())!r} lies in another file.")
            raise refused
    if kind in used:
        domain, operator, *own = (names[number] for number in named)
        used[kind].setdefault((domain, operator), "".join(own))
    return found


def _check_operators(nodes: _Used, functions: _Used) -> None:
    own = {name for name in functions if name[0].startswith(_OF_THE_RUNTIME)}
    foreign = {name for name in (nodes.keys() - functions.keys()) | own if name[0] not in _STANDARD}
    if not foreign:
        return
    domains = {domain for domain, _ in foreign}
    refused = invalid(
        "operators", "those of ai.onnx and ai.onnx.ml", f"{len(domains)} other domains"
    )
    for domain, operator in sorted(foreign)[:_LISTED]:
        where = f", as in the node {node!r}" if (node := nodes.get((domain, operator))) else ""
        refused.add_note(f"It uses the operator {operator!r} of the domain {domain!r}{where}.")
    raise refused


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Numbers and values of a message's fields: an int for a number, else its bytes."""
    offset, end = 0, len(message)
    while offset < end:
        tag, offset = _varint(message, offset)
        number, wire = tag >> 3, tag & 7
        if tag >= 1 << 32:
            raise invalid("file", "an ONNX model", "a tag of more than 32 bits")
        value: int | memoryview
        if wire == _VARINT:
            value, offset = _varint(message, offset)
        else:
            if wire == _BYTES:
                size, offset = _varint(message, offset)
            elif wire in (_FIXED64, _FIXED32):
                size = 8 if wire == _FIXED64 else 4
            else:
                raise invalid("file", "an ONNX model", "bytes that are no message")
            if size > end - offset:
                raise invalid("file", "an ONNX model", "a file that was cut off")
            value = message[offset : offset + size] if wire == _BYTES else 0
            offset += size
        yield number, value


def _varint(message: memoryview, offset: int) -> tuple[int, int]:
    value = 0
    for shift, byte in zip(range(0, 70, 7), message[offset : offset + 10], strict=False):
        value |= (byte & 0x7F) << shift
        offset += 1
        if byte < 0x80:
            return value & (2**64 - 1), offset
    raise invalid("file", "an ONNX model", "bytes that are no message")


def _text(value: memoryview, *, strict: bool) -> str:
    try:
        return bytes(value).decode(errors="strict" if strict else "replace")
    except UnicodeDecodeError:
        raise invalid("file", "names in UTF-8", "other bytes") from None
