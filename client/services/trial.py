# SPDX-License-Identifier: Apache-2.0
"""A model in the clear, asked at home in a worker's own code: what users would be answered under
these terms.

    with LocalModel(Path("model.onnx"), terms) as model:
        answers = model.predict(rows)      # as a served model's
"""

import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from placet.client.errors import UsageRefused
from placet.client.services.arrays import Array, Arrays, joined, judge_rows, read_answer
from placet.client.services.trying import check_triable
from placet.governance.codec import encode, from_plain
from placet.governance.documents import Header, Seen, Serve
from placet.governance.documents.serving import Field, Offer, RowsAre
from placet.refusals import Refused
from placet.sealing import HPKEPrivateKey

_HEAD = struct.Struct("<IB")
_MODEL, _ANSWER, _REFUSED = 0, 1, 2
_NONE = "sha256:" + "00" * 32


class LocalModel:
    """One process with one model, as a context. Raises `FileRefused`, `UsageRefused`, or `Refused`
    where a worker would refuse the model."""

    def __init__(self, file: Path, terms: Serve) -> None:
        check_triable(file)
        self._terms = terms
        self._folder = tempfile.TemporaryDirectory(prefix="placet-")
        path = Path(self._folder.name, "terms.json")
        path.write_bytes(encode(terms))
        line = [sys.executable, "-I", "-m", "placet.enclave", "ask"]
        line += ["--model", str(file), "--terms", str(path)]
        self._process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            self._offer = _offer(json.loads(self._read(_MODEL)))
        except BaseException:
            self.close()
            raise

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The arrays that a question holds."""
        return self._offer.inputs

    @property
    def answers(self) -> tuple[Field, ...]:
        """The arrays that users see."""
        return self._offer.answers

    @property
    def rows(self) -> RowsAre:
        """How the rows of a question hang together."""
        return self._offer.rows

    def predict(self, rows: Array | Mapping[str, Array]) -> Array | Arrays:
        """The answers to rows, in as many questions as a user's would be. Raises `QuestionRefused`
        or `Refused`."""
        parts: list[Arrays] = []
        for _, content in judge_rows(rows, self._terms, self._offer).packed():
            assert self._process.stdin is not None
            self._process.stdin.write(_HEAD.pack(len(content), 0) + content)
            self._process.stdin.flush()
            parts.append(read_answer(memoryview(self._read(_ANSWER)), self.answers))
        return joined(parts)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, wanted: int) -> bytes:
        assert self._process.stdout is not None
        head = self._process.stdout.read(_HEAD.size)
        if len(head) < _HEAD.size:
            raise UsageRefused("The worker's code ended here, and a worker's would as well.")
        length, kind = _HEAD.unpack(head)
        content = self._process.stdout.read(length)
        if kind == _REFUSED:
            told: dict[str, Any] = json.loads(content)
            raise Refused(told["reason"], told["message"], told["details"])
        assert kind == wanted, "one answer a question"
        return content


def _offer(said: dict[str, Any]) -> Offer:
    """What a worker would tell users of the model; the rest of it is of no worker."""
    return Offer(
        header=Header("00" * 16, _NONE, Seen(0, _NONE)),
        lease=_NONE,
        worker=_NONE,
        number=0,
        key=HPKEPrivateKey.generate("X25519").public.to_text(),
        seconds=0,
        inputs=tuple(from_plain(Field, field) for field in said["inputs"]),
        answers=tuple(from_plain(Field, field) for field in said["answers"]),
        rows=said["rows"],
    )
