# SPDX-License-Identifier: Apache-2.0
"""How an audit judges each kind of entry again: the documents that the entry names, the judgement
that the authority made of them, and the entry that has to come out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from placet.auditing.enclaves import Enclaves
from placet.governance.account import Times
from placet.governance.codec import Json
from placet.governance.documents import Header, Lease, Receipt, Release
from placet.governance.documents.work.parts import check_hpke
from placet.governance.entries import council, federations, leases, services
from placet.governance.entries.kind import Entry, F, Kind
from placet.governance.envelope import Signed, verify_signed
from placet.governance.evaluate import check_charter
from placet.governance.judgements import admission, draws, federation, leasing
from placet.governance.judgements.receipts import receipt_for
from placet.governance.judgements.releases import judge_release
from placet.governance.keys import PublicKey
from placet.governance.ledger import Documents, Ledger
from placet.refusals import ReceiptInvalid


@dataclass(frozen=True, slots=True)
class Past:
    """The log before an entry: its ledger, the documents, and the enclaves that it has attested."""

    ledger: Ledger
    documents: Documents
    enclaves: Enclaves
    log: str
    log_key: PublicKey
    charter: str

    def named(self, digest: str) -> bytes:
        """A document that the entry names. Raises `DocumentNotFound`."""
        return self.documents.envelope(digest)


Judge = Callable[[Past, F, Times], Entry]

JUDGES: dict[str, Callable[[Past, Any, Times], Entry]] = {}


def judges(kind: Kind[F]) -> Callable[[Judge[F]], Judge[F]]:
    """Enter the judge of a kind of entry."""

    def enter(judge: Judge[F]) -> Judge[F]:
        JUDGES[kind.name] = judge
        return judge

    return enter


@judges(council.CHARTER)
def _charter(past: Past, entry: council.Charter, times: Times) -> Entry:
    constitution, charter = past.named(entry["constitution"]), past.named(entry["charter"])
    return admission.judge_charter(past.ledger, constitution, charter, past.log, times)


@judges(council.CONSTITUTION)
def _constitution(past: Past, entry: council.Constitution, times: Times) -> Entry:
    proposal = past.ledger.proposal(entry["proposal"])
    admitted = admission.readmit(past.ledger, proposal, "amend", times)
    successor = past.named(entry["constitution"])
    return admission.judge_amendment(past.ledger, admitted, successor, times)


@judges(council.PROPOSAL)
def _proposal(past: Past, entry: council.Proposal, times: Times) -> Entry:
    return admission.judge_document(past.ledger, past.named(entry["proposal"]), times)


@judges(council.BALLOT)
def _ballot(past: Past, entry: council.Ballot, times: Times) -> Entry:
    return admission.judge_document(past.ledger, past.named(entry["ballot"]), times)


@judges(council.STOP)
def _stop(past: Past, entry: council.Stop, times: Times) -> Entry:
    return admission.judge_document(past.ledger, past.named(entry["stop"]), times)


@judges(council.GRANT)
def _grant(past: Past, entry: council.Grant, times: Times) -> Entry:
    return admission.judge_grant(past.ledger, past.named(entry["grant"]), times)


@judges(council.BOOT)
def _boot(past: Past, entry: council.Boot, times: Times) -> Entry:
    policy = past.ledger.in_force().constitution.evidence.authority
    identity, evidence = past.named(entry["identity"]), past.named(entry["evidence"])
    enclaves, nonce = past.enclaves, entry["nonce"]
    found = enclaves.judge("authority", identity, evidence, nonce, policy, times)
    enclaves.add_boot(found)
    boot = found.attested.identity.boot
    return leasing.judge_boot(boot, found.identity, found.evidence, found.nonce, times)


@judges(leases.JOIN)
def _join(past: Past, entry: leases.Join, times: Times) -> Entry:
    policy = past.ledger.in_force().constitution.evidence.worker
    identity, evidence = past.named(entry["worker"]), past.named(entry["evidence"])
    enclaves, nonce = past.enclaves, entry["nonce"]
    found = enclaves.judge("worker", identity, evidence, nonce, policy, times)
    claims = found.attested.claims
    judged = leasing.judge_join(
        past.ledger, found.identity, claims, found.evidence, found.nonce, times
    )
    enclaves.add_worker(found)
    return judged


@judges(leases.LEASE)
def _lease(past: Past, entry: leases.Lease, times: Times) -> Entry:
    ledger, boot_key = past.ledger, past.enclaves.boot_key(past.ledger.state.boot)
    lease = verify_signed(past.named(entry["lease"]), Lease, lambda _: [boot_key])
    proposal = ledger.proposal(lease.document.proposal)
    admitted = admission.readmit(ledger, proposal, lease.document.job, times)
    appraise = _appraise(past, times)
    return leasing.judge_lease(ledger, admitted, lease.document, lease.digest, appraise, times)


@judges(leases.RENEWAL)
def _renewal(past: Past, entry: leases.Renewal, times: Times) -> Entry:
    return leasing.judge_renewal(past.ledger, entry["lease"], _appraise(past, times), times)


@judges(leases.RELEASE)
def _release(past: Past, entry: leases.Release, times: Times) -> Entry:
    release = _released(past, entry["release"])
    receipt = _receipt(past, release, entry["receipt"], times) if entry["receipt"] else ""
    return judge_release(past.ledger, release, receipt, _appraise(past, times), times)


@judges(leases.CLOSE)
def _close(past: Past, entry: leases.Close, times: Times) -> Entry:
    return leasing.judge_close(past.ledger, entry["lease"], entry["why"], times)


@judges(federations.OPEN_ROUND)
def _open_round(past: Past, entry: federations.OpenRound, times: Times) -> Entry:
    proposal = past.ledger.proposal(entry["proposal"])
    check_hpke("key", entry["key"])
    return federation.judge_open_round(past.ledger, proposal, entry["key"], times)


@judges(federations.UPDATE)
def _update(past: Past, entry: federations.Update, times: Times) -> Entry:
    return federation.judge_update(past.ledger, past.named(entry["update"]), times)[1]


@judges(federations.CLOSE_ROUND)
def _close_round(past: Past, entry: federations.CloseRound, times: Times) -> Entry:
    return federation.judge_close_round(past.ledger, entry["proposal"], entry["round"], times)


@judges(federations.LIFT)
def _lift(past: Past, entry: federations.Lift, times: Times) -> Entry:
    return federation.judge_lift(past.ledger, entry["proposal"], entry["client"], times)


@judges(services.DRAW)
def _draw(past: Past, entry: services.Draw, times: Times) -> Entry:
    return draws.judge_draw(past.ledger, entry["lease"], entry["user"], entry["rows"], times)


def _released(past: Past, digest: str) -> Signed[Release]:
    def keys_of(release: Release) -> list[PublicKey]:
        return [PublicKey(past.enclaves.worker(release.worker).attested.identity.signing)]

    return verify_signed(past.named(digest), Release, keys_of)


def _receipt(past: Past, release: Signed[Release], digest: str, times: Times) -> str:
    """The digest of the receipt, once it has turned out to say what it has to."""
    receipt = verify_signed(past.named(digest), Receipt, lambda _: [past.log_key])
    header: Header = receipt.document.predicate.header
    check_charter(header.charter, past.charter)
    past.ledger.check_seen(header)
    kind = past.enclaves.worker(release.document.worker).attested.claims.kind
    if receipt_for(past.ledger, release, kind, header, times) != receipt.document:
        raise ReceiptInvalid("The receipt does not say what the log says.", claim="receipt")
    return receipt.digest


def _appraise(past: Past, times: Times) -> leasing.Appraise:
    def appraise(worker: str, policy: Json) -> None:
        past.enclaves.worker(worker).attested.appraise(policy, now=times.at_most)

    return appraise
