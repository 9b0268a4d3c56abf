# SPDX-License-Identifier: Apache-2.0
"""AMD SEV-SNP: attestation reports, judged offline below AMD's pinned roots.

Sources: the firmware ABI (AMD 56860) for the report, the KDS specification (AMD 57230) for the
certificates. Names of fields are theirs.
"""

from placet.attestation.snp.collateral import Collateral
from placet.attestation.snp.machine import MACHINES, Machine
from placet.attestation.snp.report import REPORT_BYTES, Report
from placet.attestation.snp.tcb import Tcb
from placet.attestation.snp.verify import verify_report, verify_snp

__all__ = [
    "MACHINES",
    "REPORT_BYTES",
    "Collateral",
    "Machine",
    "Report",
    "Tcb",
    "verify_report",
    "verify_snp",
]
