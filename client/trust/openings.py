# SPDX-License-Identifier: Apache-2.0
"""Holding a file against a receipt: a receipt names sealed bytes, and no digest of a plaintext.

The file of a recipient's receipt has the key of the outputs, sealed once more to the recipient,
with the header of each sealed stream and the SHA-256 of its content. Whoever opens it can seal a
file again, which gives the sealed bytes that the receipt names only if it is the very file.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BufferedIOBase
from os import SEEK_END
from typing import Any, Self

from placet.client.errors import FileRefused
from placet.client.trust.verify import VerifiedReceipt
from placet.governance.codec import encode, parse_object
from placet.refusals import EnvelopeForged, Refusal
from placet.sealing import (
    HPKEPrivateKey,
    HPKEPublicKey,
    StreamKey,
    context,
    open_envelope,
    pad,
    padded_length,
    seal_envelope,
    verify_plaintext,
)

_MAX_OPENING = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Content:
    """What an output holds: the header of its sealed stream, and the SHA-256 of its content."""

    header: bytes
    sha256: str

    @classmethod
    def of(cls, header: bytes, content: BufferedIOBase) -> Self:
        """Of a content from its position on."""
        return cls(header, "sha256:" + hashlib.file_digest(content, "sha256").hexdigest())


@dataclass(frozen=True, slots=True)
class Opening:
    """The key of the outputs of a receipt, and their contents by name."""

    key: StreamKey = field(repr=False)
    contents: Mapping[str, Content]

    def sealed(self, receipt: str, recipient: HPKEPublicKey) -> bytes:
        """Seal it to a recipient, for the receipt of this digest."""
        contents = {
            name: {"header": _b64(one.header), "sha256": one.sha256}
            for name, one in self.contents.items()
        }
        plain = encode({"key": _b64(self.key.to_bytes()), "outputs": contents})
        return seal_envelope(plain, recipient, _info(receipt))

    @classmethod
    def opened(cls, sealed: bytes, receipt: str, keys: HPKEPrivateKey) -> Self:
        """Raises `FileRefused` where the file has none or a wrong one, or as `open_envelope`."""
        if not sealed:
            raise FileRefused(
                "The receipt's file has no sealed part, so no file can be held against it. Use the "
                "one that `placet result` wrote for you.",
                claim="opening",
            )
        plain = open_envelope(sealed, keys, _info(receipt))
        try:
            value: dict[str, Any] = parse_object(plain, _MAX_OPENING)
            contents = {
                str(name): Content(base64.b64decode(one["header"]), str(one["sha256"]))
                for name, one in value["outputs"].items()
            }
            return cls(StreamKey.from_bytes(base64.b64decode(value["key"])), contents)
        except (Refusal, ValueError, KeyError, TypeError, AttributeError):
            raise EnvelopeForged(
                "The sealed part of the receipt's file is malformed; fetch the result again.",
                claim="opening",
            ) from None

    def find(
        self, content: BufferedIOBase, receipt: VerifiedReceipt, output: str = ""
    ) -> tuple[str, str]:
        """Which output of a verified receipt a file is, and its SHA-256.

        1. An output that the sealed part names has this SHA-256; 2. sealed again, the file gives
        the sealed bytes that the receipt names. Raises `FileRefused`, or as `verify_plaintext`.
        """
        sha256 = "sha256:" + hashlib.file_digest(content, "sha256").hexdigest()
        same = [name for name, one in self.contents.items() if one.sha256 == sha256]
        outputs = receipt.receipt.predicate.outputs
        found = [name for name in same if name in outputs and output in ("", name)]
        if not found:
            raise FileRefused(
                f"The file is not {f'the output {output}' if output else 'an output'} of this "
                "receipt. Name the file as it was opened.",
                claim=output or "outputs",
                expected=", ".join(sorted(one.sha256 for one in self.contents.values())),
                actual=sha256,
            )
        length = content.seek(0, SEEK_END)
        content.seek(0)
        descriptor = outputs[found[0]]
        most = descriptor.length - padded_length(0)
        padded = pad(content, min(length, most), most)
        verify_plaintext(padded, self.key, self.contents[found[0]].header, descriptor)
        return found[0], sha256


def _info(receipt: str) -> bytes:
    return context("placet/opening/v1", receipt.encode())


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
