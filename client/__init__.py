# SPDX-License-Identifier: Apache-2.0
"""The relying parties' side: an SDK for owners, councils and submitters, and the `placet` command.

    keys = Keys.load(Path("analyst.key"))
    with Client.at_home(Home.default()) as client:
        job = client.submit(client.proposal(digest).ticket)
        client.wait(job.id)
        client.result(job.id, keys, Path("out"))

Federated training is in `placet.client.federations`; asking a served model in
`placet.client.services`, by `Model`.

Nothing a host says is believed where something better vouches for it: the council's signatures, the
log's key, the enclave's evidence. Errors are drawn as a tree in `errors.py`.
"""

from placet.client._sync_federations import Federation, Round
from placet.client.aio import AsyncClient, AsyncModel
from placet.client.connection.memory import CouncilMemory
from placet.client.council.charters import CharterDraft
from placet.client.data.grants import Terms
from placet.client.data.objects import Progress, SealedObject, open_file, seal_file
from placet.client.errors import (
    AnswerMalformed,
    CallTimedOut,
    ClientError,
    EvidenceSimulated,
    FileRefused,
    HostUnreachable,
    InputRefused,
    KeyFileRefused,
    OfferInvalid,
    PassphraseWrong,
    PinMismatch,
    QuestionRefused,
    Refused,
    SettingMissing,
    StateRefused,
    Unreachable,
    UsageRefused,
)
from placet.client.home import Home
from placet.client.jobs.bundles import Bundle, build_bundle
from placet.client.keys import Keys, PublicKeys
from placet.client.records import (
    Blob,
    HostStatus,
    Job,
    ProposalItem,
    ProposalRecord,
    Recorded,
    Result,
)
from placet.client.services import ServedWorker, ServiceStatus, Token
from placet.client.sync import Client, Model
from placet.client.trust.artifacts import (
    EvidenceFile,
    ReceiptFile,
    ticket_from_bytes,
    ticket_to_bytes,
)
from placet.client.trust.verify import (
    Council,
    VerifiedAuthority,
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
    "AsyncModel",
    "Blob",
    "Bundle",
    "CallTimedOut",
    "CharterDraft",
    "Client",
    "ClientError",
    "Council",
    "CouncilMemory",
    "EvidenceFile",
    "EvidenceSimulated",
    "Federation",
    "FileRefused",
    "Home",
    "HostStatus",
    "HostUnreachable",
    "InputRefused",
    "Job",
    "KeyFileRefused",
    "Keys",
    "Model",
    "OfferInvalid",
    "PassphraseWrong",
    "PinMismatch",
    "Progress",
    "ProposalItem",
    "ProposalRecord",
    "PublicKeys",
    "QuestionRefused",
    "ReceiptFile",
    "Recorded",
    "Refused",
    "Result",
    "Round",
    "SealedObject",
    "ServedWorker",
    "ServiceStatus",
    "SettingMissing",
    "StateRefused",
    "Terms",
    "Token",
    "Unreachable",
    "UsageRefused",
    "VerifiedAuthority",
    "VerifiedReceipt",
    "build_bundle",
    "open_file",
    "seal_file",
    "ticket_from_bytes",
    "ticket_to_bytes",
    "verify_answers",
    "verify_authority",
    "verify_by_log_key",
    "verify_council",
    "verify_receipt",
]
