# SPDX-License-Identifier: Apache-2.0
"""What genuine evidence says, in the same terms for every kind of hardware."""

from dataclasses import dataclass

from placet.attestation import _strict
from placet.attestation.errors import EvidenceMalformedError
from placet.attestation.evidence import KINDS

MEASUREMENT_DIGITS = (64, 96)  # SGX and simulation; TDX and SNP
TCB_STATUSES = (
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "TDRelaunchAdvised",
    "TDRelaunchAdvisedConfigurationNeeded",
    "Revoked",
)
MAX_INTEGER = 2**53 - 1  # whole numbers that every JSON reader keeps


@dataclass(frozen=True, slots=True)
class Claims:
    """Made by `verify_evidence` only: what the root vouches for, not yet whether it is wanted."""

    kind: str
    measurement: str  # hexadecimal: MRENCLAVE
    signer: str  # hexadecimal: MRSIGNER
    product: int
    svn: int
    debug: bool
    bound_to: str  # what the enclave was launched for: sha256:..., or "" for nothing
    report_data: bytes  # 64 bytes, chosen by the enclave
    platform: str  # hexadecimal: the machine (PPID)
    tcb_status: str  # one of TCB_STATUSES
    advisories: tuple[str, ...]
    tcb_evaluation: int  # the lower of the evaluation numbers of TCB info and QE identity
    collateral_issued: int  # Unix seconds: the oldest of TCB info, QE identity and PCK CRL

    def __post_init__(self) -> None:
        refusal = EvidenceMalformedError
        _strict.one_of("kind", self.kind, KINDS, refusal)
        _strict.hexadecimal("measurement", self.measurement, MEASUREMENT_DIGITS, refusal)
        _strict.hexadecimal("signer", self.signer, MEASUREMENT_DIGITS, refusal)
        _strict.integer("product", self.product, 0, 2**16 - 1, refusal)
        _strict.integer("svn", self.svn, 0, 2**16 - 1, refusal)
        _strict.boolean("debug", self.debug, refusal)
        if self.bound_to:
            _strict.digest("bound_to", self.bound_to, refusal)
        _strict.octets("report_data", self.report_data, 64, 64, refusal)
        _strict.hexadecimal("platform", self.platform, (32, 128), refusal)
        _strict.one_of("tcb_status", self.tcb_status, TCB_STATUSES, refusal)
        for advisory in self.advisories:
            _strict.text("advisories", advisory, 64, refusal)
        _strict.integer("tcb_evaluation", self.tcb_evaluation, 0, MAX_INTEGER, refusal)
        _strict.integer("collateral_issued", self.collateral_issued, 0, MAX_INTEGER, refusal)
