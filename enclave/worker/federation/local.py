# SPDX-License-Identifier: Apache-2.0
"""A round over updates that lie in a folder, without enclave, log or council: to try terms before
anybody votes on them.

The updates are sealed as clients seal them, and folded as a round's are. Their keys lie beside
them: all of it is the caller's own.
"""

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from placet.enclave.round_keys import RoundKeys
from placet.enclave.worker.federation.aggregate import CohortLeft
from placet.enclave.worker.federation.round import fold, keyed, noise_of
from placet.enclave.worker.federation.terms import REASONS
from placet.enclave.worker.federation.updates import Fault, FileSource
from placet.governance.codec import decode
from placet.governance.documents import Federate
from placet.governance.terms import decode_terms

if TYPE_CHECKING:
    from numpy.typing import NDArray


def run_round(arguments: argparse.Namespace) -> int:
    """Fold `keys.json` and the streams that it names, by `terms.json`, on top of `base`, into
    `model`; write who was left out to standard output. Without enough organisations there is no
    model, as there is none of a round."""
    folder = Path(arguments.folder)
    terms = decode_terms((folder / "terms.json").read_bytes())
    keys = decode(RoundKeys, (folder / "keys.json").read_bytes())
    assert isinstance(terms, Federate), "the caller has a federation's terms"
    with ExitStack() as opened:
        noise = noise_of(terms)
        if noise is not None:
            opened.callback(noise.close)
        updates = [
            keyed(given, terms, FileSource(folder / given.object), opened) for given in keys.updates
        ]
        base = lambda: _base(folder / "base", terms)
        try:
            model, left = fold(terms, updates, noise, base, opened, lambda _: None)
        except CohortLeft as refusal:
            left = {client: Fault(fault) for client, fault in refusal.left.items()}
        else:
            (folder / "model").write_bytes(model.data)
    print(json.dumps({client: REASONS[fault] for client, fault in left.items()}))
    return 0


def _base(path: Path, terms: Federate) -> "NDArray[np.float32]":
    if path.exists():
        return np.fromfile(path, np.float32)
    return np.zeros(terms.layout.elements, np.float32)
