# SPDX-License-Identifier: Apache-2.0
"""The relying parties' side: an SDK for owners, councils and submitters, and the `placet` command.

    keys = Keys.load(Path("analyst.key"))
    with Client.at_home(Home.default()) as client:
        job = client.jobs.submit(client.council.ticket(digest))
        client.jobs.wait(job.id)
        client.jobs.result(job.id, keys, Path("out"))

docs/sdk.md lists all of it. Federated training is in `placet.client.federations`; asking a served
model in `placet.client.services`.

Nothing a host says is believed where something better vouches for it: the council's signatures, the
log's key, the enclave's evidence. Refusals are in `placet.refusals`; what a client refuses by
itself is in `errors.py`.
"""

from placet.client.aio import AsyncClient, HostStatus
from placet.client.blocking import Client, Federation, Round, ServedModel
from placet.client.connection.passes import sign_pass
from placet.client.council.charters import CharterDraft
from placet.client.council.records import ProposalItem, ProposalRecord
from placet.client.data.blobs import Blob
from placet.client.data.grants import GrantTerms
from placet.client.data.objects import Progress, SealedObject, open_file, seal_file
from placet.client.errors import (
    AnswerMalformed,
    CallTimedOut,
    EvidenceSimulated,
    FileRefused,
    HostCertificateRefused,
    HostPinMismatch,
    HostUnreachable,
    InputRefused,
    KeyFileRefused,
    PassphraseWrong,
    QuestionRefused,
    SettingMissing,
    StateRefused,
    Unreachable,
    UsageRefused,
)
from placet.client.home import Home
from placet.client.jobs.bundles import Bundle, build_bundle
from placet.client.jobs.results import Result
from placet.client.keys import Keys, PublicKeys
from placet.client.log.memory import CouncilMemory
from placet.client.log.reader import Recorded
from placet.client.runs.status import FederationStatus, JobStatus, RunStatus, ServiceStatus
from placet.client.services.chain import ServedWorker
from placet.client.services.model import AsyncServedModel
from placet.client.services.users import Token
from placet.client.trust.artifacts import (
    EvidenceFile,
    ReceiptFile,
    ticket_from_bytes,
    ticket_to_bytes,
)
from placet.client.trust.verify import (
    VerifiedAuthority,
    VerifiedCouncil,
    VerifiedReceipt,
    verify_answers,
    verify_authority,
    verify_by_log_key,
    verify_council,
    verify_receipt,
)

__all__ = [
    "AnswerMalformed",
    "AsyncClient",
    "AsyncServedModel",
    "Blob",
    "Bundle",
    "CallTimedOut",
    "CharterDraft",
    "Client",
    "CouncilMemory",
    "EvidenceFile",
    "EvidenceSimulated",
    "Federation",
    "FederationStatus",
    "FileRefused",
    "GrantTerms",
    "Home",
    "HostCertificateRefused",
    "HostPinMismatch",
    "HostStatus",
    "HostUnreachable",
    "InputRefused",
    "JobStatus",
    "KeyFileRefused",
    "Keys",
    "PassphraseWrong",
    "Progress",
    "ProposalItem",
    "ProposalRecord",
    "PublicKeys",
    "QuestionRefused",
    "ReceiptFile",
    "Recorded",
    "Result",
    "Round",
    "RunStatus",
    "SealedObject",
    "ServedModel",
    "ServedWorker",
    "ServiceStatus",
    "SettingMissing",
    "StateRefused",
    "Token",
    "Unreachable",
    "UsageRefused",
    "VerifiedAuthority",
    "VerifiedCouncil",
    "VerifiedReceipt",
    "build_bundle",
    "open_file",
    "seal_file",
    "sign_pass",
    "ticket_from_bytes",
    "ticket_to_bytes",
    "verify_answers",
    "verify_authority",
    "verify_by_log_key",
    "verify_council",
    "verify_receipt",
]
