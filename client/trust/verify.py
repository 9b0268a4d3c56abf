# SPDX-License-Identifier: Apache-2.0
"""What a relying party verifies, offline and without a host: councils, evidence, receipts.

Each `verify_...` raises, or returns what it has verified. Time and nonce come from the caller.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from placet.attestation import (
    Attested,
    Expected,
    Policy,
    believe,
)
from placet.governance.codec import parse_object
from placet.governance.documents import (
    Charged,
    Charter,
    Constitution,
    Cost,
    Federate,
    Proposal,
    Receipt,
)
from placet.governance.documents.proposal import Work
from placet.governance.envelope import Signed, verify_signed
from placet.governance.evaluate import InForce
from placet.governance.judgements.federation import release_cost
from placet.governance.judgements.founding import verify_succession
from placet.governance.keys import PublicKey
from placet.governance.log import (
    MAX_ENTRY_BYTES,
    Checkpoint,
    LogProof,
    VerifierKey,
    leaf_hash,
    verify_checkpoint,
    verify_proof,
)
from placet.refusals import OtherConstitution, ReceiptInvalid
from placet.sealing import padded_length


@dataclass(frozen=True, slots=True)
class VerifiedCouncil:
    """A charter and the constitutions of its log, oldest first; made by `verify_council`."""

    log: str
    charter: Signed[Charter]
    constitutions: tuple[Signed[Constitution], ...]

    @property
    def newest(self) -> Signed[Constitution]:
        return self.constitutions[-1]

    @property
    def in_force(self) -> InForce:
        """The last constitution as the context in which documents are verified."""
        return InForce(self.newest.document, self.newest.digest, self.charter.digest)

    @property
    def chain(self) -> dict[str, Constitution]:
        """The constitutions by digest, oldest first."""
        return {signed.digest: signed.document for signed in self.constitutions}

    def under(self, digest: str) -> InForce:
        """The constitution of this digest. Raises `OtherConstitution`."""
        for signed in self.constitutions:
            if signed.digest == digest:
                return InForce(signed.document, signed.digest, self.charter.digest)
        raise OtherConstitution(
            "The document is under a constitution that this log never had.",
            claim="constitution",
            actual=digest,
        )

    def policy(self, role: str) -> Policy:
        """The evidence policy of the last constitution for "authority" or "worker"."""
        evidence = self.newest.document.evidence
        return Policy.from_dict(evidence.authority if role == "authority" else evidence.worker)


@dataclass(frozen=True, slots=True)
class VerifiedAuthority:
    """An authority that is believed, and the newest checkpoint of its log."""

    attested: Attested
    checkpoint: Checkpoint | None  # None before the log is founded


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """A receipt whose signature, place in the log and entry were verified."""

    receipt: Receipt
    digest: str
    checkpoint: Checkpoint


def verify_council(charter: bytes, constitutions: Sequence[bytes]) -> VerifiedCouncil:
    """Verify founding and succession by their signatures.

    1. The genesis constitution and the charter are signed by every genesis seat, and the charter
       names it.
    2. Each later constitution names its predecessor, has the next version, and is signed by a seat
       of its own.
    That a later one was adopted is shown only by its entry in the log: the caller MUST look for it
    there.
    """
    founding, chain = verify_succession(charter, constitutions)
    return VerifiedCouncil(founding.log, founding.charter, chain)


def verify_authority(
    identity: bytes,
    evidence: bytes,
    checkpoint: bytes,
    *,
    nonce: bytes,
    policy: Policy,
    now: int,
    log: str,
    charter: str,
) -> VerifiedAuthority:
    """Verify that an authority that the policy wants answered to this nonce, for this council.

    1. It is an authority of the log and charter asked for, and is believed, by evidence for the
       nonce and the checkpoint (before the founding there is no charter, and any log will do if
       `log` is empty).
    2. The checkpoint, without which no founded log is, is signed by that log's key.
    That the checkpoint extends what was seen before is for the caller.
    """
    expected = Expected("authority", log, charter, nonce, checkpoint)
    attested = believe(identity, evidence, expected, policy, now=now)  # 1
    key = VerifierKey.from_text(attested.identity.log)
    verified = verify_checkpoint(checkpoint, key) if charter or checkpoint else None  # 2
    return VerifiedAuthority(attested, verified)


def verify_receipt(
    receipt: bytes, proof: bytes, entry: bytes, council: VerifiedCouncil
) -> VerifiedReceipt:
    """Verify a receipt of a council with its log entry and proof.

    1 to 3 as `verify_by_log_key`, with the log key that the council's charter names;
    4. it names that charter, and a constitution of that council.
    """
    verified = verify_by_log_key(receipt, proof, entry, council.log)
    said = verified.receipt.predicate
    if said.header.charter != council.charter.digest:  # 4
        raise _invalid("charter", council.charter.digest, said.header.charter)
    council.under(said.constitution)
    return verified


def verify_by_log_key(receipt: bytes, proof: bytes, entry: bytes, log: str) -> VerifiedReceipt:
    """Verify as much of a receipt as a log key (a verifier key's text) can show.

    1. It is signed by that key.
    2. The entry is in the log, at the place that the receipt names.
    3. The entry is the release of this receipt, lease, proposal and job.
    Not checked: whose council that log is. Whoever knows the charter's digest calls
    `verify_receipt`.
    """
    key = VerifierKey.from_text(log)
    signer = log_signing_key(key)
    signed = verify_signed(receipt, Receipt, lambda _: [signer])  # 1
    said = signed.document.predicate
    checkpoint = verify_proof(proof, leaf_hash(entry), key)  # 2
    index = LogProof.from_bytes(proof).index
    if index != said.entry:
        raise _invalid("entry", str(said.entry), str(index))
    recorded = parse_object(entry, MAX_ENTRY_BYTES)  # 3
    expected = {
        "kind": "release",
        "receipt": signed.digest,
        "lease": said.lease,
        "proposal": said.proposal,
        "job": said.job,
    }
    for name, value in expected.items():
        if recorded.get(name) != value:
            raise _invalid(f"entry.{name}", value, str(recorded.get(name)))
    return VerifiedReceipt(signed.document, signed.digest, checkpoint)


def verify_answers(receipt: VerifiedReceipt, proposal: Signed[Proposal]) -> VerifiedReceipt:
    """Verify that a receipt is about what a proposal asked for: program, inputs, parameters,
    outputs, recipients, cost."""
    said, body = receipt.receipt.predicate, proposal.document.work
    sizes = {name: padded_length(output.max_bytes) for name, output in body.outputs.items()}
    checks: tuple[tuple[str, object, object], ...] = (
        ("proposal", proposal.digest, said.proposal),
        ("constitution", proposal.document.constitution, said.constitution),
        ("purpose", proposal.document.purpose, said.purpose),
        ("program", body.program, said.program),
        ("parameters", _exact(body.parameters), _exact(said.parameters)),
        ("inputs", {name: i.object.digest for name, i in body.inputs.items()}, said.inputs),
        ("outputs", sizes, {name: d.length for name, d in said.outputs.items()}),
        ("recipients", sorted(body.audience), sorted(said.recipients)),
        ("privacy", _charged(body, said.privacy), said.privacy),
    )
    for claim, expected, actual in checks:
        if expected != actual:
            raise _invalid(claim, str(expected), str(actual))
    return receipt


def _charged(body: Work, said: Charged) -> Charged:
    """What the release had to cost. Which clients' updates counted is the log's to say: each of
    them pays for it."""
    clients: dict[str, Cost] = {}
    if isinstance(body, Federate):
        clients = dict.fromkeys(said.charges.keys() & set(body.roster), release_cost(body))
    # An owner of the initial model who sends updates pays without bound, which nothing adds to.
    return Charged({**clients, **body.charges}, body.declared)


def log_signing_key(key: VerifierKey) -> PublicKey:
    """The log's key as documents are verified with it: the same 32 bytes in the text form of
    governance."""
    return PublicKey.ed25519(key.public_key)


def _exact(parameters: dict[str, str | int | bool]) -> str:
    """As JSON, where true and 1 differ."""
    return json.dumps(parameters, sort_keys=True)


def _invalid(claim: str, expected: str, actual: str) -> ReceiptInvalid:
    return ReceiptInvalid(
        f"The receipt does not hold: {claim} should be {expected[:200]}, and is {actual[:200]}. Do "
        "not rely on it, and fetch it again.",
        claim=claim,
        expected=expected,
        actual=actual,
    )
