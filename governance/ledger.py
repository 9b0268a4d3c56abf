# SPDX-License-Identifier: Apache-2.0
"""Judgements stand on a ledger: the state, the Merkle tree, and the documents that entries name by
digest.

Documents come from outside and are verified every time they are loaded, by digest and by
signature; whoever keeps them can withhold one (`DocumentNotFound`, which names it) and nothing
else. A document that the log does not name is not loaded at all, even if it says that it is of this
log.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable
from typing import Protocol, TypeVar, cast

from placet.governance.checks import check_nonce
from placet.governance.codec import encode
from placet.governance.documents import (
    Ballot,
    Constitution,
    Grant,
    Header,
    Proposal,
    Update,
)
from placet.governance.entries.kind import Entry
from placet.governance.entries.table import apply
from placet.governance.envelope import (
    Signed,
    inspect,
    parse_envelope,
    verify_signed,
)
from placet.governance.evaluate import InForce, check_charter, verify_ballot, verify_proposal
from placet.governance.keys import PublicKey
from placet.governance.log import MAX_ENTRY_BYTES, Checkpoint, Tree, leaf_hash
from placet.governance.state import State
from placet.refusals import (
    DocumentNotFound,
    DocumentReplayed,
    LogEntryInvalid,
    NotFounded,
    SeenUnknown,
)

_KEPT = 4096
_BATCH = 512

T = TypeVar("T")
UnderConstitution = type[Proposal] | type[Ballot]


class Documents(Protocol):
    """Where envelopes are found by the digest of their payload. Raises `DocumentNotFound`."""

    def envelope(self, digest: str) -> bytes: ...


class Ledger:
    """State and tree of one log, with the documents behind it. `append` is the only thing that
    changes it."""

    def __init__(self, documents: Documents) -> None:
        self.state = State()
        self.tree = Tree()
        self._documents = documents
        self._loaded: OrderedDict[tuple[str, str | bytes], object] = OrderedDict()

    def append(self, entry: Entry) -> bytes:
        """Add an entry that has been judged; returns its bytes. Raises `LogEntryInvalid` for one
        that no log can hold."""
        data = encode(entry)
        if len(data) > MAX_ENTRY_BYTES:
            raise LogEntryInvalid(
                "The entry is too long for the log. Ask for less at once.",
                claim="entry",
                expected=f"at most {MAX_ENTRY_BYTES} bytes",
                actual=f"{len(data)} bytes",
            )
        self.replay(entry, data)
        return data

    def replay(self, entry: Entry, data: bytes) -> None:
        """Add an entry of a log that a checkpoint vouches for. Raises `LogEntryInvalid`."""
        apply(self.state, entry)
        self.tree.append(leaf_hash(data))

    def replay_all(self, entries: Iterable[bytes], checkpoint: Checkpoint) -> None:
        """Fold a whole log into an empty ledger, once its root has turned out to be the
        checkpoint's.

        The checkpoint's signature is the caller's to verify. Raises `LogEntryInvalid`. Entries
        that are others change nothing; one that cannot be folded leaves the ledger void.
        """
        data = list(entries)
        tree = Tree(map(leaf_hash, data))
        if self.tree.size or (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
            raise LogEntryInvalid(
                "The entries are not those that the checkpoint covers. Fetch both again.",
                claim="root",
                expected=f"{checkpoint.size} entries, {checkpoint.root.hex()}",
                actual=f"{tree.size} entries, {tree.root().hex()}",
            )
        for start in range(0, len(data), _BATCH):
            # One parse for many entries takes half the time that one for each would.
            for entry in json.loads(b"[%b]" % b",".join(data[start : start + _BATCH])):
                apply(self.state, entry)
        self.tree = tree

    def in_force(self) -> InForce:
        """The constitution in force, with what has been revoked since. Raises `NotFounded`,
        `DocumentNotFound`."""
        digest = self.state.constitution
        if not digest:
            raise NotFounded("The log has no charter yet. Found it first: placet charter.")
        return self.under(digest)

    def constitution(self, digest: str) -> Constitution:
        """A constitution of this log, past or present: its digest is in the log, after its signers
        were checked."""

        def load() -> Constitution:
            _check_named(digest, self.state.constitutions)
            envelope = self._envelope(digest)
            return verify_signed(envelope, Constitution, lambda c: c.seat_keys).document

        return self._once("constitution", digest, load)

    def proposal(self, digest: str) -> Signed[Proposal]:
        """A proposal of this log."""

        def load() -> Signed[Proposal]:
            _check_named(digest, self.state.proposals)
            return verify_proposal(self._envelope(digest), self._under(digest, Proposal))

        return self._once("proposal", digest, load)

    def ballot(self, digest: str) -> Signed[Ballot]:
        """A ballot of this log."""

        def load() -> Signed[Ballot]:
            return verify_ballot(self._envelope(digest), self._under(digest, Ballot))

        return self._once("ballot", digest, load)

    def grant(self, digest: str) -> Signed[Grant]:
        """A grant of this log, signed by its owner under the constitution that it came under."""

        def load() -> Signed[Grant]:
            _check_named(digest, self.state.grants)
            keys_of = self.constitution(self.state.grants[digest].constitution).keys_of
            return verify_signed(self._envelope(digest), Grant, lambda grant: keys_of(grant.owner))

        return self._once("grant", digest, load)

    def update(self, digest: str) -> Signed[Update]:
        """A client's update that the caller has found in this log.

        Its client has signed it under the constitution of its federation.
        """

        def load() -> Signed[Update]:
            envelope = self._envelope(digest)
            federation = inspect(envelope, Update).federation
            _check_named(federation, self.state.proposals)
            keys_of = self.constitution(self.state.proposals[federation].constitution).keys_of
            return verify_signed(envelope, Update, lambda update: keys_of(update.client))

        return self._once("update", digest, load)

    def open_proposal(self, envelope: bytes) -> Signed[Proposal]:
        """A proposal as it came; the same bytes are verified once under each constitution.

        One that the log has is verified under the constitution that it names, a new one under the
        one in force: a key that was replaced since signs nothing new.
        """
        in_force = self.in_force()

        def load() -> Signed[Proposal]:
            known = parse_envelope(envelope).digest in self.state.proposals
            return verify_proposal(envelope, self._named(envelope, Proposal) if known else in_force)

        return self._once(f"proposal {in_force.digest}", envelope, load)

    def open_ballot(self, envelope: bytes) -> Signed[Ballot]:
        """A ballot as it came, likewise."""
        in_force = self.in_force()

        def load() -> Signed[Ballot]:
            proposal = self.state.proposals.get(inspect(envelope, Ballot).proposal)
            known = proposal is not None and parse_envelope(envelope).digest in proposal.ballots
            return verify_ballot(envelope, self._named(envelope, Ballot) if known else in_force)

        return self._once(f"ballot {in_force.digest}", envelope, load)

    def remember(
        self, signed: Signed[Proposal] | Signed[Ballot] | Signed[Grant] | Signed[Update]
    ) -> None:
        """Keep a document that has just been verified, so that it need not be loaded and verified
        again."""
        self._keep((signed.document.KIND, signed.digest), signed)

    def last_keys_of(self, id_: str) -> tuple[PublicKey, ...]:
        """The keys of a principal in the newest constitution that lists it. Raises `SignerUnknown`.

        Older keys count for nothing new: they may have been replaced because they were stolen.
        """
        for digest in reversed(self.state.constitutions):
            for principal in self.constitution(digest).principals:
                if principal.id == id_:
                    return principal.keys
        return self.in_force().constitution.keys_of(id_)

    def check_header(self, header: Header) -> None:
        """Refuse a document of another council, one replayed, and one whose signer has seen what
        this log does not contain."""
        check_nonce("header.nonce", header.nonce)
        check_charter(header.charter, self.state.charter)
        if header.nonce in self.state.nonces:
            raise DocumentReplayed(
                "The log has a document with this id already. Sign a new one.",
                claim="header.nonce",
                expected="an id that the log does not have",
                actual=header.nonce,
            )
        self.check_seen(header)

    def check_seen(self, header: Header) -> None:
        """Refuse a document whose signer has seen a checkpoint that this log does not contain."""
        seen = header.seen
        if seen.size <= self.tree.size and seen.root == "sha256:" + self.tree.root(seen.size).hex():
            return
        raise SeenUnknown(
            "The signer had seen a checkpoint that this log does not contain: one of the two is "
            "another log, or this one was rolled back. Compare checkpoints before you sign "
            "anything.",
            claim="header.seen",
            expected=f"a checkpoint of this log (now {self.tree.size} entries)",
            actual=f"{seen.size} entries, {seen.root}",
        )

    def head(self) -> tuple[int, str]:
        """Size and root of the log now."""
        return self.tree.size, "sha256:" + self.tree.root().hex()

    def _envelope(self, digest: str) -> bytes:
        envelope = self._documents.envelope(digest)
        if parse_envelope(envelope).digest != digest:
            raise missing_document(digest)
        return envelope

    def under(self, digest: str) -> InForce:
        """A constitution of this log, past or present, with what has been revoked until now."""
        revoked = frozenset(self.state.revoked_seats)
        return InForce(self.constitution(digest), digest, self.state.charter, revoked)

    def _under(self, digest: str, cls: UnderConstitution) -> InForce:
        """The constitution that a document of this log names, as the context to verify it in."""
        return self._named(self._envelope(digest), cls)

    def _named(self, envelope: bytes, cls: UnderConstitution) -> InForce:
        return self.under(inspect(envelope, cls).constitution)

    def _once(self, kind: str, name: str | bytes, load: Callable[[], T]) -> T:
        key = (kind, name)
        if key not in self._loaded:
            self._keep(key, load())
        # What is kept under a kind is what its loader, or `remember`, put there.
        return cast("T", self._loaded[key])

    def _keep(self, key: tuple[str, str | bytes], value: object) -> None:
        self._loaded[key] = value
        if len(self._loaded) > _KEPT:
            self._loaded.popitem(last=False)


def _check_named(digest: str, named: Container[str]) -> None:
    if digest not in named:
        raise missing_document(digest)


def missing_document(digest: str) -> DocumentNotFound:
    """The refusal that names the document to fetch."""
    return DocumentNotFound(
        f"The document {digest} is not known here. Send it first.",
        claim="document",
        expected="a known document",
        actual=digest,
    )
