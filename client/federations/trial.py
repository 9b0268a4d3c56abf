# SPDX-License-Identifier: Apache-2.0
"""A round at home, over arrays in the clear: each client's update is made and sealed as it would be
sent, and folded by the worker's own code in a process of its own. No council, host or log has a
part in it."""

import base64
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from placet.client.errors import UsageRefused
from placet.client.federations.encoding import norm_above
from placet.client.federations.updates import Bound, OpenRound, Pending, make_update
from placet.client.federations.vectors import State, Vector, flatten, unflatten
from placet.client.keys import Keys
from placet.governance.codec import Json, encode
from placet.governance.contexts import update_info
from placet.governance.documents import Federate, Header, Seen
from placet.governance.judgements.rounds import SealedUpdate
from placet.sealing import HPKEPrivateKey, open_envelope

_NONE = "sha256:" + "00" * 32
_NEVER = 2**40


@dataclass(frozen=True, slots=True)
class Trained:
    """What a client would send: the arrays that training made, how much they count, and whose they
    are."""

    client: str
    organisation: str
    state: State
    weight: int = 1


@dataclass(frozen=True, slots=True)
class TriedRound:
    """A round that was tried. lengths: of each client's difference before it was cut. left: who was
    left out, with the reason. model: None where too few organisations were left."""

    lengths: Mapping[str, float]
    left: Mapping[str, str]
    model: State | None


def try_round(terms: Federate, trained: list[Trained], initial: State | None = None) -> TriedRound:
    """One round of these terms. Raises `StateRefused` or `UsageRefused` as sending would, for whom
    it is of no use to try."""
    if not trained:
        raise UsageRefused("A round takes updates: give the arrays of at least one client.")
    base = None if initial is None else flatten(initial, terms.layout, terms.ruled("home"))
    key = HPKEPrivateKey.generate("X25519")
    opened = OpenRound(_NONE, terms, 1, key.public.to_text(), _NEVER)
    lengths: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="placet-") as name:
        folder, updates = Path(name), list[Json]()
        for one in trained:
            difference = _difference(one.state, base, terms)
            lengths[one.client] = norm_above(difference)
            made = make_update(
                difference,
                opened,
                Keys.generate(one.client),
                Header("00" * 16, _NONE, Seen(0, _NONE)),
                weight=one.weight,
                bound=Bound(),
            )
            updates.append(_keyed(made, key, one, terms, folder))
        left = _fold(folder, terms, updates, base)
        made_model = folder / "model"
        vector = np.fromfile(made_model, np.float32) if made_model.exists() else None
    return TriedRound(lengths, left, None if vector is None else unflatten(vector, terms.layout))


def _difference(state: State, base: Vector | None, terms: Federate) -> Vector:
    difference = flatten(state, terms.layout, terms.ruled("home"))
    if base is not None:
        with np.errstate(over="ignore"):
            difference -= base
    for place in terms.kept:
        difference[place] = 0
    return difference


def _keyed(made: Pending, key: HPKEPrivateKey, one: Trained, terms: Federate, folder: Path) -> Json:
    """The stream in a file of the folder, and its key as a worker gets it: checked against the
    terms, as the authority does."""
    update = made.update
    info = update_info(update.federation, update.round, update.client, update.object)
    found = SealedUpdate.unpack(open_envelope(made.sealed, key, info), terms)
    (folder / update.object).write_bytes(cast("bytes", made.stream))
    return {
        "client": one.client,
        "organisation": one.organisation,
        "object": update.object,
        "commitment": update.commitment,
        "key": base64.b64encode(found.key).decode(),
        "norm": found.norm.hex(),
        "scale": found.scale.hex(),
        "weight": found.weight,
    }


def _fold(
    folder: Path, terms: Federate, updates: list[Json], base: Vector | None
) -> Mapping[str, str]:
    """Who was left out; the model is a file of the folder, if there is one."""
    (folder / "terms.json").write_bytes(encode(terms))
    (folder / "keys.json").write_bytes(encode({"lease": "", "base": None, "updates": updates}))
    if base is not None:
        base.tofile(folder / "base")
    line = [sys.executable, "-I", "-m", "placet.enclave", "round", "--folder", str(folder)]
    ended = subprocess.run(line, check=False, capture_output=True, text=True)
    if ended.returncode:
        raise UsageRefused(
            f"The worker's code did not come to its end here: {ended.stderr.strip()[-300:]}",
            claim="worker",
        )
    return cast("dict[str, str]", json.loads(ended.stdout))
