# SPDX-License-Identifier: Apache-2.0
"""Replaying a log from its first entry: every decision is made again, and has to come out as the
log has it.

    report = audit(entries, documents, charter, checkpoint, attest=attest)

The council is named by the digest of its charter, and the charter names the log key: nothing else
is believed.

Steps for each entry:
  1. it is in its one encoding, and its time is not before the entry's before it;
  2. the documents that it names are there, have their digests, and are signed by whom they name;
  3. the judgement that admission.py or leasing.py makes of them, over the ledger as it stood, gives
     the same bytes;
  4. it is folded in.
At the end size and root have to be those of the checkpoint, which the log's key has signed.
An entry whose documents were not given is folded in without steps 2 and 3, and listed. Whatever
does not agree ends the audit with `EntryInvalid`, which names the entry. Not shown by any replay:
that nothing was done without an entry.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from placet.auditing.entry_form import has_form
from placet.governance.account import Times
from placet.governance.codec import Json, encode, parse_object
from placet.governance.documents import Header, Lease, Receipt, Release
from placet.governance.documents.work import check_hpke
from placet.governance.envelope import Signed, digest_of, verify_signed
from placet.governance.errors import DocumentNotFound, EntryInvalid, ReceiptInvalid
from placet.governance.evaluate import check_charter
from placet.governance.judgements import admission, federation, leasing
from placet.governance.judgements.draws import judge_draw
from placet.governance.judgements.founding import verify_charter
from placet.governance.judgements.receipts import receipt_for
from placet.governance.keys import PublicKey
from placet.governance.ledger import Documents, Ledger, missing_document
from placet.governance.log import MAX_ENTRY_BYTES, VerifierKey, verify_checkpoint
from placet.governance.state import Entry, PrivacyState

# The field by which later entries are traced to an enclave.
_ENCLAVE = {"boot": "boot", "join": "worker"}

# Fields that hold the digest of a document, in the order in which a judgement takes them.
_NAMED = {
    "charter": ("constitution", "charter"),
    "constitution": ("proposal", "constitution"),
    "boot": ("identity", "evidence"),
    "proposal": ("proposal",),
    "ballot": ("ballot",),
    "stop": ("stop",),
    "grant": ("grant",),
    "join": ("worker", "evidence"),
    "lease": ("lease",),
    "renewal": (),
    "release": ("release", "receipt"),
    "close": (),
    "open": (),
    "update": ("update",),
    "cohort": (),
    "aggregate": ("release", "receipt"),
    "lift": (),
    "draw": (),
}


class Identity(Protocol):
    """What an enclave says of itself, as far as entries depend on it."""

    @property
    def boot(self) -> str: ...
    @property
    def signing(self) -> str: ...


class Claims(Protocol):
    """What its hardware says, as far as entries depend on it."""

    @property
    def kind(self) -> str: ...
    @property
    def measurement(self) -> str: ...
    @property
    def bound_to(self) -> str: ...


class Attested(Protocol):
    """An enclave that is genuine and that a policy wants."""

    @property
    def identity(self) -> Identity: ...
    @property
    def claims(self) -> Claims: ...


class Genuine(Protocol):
    """An enclave whose evidence is genuine; it raises unless a policy wants it at `now`."""

    def appraise(self, policy: Json, *, now: int) -> Attested: ...


class Attest(Protocol):
    """Attestation, which governance does not import.

    It raises unless `evidence` was genuine at `at` (Unix seconds) and binds an `identity` of this
    role, log and charter to `nonce`. What is bound_to is judged here.
    """

    def __call__(
        self,
        identity: bytes,
        evidence: bytes,
        *,
        role: str,
        log: str,
        charter: str,
        nonce: bytes,
        at: int,
    ) -> Genuine: ...


@dataclass(frozen=True, slots=True)
class NotChecked:
    """An entry that was folded in unjudged, and the digests of the documents that it would have
    taken."""

    index: int
    kind: str
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AuditReport:
    """`checked` entries came out as the log has them; together with those not checked they are all
    `size` of them.

    privacy: what each data owner has been charged, by all entries.
    """

    log: str
    charter: str
    size: int
    root: str
    checked: int
    not_checked: tuple[NotChecked, ...]
    privacy: dict[str, PrivacyState]

    @property
    def complete(self) -> bool:
        """Whether every entry was checked."""
        return not self.not_checked


def audit(
    entries: Sequence[bytes],
    documents: Documents,
    charter: str,
    checkpoint: bytes,
    *,
    attest: Attest,
) -> AuditReport:
    """Judge the whole log of the council whose charter has this digest.

    Raises `EntryInvalid`, `CheckpointInvalidError` for the checkpoint, or `DocumentNotFound`
    without the charter. `documents` gives envelopes, and identities and evidence as they are, by
    digest; it raises `DocumentNotFound` for what it does not have.
    """
    log = VerifierKey.from_text(verify_charter(documents.envelope(charter), charter).log)
    covered = verify_checkpoint(checkpoint, log)
    replay = _Replay(documents, log, charter, attest)
    not_checked: list[NotChecked] = []
    for index, data in enumerate(entries):
        missing = replay.step(index, data)
        if missing:
            kind: str = parse_object(data)["kind"]
            not_checked.append(NotChecked(index, kind, missing))
    if replay.ledger.state.charter != charter:
        raise _differs(f"an entry 0 of the charter {charter}", replay.ledger.state.charter)
    size, root = replay.ledger.head()
    if (size, root) != (covered.size, "sha256:" + covered.root.hex()):
        raise EntryInvalid(
            "The entries are not those that the checkpoint covers. Fetch both again; if it stays "
            "so, report the log.",
            claim="root",
            expected=f"{covered.size} entries, sha256:{covered.root.hex()}",
            actual=f"{size} entries, {root}",
        )
    checked, privacy = size - len(not_checked), replay.ledger.state.privacy
    return AuditReport(log.to_text(), charter, size, root, checked, tuple(not_checked), privacy)


@dataclass(frozen=True, slots=True)
class _Enclave:
    """An enclave whose entry was checked: by which documents, and how it is appraised again."""

    identity: str
    evidence: str
    nonce: bytes
    genuine: Genuine
    attested: Attested


class _Replay:
    """The ledger as it stood at each entry, and the keys of enclaves that the entries so far have
    attested."""

    def __init__(
        self, documents: Documents, log: VerifierKey, charter: str, attest: Attest
    ) -> None:
        self.ledger = Ledger(documents)
        self._documents = documents
        self._log = log.to_text()
        self._charter = charter
        self._log_key = PublicKey.ed25519(log.public_key)
        self._attest = attest
        # Enclaves whose evidence was not checked, with what it would have taken.
        self._unattested: dict[str, str] = {}
        self._boots: dict[str, PublicKey] = {}
        self._joined: dict[str, _Enclave] = {}
        self._judges: dict[str, Callable[[Entry, Times], Entry]] = {
            "charter": self._founding,
            "constitution": self._constitution,
            "boot": self._boot,
            "proposal": self._document,
            "ballot": self._document,
            "stop": self._document,
            "grant": self._grant,
            "join": self._join,
            "lease": self._lease,
            "renewal": self._renewal,
            "release": self._release,
            "close": self._close,
            "open": self._open,
            "update": self._update,
            "cohort": self._cohort,
            "aggregate": self._aggregate,
            "lift": self._lift,
            "draw": self._draw,
        }

    def step(self, index: int, data: bytes) -> tuple[str, ...]:
        """Check and fold one entry; returns the digests for want of which it was not checked.
        Raises `EntryInvalid`."""
        try:
            entry, times = self._parse(data)
            missing = self._missing(entry) or self._check(entry, times, data)
            self._fold(entry, data, missing)
        except Exception as error:
            if not hasattr(error, "reason"):
                raise
            raise _invalid(index, error) from error
        return missing

    def _parse(self, data: bytes) -> tuple[Entry, Times]:
        """Step 1."""
        entry = parse_object(data, MAX_ENTRY_BYTES)
        if not has_form(entry) or _encoded(entry) != data:
            raise _differs("an entry of a known kind, in its one encoding", "another one")
        at_least, at_most = entry["at"]
        last = self.ledger.state.times.at_most
        if not at_least <= at_most or at_most < last:
            raise _differs(f"times that are in order, not before {last}", f"{at_least}, {at_most}")
        return entry, Times(at_least, at_most)

    def _check(self, entry: Entry, times: Times, data: bytes) -> tuple[str, ...]:
        """Steps 2 and 3; returns what was missing after all."""
        try:
            judged = encode(self._judges[entry["kind"]](entry, times))
        except DocumentNotFound as error:
            digest = error.details["actual"]
            if self._has(digest):
                raise
            return (digest,)
        if judged != data:
            raise _differs(judged.decode(), data.decode())
        return ()

    def _fold(self, entry: Entry, data: bytes, missing: tuple[str, ...]) -> None:
        """Step 4. Only an entry that was not checked can name what the log does not have."""
        if missing and entry["kind"] in ("boot", "join"):
            self._unattested[entry[_ENCLAVE[entry["kind"]]]] = missing[0]
        try:
            self.ledger.replay(entry, data)
        except KeyError as error:
            raise _differs("an entry about what the log has", f"{error.args[0]}") from None

    def _has(self, digest: str) -> bool:
        try:
            self._documents.envelope(digest)
        except DocumentNotFound:
            return False
        return True

    def _missing(self, entry: Entry) -> tuple[str, ...]:
        named = (entry[name] for name in _NAMED[entry["kind"]])
        # A round that released nothing has no receipt.
        return tuple(digest for digest in named if digest and not self._has(digest))

    def _named(self, entry: Entry, name: str) -> bytes:
        return self._documents.envelope(entry[name])

    def _founding(self, entry: Entry, times: Times) -> Entry:
        constitution, charter = self._named(entry, "constitution"), self._named(entry, "charter")
        return admission.judge_charter(self.ledger, constitution, charter, self._log, times)

    def _constitution(self, entry: Entry, times: Times) -> Entry:
        proposal = self.ledger.proposal(entry["proposal"])
        admitted = admission.readmit(self.ledger, proposal, "amend", times)
        successor = self._named(entry, "constitution")
        return admission.judge_amendment(self.ledger, admitted, successor, times)

    def _document(self, entry: Entry, times: Times) -> Entry:
        return admission.judge_document(self.ledger, self._named(entry, entry["kind"]), times)

    def _grant(self, entry: Entry, times: Times) -> Entry:
        return admission.judge_grant(self.ledger, self._named(entry, "grant"), times)

    def _boot(self, entry: Entry, times: Times) -> Entry:
        policy = self.ledger.in_force().constitution.evidence.authority
        found = self._enclave("authority", entry, "identity", policy, times)
        said = found.attested.identity
        if said.boot in self._boots:
            raise _differs("a boot that the log does not have", said.boot)
        judged = leasing.judge_boot(said.boot, found.identity, found.evidence, found.nonce, times)
        self._boots[said.boot] = PublicKey(said.signing)
        return judged

    def _join(self, entry: Entry, times: Times) -> Entry:
        policy = self.ledger.in_force().constitution.evidence.worker
        found = self._enclave("worker", entry, "worker", policy, times)
        claims = found.attested.claims
        judged = leasing.judge_join(
            self.ledger, found.identity, claims, found.evidence, found.nonce, times
        )
        self._joined[found.identity] = found
        return judged

    def _enclave(self, role: str, entry: Entry, name: str, policy: Json, times: Times) -> _Enclave:
        identity, evidence = self._named(entry, name), self._named(entry, "evidence")
        nonce, now = bytes.fromhex(entry["nonce"]), times.at_most
        genuine = self._attest(
            identity,
            evidence,
            role=role,
            log=self._log,
            charter=self._charter,
            nonce=nonce,
            at=now,
        )
        attested = genuine.appraise(policy, now=now)
        return _Enclave(digest_of(identity), digest_of(evidence), nonce, genuine, attested)

    def _lease(self, entry: Entry, times: Times) -> Entry:
        boot = self.ledger.state.boot
        if boot not in self._boots:
            raise self._not_attested(boot)
        lease = verify_signed(self._named(entry, "lease"), Lease, lambda _: [self._boots[boot]])
        proposal = self.ledger.proposal(lease.document.proposal)
        admitted = admission.readmit(self.ledger, proposal, lease.document.job, times)
        return leasing.judge_lease(
            self.ledger, admitted, lease.document, lease.digest, self._appraise(times), times
        )

    def _renewal(self, entry: Entry, times: Times) -> Entry:
        return leasing.judge_renewal(self.ledger, entry["lease"], self._appraise(times), times)

    def _release(self, entry: Entry, times: Times) -> Entry:
        release, receipt = self._released(entry), self._receipt(entry, times)
        appraise = self._appraise(times)
        return leasing.judge_release(self.ledger, release, receipt, appraise, times)

    def _released(self, entry: Entry) -> Signed[Release]:
        return verify_signed(
            self._named(entry, "release"),
            Release,
            lambda d: [PublicKey(self._worker(d.worker).attested.identity.signing)],
        )

    def _receipt(self, entry: Entry, times: Times) -> str:
        """The digest of the receipt, once it has turned out to say what it has to; "" where an
        entry names none."""
        if not entry["receipt"]:
            return ""
        release = self._released(entry)
        receipt = verify_signed(self._named(entry, "receipt"), Receipt, lambda _: [self._log_key])
        header: Header = receipt.document.predicate.header
        check_charter(header.charter, self._charter)
        self.ledger.check_seen(header)
        kind = self._worker(release.document.worker).attested.claims.kind
        if receipt_for(self.ledger, release, kind, header, times) != receipt.document:
            raise ReceiptInvalid("The receipt does not say what the log says.", claim="receipt")
        return receipt.digest

    def _open(self, entry: Entry, times: Times) -> Entry:
        proposal = self.ledger.proposal(entry["proposal"])
        check_hpke("key", entry["key"])
        return federation.judge_open(self.ledger, proposal, entry["key"], times)

    def _update(self, entry: Entry, times: Times) -> Entry:
        return federation.judge_update(self.ledger, self._named(entry, "update"), times)[1]

    def _cohort(self, entry: Entry, times: Times) -> Entry:
        return federation.judge_cohort(self.ledger, entry["proposal"], entry["round"], times)

    def _aggregate(self, entry: Entry, times: Times) -> Entry:
        release, receipt = self._released(entry), self._receipt(entry, times)
        appraise = self._appraise(times)
        return federation.judge_aggregate(self.ledger, release, receipt, appraise, times)

    def _lift(self, entry: Entry, times: Times) -> Entry:
        return federation.judge_lift(self.ledger, entry["proposal"], entry["client"], times)

    def _draw(self, entry: Entry, times: Times) -> Entry:
        return judge_draw(self.ledger, entry["lease"], entry["user"], entry["rows"], times)

    def _close(self, entry: Entry, times: Times) -> Entry:
        return leasing.judge_close(self.ledger, entry["lease"], entry["why"], times)

    def _worker(self, worker: str) -> _Enclave:
        if worker not in self._joined:
            raise self._not_attested(worker)
        return self._joined[worker]

    def _not_attested(self, enclave: str) -> Exception:
        if enclave in self._unattested:
            return missing_document(self._unattested[enclave])
        return _differs("an enclave that the log has attested", enclave)

    def _appraise(self, times: Times) -> leasing.Appraise:
        def appraise(worker: str, policy: Json) -> None:
            self._worker(worker).genuine.appraise(policy, now=times.at_most)

        return appraise


def _encoded(entry: Entry) -> bytes:
    try:
        return encode(entry)
    except ValueError:  # text that UTF-8 does not have
        return b""


def _differs(expected: str, actual: str) -> EntryInvalid:
    return EntryInvalid(
        "The judgement comes out otherwise than the log has it.", expected=expected, actual=actual
    )


def _invalid(index: int, error: Exception) -> EntryInvalid:
    """The refusal of an entry, in the words of what refused it."""
    details: dict[str, str] = {**getattr(error, "details", {}), "claim": f"entry {index}"}
    return EntryInvalid(f"Entry {index} is not what the documents give: {error}", **details)
