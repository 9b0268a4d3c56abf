# SPDX-License-Identifier: Apache-2.0
"""Answers that were paid for, kept until all are there: a call that broke off goes on where it
stopped.

A file beside the answers, for its owner's eyes alone. It begins with a line of its own and a digest
of what is asked: these rows, of this model, under these terms of its answers, by a simulated worker
or not. So it answers nothing else, and a proposal with a larger ration goes on with it. Then come
the answers, as they came:

    u32 BE number of the question || u32 BE length || SHA-256 of both and the answer || answer

What was cut off by a crash is dropped when the file is opened again.
"""

import hashlib
import os
import struct
from pathlib import Path

import numpy as np

from placet.client.errors import FileRefused
from placet.client.services.arrays import Rows
from placet.client.services.chain import ServedWorker
from placet.governance.codec import Json, encode, to_plain

_LINE = b"placet answers v1\n"
_DOMAIN = b"placet/kept-answers/v1"
_HEAD = struct.Struct(">II")
_SUM = 32


class KeptAnswers:
    """The answers that are kept in a file. `parts`: by their questions, the content of those that
    were there when it was opened."""

    def __init__(self, path: Path, worker: ServedWorker, rows: Rows) -> None:
        """Open the file, or make it, for what is asked of this worker. Raises `FileRefused` for a
        file that holds anything else."""
        self.parts: dict[int, bytes] = {}
        self._path = path
        head = _LINE + _digest(worker, rows)
        try:
            self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
        except OSError as error:
            raise FileRefused(
                f"Cannot keep answers in {path}: {error.strerror}. Name another output file.",
                claim=str(path),
            ) from None
        found = self._file.read()
        if found and not head.startswith(found[: len(head)]):
            self._file.close()
            raise FileRefused(
                f"{path} holds answers to other rows, which were paid for. Name another output "
                "file; or remove it, if they are not wanted.",
                claim=str(path),
            )
        end = self._read(found, len(head)) if len(found) >= len(head) else 0
        if not end:
            self._file.seek(0)
            self._file.write(head)
            end = len(head)
        self._file.seek(end)
        self._file.truncate()

    def add(self, number: int, answer: bytes | bytearray | memoryview) -> None:
        """Keep the answer to a question; it is there after a crash of this process."""
        head = _HEAD.pack(number, len(answer))
        self._file.write(b"".join((head, _sum(head, answer), answer)))
        self.parts[number] = b""

    def close(self) -> None:
        """Nothing more comes. A file without answers goes."""
        self._file.close()
        if not self.parts:
            self._path.unlink(missing_ok=True)

    def _read(self, data: bytes, at: int) -> int:
        """Take in the answers from `at` on; where the last whole one ends."""
        while len(data) >= (start := at + _HEAD.size + _SUM):
            head = data[at : at + _HEAD.size]
            number, length = _HEAD.unpack(head)
            answer = data[start : start + length]
            if len(answer) != length or data[at + _HEAD.size : start] != _sum(head, answer):
                break
            self.parts[number] = answer
            at = start + length
        return at


def _sum(head: bytes, answer: bytes | bytearray | memoryview) -> bytes:
    digest = hashlib.sha256(head)
    digest.update(answer)
    return digest.digest()


def _digest(worker: ServedWorker, rows: Rows) -> bytes:
    """The model and the terms of its answers, and the rows as they are split into questions."""
    digest, terms = hashlib.sha256(), worker.terms
    asked: Json = {
        "model": terms.model.object.digest,
        "answers": to_plain(terms.answers),
        "simulated": worker.simulated,
        "at_once": rows.at_once,
    }
    texts = [_DOMAIN, encode(asked)]
    for name, array in rows.arrays.items():
        texts += [name.encode(), str(array.dtype).encode(), repr(array.shape).encode()]
    for text in texts:
        digest.update(len(text).to_bytes(8, "big") + text)
    for array in rows.arrays.values():  # their lengths follow from dtypes and shapes
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.digest()
