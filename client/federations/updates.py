# SPDX-License-Identifier: Apache-2.0
"""Sealing an update, and keeping it until its receipt is there.

An update is sealed once. What was sealed is kept (`Outbox`) until the log is shown to have it: a
client that dies in between sends the very same bytes again, so a round never has two updates of it.
Nothing kept is in the clear.
"""

import base64
import io
import math
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from placet.client.errors import StateRefused, UsageRefused
from placet.client.federations.encoding import Encoded, add_noise, clip, encode, norm_above
from placet.client.federations.vectors import Vector
from placet.client.files import read_file, replacing, write_file
from placet.client.keys import Keys
from placet.governance.codec import encode as encode_json
from placet.governance.codec import parse_object
from placet.governance.contexts import update_info
from placet.governance.documents import Federate, Header, Update
from placet.governance.envelope import digest_of, inspect, sign
from placet.governance.judgements.rounds import SealedUpdate
from placet.refusals import DocumentMalformed, DocumentTooLarge
from placet.sealing import HPKEPublicKey, StreamKey, seal_envelope, seal_stream

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MAX_FILE = 1024 * 1024
_KIND = "update"


@dataclass(frozen=True, slots=True)
class OpenRound:
    """A round as the log has it: its federation and terms, number, public key and closing time
    (Unix seconds)."""

    federation: str
    terms: Federate
    number: int
    key: str
    closes: int


@dataclass(frozen=True, slots=True)
class Pending:
    """An update that was sealed: the signed document, the envelope to the round key, and the sealed
    stream."""

    document: bytes
    sealed: bytes
    stream: Path | bytes

    @property
    def update(self) -> Update:
        return inspect(self.document, Update)


@dataclass(frozen=True, slots=True)
class Bound:
    """What an update may bring a client's whole privacy ledger to, as decimal text; "any" is no
    bound."""

    epsilon: str = "any"
    delta: str = "any"


class Outbox:
    """Where the update of the round under way is kept: two files in a folder, or memory without
    one."""

    def __init__(self, folder: Path | None, federation: str, client: str) -> None:
        self._name = f"{federation.removeprefix('sha256:')[:16]}.{client}"
        self._folder = folder
        self._held: Pending | None = None

    def load(self, number: int) -> Pending | None:
        """What was sealed for this round and has no receipt yet; what was left of another round is
        removed."""
        if self._held is None and self._folder is not None and self._note.exists():
            try:
                value = parse_object(read_file(self._note, _MAX_FILE))
                sealed = base64.b64decode(value["sealed"], validate=True)
                found = Pending(encode_json(value["update"]), sealed, self._stream)
                self._held = found if found.update.round == number else None
            except (DocumentMalformed, DocumentTooLarge, ValueError, KeyError, TypeError):
                self._held = None
        if self._held is None or self._held.update.round != number:
            self.clear()
        return self._held

    def keep(self, made: Pending) -> Pending:
        """Keep what was sealed just now: the stream first, then the note that makes it count."""
        self._held = made
        if self._folder is not None and isinstance(made.stream, bytes):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._note.unlink(missing_ok=True)
            with replacing(self._stream, mode=0o600) as file:
                file.write(made.stream)
            sealed = base64.b64encode(made.sealed).decode()
            note = {"update": parse_object(made.document), "sealed": sealed}
            write_file(self._note, encode_json(note), mode=0o600)
            self._held = Pending(made.document, made.sealed, self._stream)
        return self._held

    def clear(self) -> None:
        """Forget it: the log has it, or never will."""
        self._held = None
        if self._folder is not None:
            self._note.unlink(missing_ok=True)
            self._stream.unlink(missing_ok=True)

    @property
    def _note(self) -> Path:
        assert self._folder is not None
        return self._folder / f"{self._name}.json"

    @property
    def _stream(self) -> Path:
        assert self._folder is not None
        return self._folder / f"{self._name}.sealed"


