# SPDX-License-Identifier: Apache-2.0
"""Is this evidence genuine? One verifier for each kind, in one table.

Steps for a quote of Intel's (`simulation` takes the same road below a root of its own):

1. the kind, which evidence has one of, names the verifier;
2. the quote ends where its own length says: hardware pads some quotes, whoever makes evidence
   strips that (`strip_quote`), and bytes that no signature covers are refused here;
3. dcap-qvl verifies signatures, certificates, revocation, QE identity, TCB and the dates;
4. the claims are read from what dcap-qvl reports, never from the bytes.

Whether a genuine enclave is *wanted* is for `appraise`; that it speaks for an identity, for
`verify_binding`. The caller MUST do both.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from placet.attestation.claims import Claims
from placet.attestation.dcap import verify_dcap
from placet.attestation.evidence import Evidence
from placet.attestation.simulation.root import SIMULATION_ROOT
from placet.attestation.snp import verify_snp


def verify_evidence(evidence: Evidence, *, now: int) -> Claims:
    """Return what genuine evidence says at `now` (Unix seconds).

    Raises EvidenceMalformed, EvidenceInvalid, EvidenceDebug or CollateralStale; ValueError if `now`
    is no date.
    """
    return _VERIFIERS[evidence.kind](evidence, now)  # 1


def _verify_simulation(evidence: Evidence, now: int) -> Claims:
    return verify_dcap(evidence, SIMULATION_ROOT, now)


def _verify_intel(evidence: Evidence, now: int) -> Claims:
    return verify_dcap(evidence, None, now)


_VERIFIERS: Final[Mapping[str, Callable[[Evidence, int], Claims]]] = MappingProxyType(
    {
        "simulation": _verify_simulation,
        "sgx": _verify_intel,
        "tdx": _verify_intel,
        "snp": verify_snp,
    }
)
