# SPDX-License-Identifier: Apache-2.0
"""The descriptor that names a sealed object; "data set digest" is the digest of a descriptor.

A descriptor holds what a reader must know beforehand and from a signed document, never from the
sealed bytes: which key, how many bytes in how many segments, and the root over them. Two fields
that contradict each other are refused on construction, so a descriptor that exists is consistent.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, cast

from placet.refusals import DescriptorMalformed
from placet.sealing._layout import SEGMENT_SIZES, max_length, sealed_length, segment_count

# Names are shown to people and compared by rules: plain ASCII leaves no look-alikes.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")
_OBJECT_ID = re.compile(r"[0-9a-f]{32}")
_COMMITMENT = re.compile(r"[0-9a-f]{64}")
_ROOT = re.compile(r"sha256:[0-9a-f]{64}")
MAX_LABELS = 32


@dataclass(frozen=True, slots=True)
class ObjectDescriptor:
    """The description of a sealed object, without its contents.

    `id` is 32 hex digits, `commitment` 64; `labels` are distinct and keep their order;
    `segment_size` counts sealed bytes, `length` plaintext bytes; `root` is the RFC 6962 root over
    the sealed segments, "sha256:<hex>". Raises `DescriptorMalformed`.
    """

    id: str
    kind: str
    labels: tuple[str, ...]
    commitment: str
    segment_size: int
    segments: int
    length: int
    root: str

    def __post_init__(self) -> None:
        _check_text("id", self.id, _OBJECT_ID)
        _check_text("kind", self.kind, _NAME)
        _check_labels(self.labels)
        _check_text("commitment", self.commitment, _COMMITMENT)
        _check_text("root", self.root, _ROOT)
        _check_sizes(self.segment_size, self.segments, self.length)

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Self:
        """Read the form that `to_dict` gives; every key must be there and no other.

        Raises `DescriptorMalformed`.
        """
        if not isinstance(cast(object, data), Mapping):
            raise _malformed("a descriptor", "an object with named fields")
        expected = {field.name for field in fields(cls)}
        if set(data) != expected:
            raise _malformed("a descriptor", f"exactly the fields {', '.join(sorted(expected))}")
        labels = data["labels"]
        if not isinstance(labels, list):
            raise _malformed("labels", "a list")
        values = {**data, "labels": tuple(cast(list[object], labels))}
        # The types are checked on construction.
        return cls(**cast(dict[str, Any], values))

    def to_dict(self) -> dict[str, object]:
        """The fields as JSON values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**values, "labels": list(self.labels)}

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of `to_dict`, as "sha256:<hex>"."""
        encoded = json.dumps(
            self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        return f"sha256:{hashlib.sha256(encoded.encode('utf-8')).hexdigest()}"

    @property
    def sealed_length(self) -> int:
        """The number of sealed bytes, header and tags included."""
        return sealed_length(self.length, self.segments)


def _check_text(name: str, value: object, pattern: re.Pattern[str]) -> None:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise _malformed(name, f"a text of the form {pattern.pattern}")


def _check_labels(labels: object) -> None:
    if not isinstance(labels, tuple):
        raise _malformed("labels", "a tuple")
    items = cast(tuple[object, ...], labels)
    if len(items) > MAX_LABELS:
        raise _malformed("labels", f"at most {MAX_LABELS} labels")
    for item in items:
        _check_text("each label", item, _NAME)
    if len(set(items)) != len(items):
        raise _malformed("labels", "distinct labels")


def _check_sizes(segment_size: object, segments: object, length: object) -> None:
    # bool is an int to isinstance, and true would pass for 1.
    if type(segment_size) is not int or segment_size not in SEGMENT_SIZES:
        raise _malformed("segment_size", f"one of {', '.join(map(str, SEGMENT_SIZES))}")
    if type(length) is not int or not 0 <= length <= max_length(segment_size):
        raise _malformed("length", f"a number from 0 to {max_length(segment_size)}")
    if type(segments) is not int or segments != segment_count(length, segment_size):
        raise _malformed("segments", "the number that length and segment_size give")


def _malformed(name: str, expected: str) -> DescriptorMalformed:
    return DescriptorMalformed(
        f"the object descriptor is malformed: {name} must be {expected}",
        claim=f"descriptor {name}",
        expected=expected,
    )
