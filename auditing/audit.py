# SPDX-License-Identifier: Apache-2.0
"""Replaying a log from its first entry: every decision is made again, and has to come out as the
log has it.

    report = audit(entries, documents, charter, checkpoint, attest=attest)

The council is named by the digest of its charter, and the charter names the log key: nothing else
is believed.

Steps for each entry:
  1. it is in its one encoding, and its time is not before the entry's before it;
  2. the documents that it names are there, have their digests, and are signed by whom they name;
  3. the judgement of its kind (judges.py), over the ledger as it stood, gives the same bytes;
  4. it is folded in.
At the end size and root have to be those of the checkpoint, which the log's key has signed.
An entry whose documents were not given is folded in without steps 2 and 3, and listed. Whatever
does not agree ends the audit with `LogEntryInvalid`, which names the entry. Not shown by any
replay: that nothing was done without an entry.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from placet.auditing.enclaves import Attest, Enclaves
from placet.auditing.entry_form import has_form, named_documents
from placet.auditing.judges import JUDGES, Past
from placet.governance.account import Times
from placet.governance.codec import encode, parse_object
from placet.governance.entries.kind import Entry
from placet.governance.judgements.founding import verify_charter
from placet.governance.keys import PublicKey
from placet.governance.ledger import Documents, Ledger
from placet.governance.log import MAX_ENTRY_BYTES, VerifierKey, verify_checkpoint
from placet.governance.state import PrivacyState
from placet.refusals import DocumentNotFound, LogEntryInvalid, Refusal

# The field by which later entries are traced to an enclave.
_ENCLAVE = {"boot": "boot", "join": "worker"}


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

    Raises `LogEntryInvalid`, `LogCheckpointInvalid` for the checkpoint, or `DocumentNotFound`
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
        raise LogEntryInvalid(
            "The entries are not those that the checkpoint covers. Fetch both again; if it stays "
            "so, report the log.",
            claim="root",
            expected=f"{covered.size} entries, sha256:{covered.root.hex()}",
            actual=f"{size} entries, {root}",
        )
    checked, privacy = size - len(not_checked), replay.ledger.state.privacy
    return AuditReport(log.to_text(), charter, size, root, checked, tuple(not_checked), privacy)


class _Replay:
    """The ledger as it stood at each entry, and the enclaves that the entries so far have
    attested."""

    def __init__(
        self, documents: Documents, log: VerifierKey, charter: str, attest: Attest
    ) -> None:
        self.ledger = Ledger(documents)
        self._documents = documents
        self._enclaves = Enclaves(attest, log.to_text(), charter)
        log_key = PublicKey.ed25519(log.public_key)
        self._past = Past(self.ledger, documents, self._enclaves, log.to_text(), log_key, charter)

    def step(self, index: int, data: bytes) -> tuple[str, ...]:
        """Check and fold one entry; returns the digests for want of which it was not checked.
        Raises `LogEntryInvalid`."""
        try:
            entry, times = self._parse(data)
            missing = tuple(d for d in named_documents(entry) if not self._has(d)) or self._check(
                entry, times, data
            )
            self._fold(entry, data, missing)
        except Refusal as error:
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
            judged = encode(JUDGES[entry["kind"]](self._past, entry, times))
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
        if missing and entry["kind"] in _ENCLAVE:
            self._enclaves.leave_out(entry[_ENCLAVE[entry["kind"]]], missing[0])
        self.ledger.replay(entry, data)

    def _has(self, digest: str) -> bool:
        try:
            self._documents.envelope(digest)
        except DocumentNotFound:
            return False
        return True


def _encoded(entry: Entry) -> bytes:
    try:
        return encode(entry)
    except ValueError:  # text that UTF-8 does not have
        return b""


def _differs(expected: str, actual: str) -> LogEntryInvalid:
    return LogEntryInvalid(
        "The judgement comes out otherwise than the log has it.", expected=expected, actual=actual
    )


def _invalid(index: int, error: Refusal) -> LogEntryInvalid:
    """The refusal of an entry, in the words of what refused it."""
    details: dict[str, str] = {**error.details, "claim": f"entry {index}"}
    return LogEntryInvalid(f"Entry {index} is not what the documents give: {error}", **details)
