# SPDX-License-Identifier: Apache-2.0
"""A model in plaintext under terms, without enclave, keys or council: what a worker would do with
it, before anybody votes on it.

The code is the worker's own. It is at its owner's, so what a worker keeps to itself (names in the
file, words of the runtime) is told.
"""

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

from placet.enclave.worker.inference.model import Model, load_model
from placet.enclave.worker.inference.rehearsal import Rehearsal, rehearse
from placet.governance.codec import to_plain
from placet.governance.documents import Serve
from placet.governance.terms import decode_terms
from placet.refusals import Refusal, RequestMalformed

_LONG = 10.0  # seconds of a question, beyond which no batch is tried


def check_model(arguments: argparse.Namespace) -> int:
    """Write what was found as one line of JSON."""
    terms = decode_terms(Path(arguments.terms).read_bytes())
    if not isinstance(terms, Serve):
        raise RequestMalformed("The terms are not those of a service.", claim="terms")
    data = bytearray(Path(arguments.model).read_bytes())
    found: dict[str, Any] = {"bytes": len(data), "refusal": None}
    try:
        start = time.perf_counter()
        model = load_model(data, terms.answers, terms.samples)
        found |= {
            "load_seconds": time.perf_counter() - start,
            "inputs": to_plain(model.inputs),
            "answers": to_plain(model.answers),
            "rows": model.rows,
        }
        found["question"] = to_plain(one := rehearse(model, terms))
        found["batch"] = to_plain(_batch(model, terms, one))
    except Refusal as refusal:
        found["refusal"] = {
            "reason": refusal.reason,
            "message": str(refusal),
            "details": dict(refusal.details),
            "notes": list(getattr(refusal, "__notes__", ())),
        }
    found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(found))
    return 0


def _batch(model: Model, terms: Serve, one: Rehearsal) -> Rehearsal | None:
    """As many rows as are run together, as far as they fit one question: at that rate rows are
    answered."""
    if not model.batchable or one.seconds > _LONG:
        return None
    rows = min(terms.batch_rows, terms.most_rows, terms.largest_question // one.question)
    rows = min(rows, terms.largest_question // one.answer)
    return rehearse(model, terms, max(1, rows))