def make_update(
    difference: Vector,
    round: OpenRound,
    keys: Keys,
    header: Header,
    *,
    weight: int,
    bound: Bound,
    noise: float = 0.0,
    generator: np.random.Generator | None = None,
) -> Pending:
    """Clip, add noise, encode and seal a difference, which is overwritten.

    1. Weight and values are such as the round takes; arrays that the model keeps get no
       difference. 2. Clip to the terms' bound; add the client's own noise, if any.
    3. Encode; declare the norm of what was encoded. 4. Seal the stream under a key of its own, and
       that key with norm,
    scale and weight to the round key. 5. Sign. Raises `UsageRefused` or `StateRefused`.
    """
    terms = round.terms
    try:
        _check_weight(weight, terms.largest_weight)  # 1
        _keep(difference, terms)
        if not np.isfinite(difference).all():
            raise StateRefused(
                "The difference to the round's model is beyond float32. Nothing was sent; look at "
                "the training.",
                claim="state",
            )
        clip(difference, float(terms.clipping_bound))  # 2
        if noise:
            add_noise(difference, noise, generator)
            _keep(difference, terms)
        _check_step(difference, terms)
        encoded = encode(difference, terms.layout.encoding)  # 3
    finally:
        difference.fill(0)
    return _seal(encoded, round, keys, header, weight, bound)  # 4, 5


def _seal(
    encoded: Encoded, round: OpenRound, keys: Keys, header: Header, weight: int, bound: Bound
) -> Pending:
    layout, key, stream = round.terms.layout, StreamKey.generate(), io.BytesIO()
    try:
        source = _Plain(encoded.data.data)
        descriptor = seal_stream(
            source, stream, key, kind=_KIND, labels=(), segment_size=layout.segment_bytes
        )
        secret = SealedUpdate(key.to_bytes(), encoded.norm, encoded.scale, int(weight)).pack()
    finally:
        encoded.data.fill(0)
        key.wipe()
    info = update_info(round.federation, round.number, keys.id, descriptor.id)
    sealed = seal_envelope(secret, HPKEPublicKey.from_text(round.key), info)
    update = Update(
        header=header,
        federation=round.federation,
        round=round.number,
        client=keys.id,
        layout=layout.digest,
        object=descriptor.id,
        commitment=descriptor.commitment,
        sealed=digest_of(sealed),
        epsilon=bound.epsilon,
        delta=bound.delta,
    )
    return Pending(sign(update, keys.signing), sealed, stream.getvalue())


def _keep(difference: Vector, terms: Federate) -> None:
    for place in terms.kept:
        difference[place] = 0


def _check_step(difference: Vector, terms: Federate) -> None:
    """Whether most of an update is above what the terms' integers can hold. Raises
    `StateRefused`."""
    step, norm = terms.step, norm_above(difference)
    counted = np.where(np.abs(difference) >= step, difference, np.float32(0))
    kept = norm_above(counted)
    counted.fill(0)
    if kept**2 >= norm**2 / 2:
        return
    raise StateRefused(
        f"Most of the update would count as zero: the terms' clip of {terms.clip} leaves steps of "
        f"{step:.1e}, and the update has the length {norm:.1e}, of which {kept:.1e} is in "
        "coordinates above a step. Nothing was sent. Propose the federation anew with a clip near "
        "the length of your updates.",
        claim="clip",
        expected=f"coordinates above {step:.1e}",
        actual=f"length {norm:.1e}",
    )


def _check_weight(weight: int, largest: int) -> None:
    whole = isinstance(cast("object", weight), Integral) and not isinstance(weight, bool)
    if not whole or not 1 <= weight <= largest:
        wanted = "1" if largest == 1 else f"a whole number from 1 to {largest}"
        raise UsageRefused(
            f"The weight of an update must be {wanted}, as the council decided, and is "
            f"{weight!r}. Weights are refused and not cut, because a cut one would say something "
            "else.",
            claim="weight",
            expected=wanted,
            actual=repr(weight)[:40],
        )


def check_noise(noise: float) -> float:
    """A standard deviation of noise. Raises `UsageRefused`."""
    if not (math.isfinite(noise) and noise >= 0):
        raise UsageRefused("The noise must be a finite number from 0.", claim="noise")
    return noise


class _Plain(io.RawIOBase):
    """Bytes that somebody else owns and wipes, as a file to read."""

    def __init__(self, data: memoryview) -> None:
        super().__init__()
        self._data = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        size = min(len(view), len(self._data))
        view[:size] = self._data[:size]
        self._data = self._data[size:]
        return size
