# SPDX-License-Identifier: Apache-2.0
"""Evidence about enclaves: made by attesters, judged by verifiers (RFC 9334).

Two questions, never mixed: `verify_evidence` says whether evidence is genuine and returns what it
claims; `appraise` says whether that is wanted. `verify_binding` ties it to an identity. A caller
that is to act on an enclave's word calls `believe`, which asks all of it.
"""

from placet.attestation.appraisal import Check, appraise, verify_appraisal
from placet.attestation.attester import Attester, SealingKey
from placet.attestation.belief import Attested, Expected, Genuine, believe, verify_genuine
from placet.attestation.binding import (
    NONCE_BYTES,
    evidence_context,
    report_data,
    verify_binding,
)
from placet.attestation.claims import Claims
from placet.attestation.dcap import provisioning
from placet.attestation.evidence import MAX_EVIDENCE_BYTES, Evidence
from placet.attestation.identity import Identity
from placet.attestation.machine import probe
from placet.attestation.policy import Policy
from placet.attestation.quote import strip_quote
from placet.attestation.simulation.attester import SimulatedAttester
from placet.attestation.simulation.root import SIMULATION_ROOT, SIMULATION_SIGNER
from placet.attestation.verifier import verify_evidence

__all__ = [
    "MAX_EVIDENCE_BYTES",
    "NONCE_BYTES",
    "SIMULATION_ROOT",
    "SIMULATION_SIGNER",
    "Attested",
    "Attester",
    "Check",
    "Claims",
    "Evidence",
    "Expected",
    "Genuine",
    "Identity",
    "Policy",
    "SealingKey",
    "SimulatedAttester",
    "appraise",
    "believe",
    "evidence_context",
    "probe",
    "provisioning",
    "report_data",
    "strip_quote",
    "verify_appraisal",
    "verify_binding",
    "verify_evidence",
    "verify_genuine",
]
