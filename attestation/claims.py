# SPDX-License-Identifier: Apache-2.0
"""Claims are what genuine evidence says, in the same terms for every kind of hardware."""

from dataclasses import dataclass

from placet.attestation import _strict
from placet.attestation.evidence import KINDS
from placet.refusals import EvidenceMalformed

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
    "Unstated",  # SNP: AMD publishes numbers and no status; policies set a minimum
)
RAW = "raw:"
MAX_SVN = 2**32 - 1
MAX_INTEGER = 2**53 - 1  # whole numbers that every JSON reader keeps


@dataclass(frozen=True, slots=True)
class Claims:
    """Made by `verify_evidence` only: what the root vouches for, not yet whether it is wanted."""

    kind: str
    measurement: str  # hexadecimal; what it covers depends on the kind, see docs/formats.md
    signer: str  # hexadecimal: MRSIGNER; TDX: MRSIGNERSEAM
    product: int  # ISVPRODID; 0 where the hardware has none
    svn: int  # ISVSVN, 16 bits; SNP: the guest's, 32 bits; 0 where the hardware has none
    debug: bool
    # What the enclave was launched for: sha256:..., "" for nothing, or raw: and the hexadecimal of
    # a register that holds something else, which is nobody's digest.
    launched_for: str
    report_data: bytes  # 64 bytes, chosen by the enclave
    platform: str  # hexadecimal: the machine (PPID)
    smt: bool | None  # more than one thread a core; None: the hardware does not say
    dynamic_platform: bool | None  # processors may be added; None: the hardware does not say
    tcb_status: str  # one of TCB_STATUSES
    advisories: tuple[str, ...]
    snp_tcb: str  # fmc.bootloader.tee.snp.microcode, the lowest relied on; "" for other hardware
    # The bits that are set in an SNP report, by the names of snp/bits.py; None: other hardware.
    snp_bits: tuple[str, ...] | None
    tcb_evaluation: (
        int  # the lower of the numbers of TCB info and QE identity; 0 where there are none
    )
    # Unix seconds: the oldest of TCB info, QE identity and PCK CRL; SNP: of the CRL, 0 for none.
    collateral_issued: int
    collateral_expires: int  # Unix seconds: the first end of validity in all that was relied on

    def __post_init__(self) -> None:
        refusal = EvidenceMalformed
        _strict.one_of("kind", self.kind, KINDS, refusal)
        _strict.hexadecimal("measurement", self.measurement, MEASUREMENT_DIGITS, refusal)
        _strict.hexadecimal("signer", self.signer, MEASUREMENT_DIGITS, refusal)
        _strict.integer("product", self.product, 0, 2**16 - 1, refusal)
        _strict.integer("svn", self.svn, 0, MAX_SVN, refusal)
        _strict.boolean("debug", self.debug, refusal)
        if self.launched_for.startswith(RAW):
            _strict.hexadecimal("launched_for", self.launched_for.removeprefix(RAW), (96,), refusal)
        elif self.launched_for:
            _strict.digest("launched_for", self.launched_for, refusal)
        _strict.octets("report_data", self.report_data, 64, 64, refusal)
        _strict.hexadecimal("platform", self.platform, (32, 128), refusal)
        for name, value in (("smt", self.smt), ("dynamic_platform", self.dynamic_platform)):
            if value is not None:
                _strict.boolean(name, value, refusal)
        _strict.one_of("tcb_status", self.tcb_status, TCB_STATUSES, refusal)
        for advisory in self.advisories:
            _strict.text("advisories", advisory, 64, refusal)
        if self.snp_tcb:
            _strict.text("snp_tcb", self.snp_tcb, 19, refusal)
        for bit in self.snp_bits or ():
            _strict.text("snp_bits", bit, 64, refusal)
        _strict.integer("tcb_evaluation", self.tcb_evaluation, 0, MAX_INTEGER, refusal)
        _strict.integer("collateral_issued", self.collateral_issued, 0, MAX_INTEGER, refusal)
        _strict.integer("collateral_expires", self.collateral_expires, 0, MAX_INTEGER, refusal)
