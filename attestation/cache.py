# SPDX-License-Identifier: Apache-2.0
"""Evidence that is asked about again: verified once, appraised each time.

Only the slow question is remembered, whether evidence is genuine and what it says. `appraise` takes
microseconds and is never skipped, so a policy that changed, or collateral that became too old for
it, is seen at once.
"""

import hashlib
import threading
from collections import OrderedDict

from placet.attestation.claims import Claims
from placet.attestation.evidence import Evidence
from placet.attestation.verifier import verify_evidence

MAX_ENTRIES = 1024
_DOMAIN = b"placet/evidence-cache/v1"


class EvidenceCache:
    """Claims of genuine evidence by the digest of quote and collateral; for any thread.

    Refusals are not kept: they may be for the clock. The entry used longest ago gives way.
    """

    def __init__(self, entries: int = MAX_ENTRIES) -> None:
        if entries < 1:
            raise ValueError("a cache has at least one entry")
        self._entries = entries
        self._found: OrderedDict[bytes, tuple[int, Claims]] = OrderedDict()
        self._lock = threading.Lock()

    def verify(self, evidence: Evidence, *, now: int) -> Claims:
        """Return what `verify_evidence` returns at `now` (Unix seconds), or raise what it raises.

        An entry serves from when it was verified until the first thing it relied on expires: before
        and after, the evidence is verified again.
        """
        key = _digest(evidence)
        with self._lock:
            made, claims = self._found.get(key, (0, None))
            if claims is not None and made <= now < claims.collateral_expires:
                self._found.move_to_end(key)
                return claims
        claims = verify_evidence(evidence, now=now)
        with self._lock:
            self._found[key] = (now, claims)
            self._found.move_to_end(key)
            while len(self._found) > self._entries:
                self._found.popitem(last=False)
        return claims


def _digest(evidence: Evidence) -> bytes:
    """Hash the parts, which takes a fifth of what encoding the evidence does."""
    total = hashlib.sha256(_DOMAIN)
    for part in (evidence.kind.encode(), evidence.quote, evidence.collateral.encode()):
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return total.digest()
