# SPDX-License-Identifier: Apache-2.0
"""Files that hold several artifacts for verification offline: tickets, receipts, evidence.

    ticket     {"proposal": <DSSE>, "ballots": [<DSSE>, ...]}
    receipt    {"charter": <DSSE>, "constitutions": [<DSSE>, ...], "receipt": <DSSE>,
                "entry": <text>, "proof": <text>}, and "opening": <base64> for its recipient
    evidence   {"identity": ..., "evidence": ..., "checkpoint": <text>,
                "nonce": <64 hexadecimal digits>}

DSSE envelopes are JSON objects in them; their payloads stay byte for byte.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from placet.attestation import Policy
from placet.client.errors import FileRefused
from placet.client.files import read_file, taken
from placet.client.trust.verify import (
    VerifiedAuthority,
    VerifiedCouncil,
    VerifiedReceipt,
    verify_authority,
    verify_by_log_key,
    verify_council,
    verify_receipt,
)
from placet.governance.codec import Json, encode, parse_object
from placet.governance.evaluate import Ticket
from placet.governance.judgements.founding import verify_charter
from placet.refusals import Refusal

MAX_ARTIFACT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ReceiptFile:
    """A receipt with all that is needed to verify it but the charter's digest, not verified.

    opening: the key of the outputs, sealed to the recipient whose file it is (`openings.py`); empty
    without. Nothing else here is secret.
    """

    charter: bytes
    constitutions: tuple[bytes, ...]
    receipt: bytes
    entry: bytes
    proof: bytes
    opening: bytes = b""

    @classmethod
    def of(cls, council: VerifiedCouncil, receipt: bytes, entry: bytes, proof: bytes) -> Self:
        """The file of a receipt of a council."""
        chain = tuple(signed.envelope for signed in council.constitutions)
        return cls(council.charter.envelope, chain, receipt, entry, proof)

    def verify(self, charter: str) -> VerifiedReceipt:
        """Verify it for the council of this charter (a digest).

        1. The charter has that digest; 2. the constitutions follow from it; 3. see
           `verify_receipt`.
        """
        verify_charter(self.charter, charter)  # 1
        council = verify_council(self.charter, self.constitutions)  # 2
        return verify_receipt(self.receipt, self.proof, self.entry, council)  # 3

    def verify_by_log_key(self, log: str) -> VerifiedReceipt:
        """Verify as much as a log key can show; see `verify_by_log_key`."""
        return verify_by_log_key(self.receipt, self.proof, self.entry, log)

    def to_bytes(self) -> bytes:
        fields = {
            "charter": _object(self.charter),
            "constitutions": [_object(envelope) for envelope in self.constitutions],
            "receipt": _object(self.receipt),
            "entry": self.entry.decode(),
            "proof": self.proof.decode(),
        }
        if self.opening:
            fields["opening"] = base64.b64encode(self.opening).decode()
        return encode(fields)

    def check_place(self, path: Path) -> None:
        """Whether the file may be written there: nothing is lost, or it is this very receipt under
        another checkpoint. Raises `FileRefused`."""
        if not path.exists():
            return
        try:
            there = ReceiptFile.from_bytes(read_file(path, MAX_ARTIFACT))
        except FileRefused:
            raise taken(path) from None
        if there.receipt != self.receipt:
            raise taken(path)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises `FileRefused`."""
        fields = {"charter": dict, "constitutions": list, "receipt": dict}
        fields = {**fields, "entry": str, "proof": str}
        value = _parsed(data, "receipt", fields, {"opening": str})
        chain = _objects("receipt", value["constitutions"])
        charter, receipt = encode(value["charter"]), encode(value["receipt"])
        entry, proof = value["entry"].encode(), value["proof"].encode()
        try:
            opening = base64.b64decode(value.get("opening", ""), validate=True)
        except ValueError:
            raise _refused("receipt") from None
        return cls(charter, chain, receipt, entry, proof, opening)


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """What an authority answered to a nonce, not verified."""

    identity: bytes
    evidence: bytes
    checkpoint: bytes
    nonce: bytes

    def verify(self, policy: Policy, *, now: int, log: str, charter: str) -> VerifiedAuthority:
        """Verify it; see `verify_authority`. Only who chose the nonce knows that the evidence is
        fresh."""
        return verify_authority(
            self.identity,
            self.evidence,
            self.checkpoint,
            nonce=self.nonce,
            policy=policy,
            now=now,
            log=log,
            charter=charter,
        )

    def to_bytes(self) -> bytes:
        return encode(
            {
                "identity": base64.b64encode(self.identity).decode(),
                "evidence": base64.b64encode(self.evidence).decode(),
                "checkpoint": self.checkpoint.decode(),
                "nonce": self.nonce.hex(),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises `FileRefused`."""
        names = ("identity", "evidence", "checkpoint", "nonce")
        value = _parsed(data, "evidence", dict.fromkeys(names, str))
        try:
            return cls(
                base64.b64decode(value["identity"], validate=True),
                base64.b64decode(value["evidence"], validate=True),
                value["checkpoint"].encode(),
                bytes.fromhex(value["nonce"]),
            )
        except ValueError:
            raise _refused("evidence") from None


def ticket_to_bytes(ticket: Ticket) -> bytes:
    """A ticket as a file."""
    return encode(
        {"proposal": _object(ticket.proposal), "ballots": [_object(b) for b in ticket.ballots]}
    )


def ticket_from_bytes(data: bytes) -> Ticket:
    """A ticket from a file, not verified. Raises `FileRefused`."""
    value = _parsed(data, "ticket", {"proposal": dict, "ballots": list})
    return Ticket(encode(value["proposal"]), _objects("ticket", value["ballots"]))


def _objects(kind: str, values: list[Any]) -> tuple[bytes, ...]:
    if not all(isinstance(value, dict) for value in values):
        raise _refused(kind)
    return tuple(encode(value) for value in values)


def _parsed(
    data: bytes, kind: str, fields: Mapping[str, type], optional: Mapping[str, type] | None = None
) -> Json:
    try:
        value = parse_object(data, MAX_ARTIFACT)
    except Refusal:
        raise _refused(kind) from None
    known = {**fields, **(optional or {})}
    if not fields.keys() <= value.keys() <= known.keys() or not all(
        isinstance(value[name], known[name]) for name in value
    ):
        raise _refused(kind)
    return value


def _object(envelope: bytes) -> Json:
    return cast("Json", json.loads(envelope))


def _refused(kind: str) -> FileRefused:
    article = "an" if kind[0] in "aeiou" else "a"
    return FileRefused(
        f"This is not {article} {kind} file. Name the one that placet wrote.", claim="file"
    )
