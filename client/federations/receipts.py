# SPDX-License-Identifier: Apache-2.0
"""The receipt of an update: proof, checkable offline, that the log has it, so that whoever leaves
it out is seen.

{"charter": <DSSE>, "update": <DSSE>, "entry": <text>, "proof": <text>}
"""

import json
from dataclasses import dataclass, field
from typing import Self, cast

from placet.client.errors import FileRefused
from placet.governance.codec import Json, encode, parse_object
from placet.governance.documents import Update
from placet.governance.envelope import inspect, parse_envelope
from placet.governance.evaluate import check_charter
from placet.governance.judgements.founding import verify_charter
from placet.governance.log import (
    MAX_ENTRY_BYTES,
    Checkpoint,
    LogProof,
    VerifierKey,
    leaf_hash,
    verify_proof,
)
from placet.refusals import ReceiptInvalid, Refusal

_MAX_FILE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class VerifiedUpdate:
    """An update that is in the log at `index`, shown under `checkpoint`."""

    update: Update
    digest: str
    index: int
    checkpoint: Checkpoint
    file: "UpdateReceipt" = field(repr=False)


@dataclass(frozen=True, slots=True)
class UpdateReceipt:
    """An update with all that shows it to be in the log, not verified."""

    charter: bytes
    update: bytes
    entry: bytes
    proof: bytes

    def verify(self, charter: str) -> VerifiedUpdate:
        """Verify it for the council of this charter (a digest), which names the log key.

        1. The entry is in the log, under a checkpoint that the log's key has signed.
        2. It is the entry of this update: digest, random bytes, federation, round, client; the
           update names the council.
        Who signed the update is for whoever relies on it; its sender knows. Raises `OtherLog`,
        `ReceiptInvalid`, or as `verify_proof`.
        """
        key = VerifierKey.from_text(verify_charter(self.charter, charter).log)
        checkpoint = verify_proof(self.proof, leaf_hash(self.entry), key)  # 1
        document, digest = inspect(self.update, Update), parse_envelope(self.update).digest
        check_charter(document.header.charter, charter)  # 2
        recorded = parse_object(self.entry, MAX_ENTRY_BYTES)
        expected = {
            "kind": "update",
            "update": digest,
            "nonce": document.header.nonce,
            "proposal": document.federation,
            "round": document.round,
            "client": document.client,
        }
        for name, value in expected.items():
            if recorded.get(name) != value:
                raise ReceiptInvalid(
                    f"The receipt is not this update's: its entry's {name} should be {value}. "
                    "Do not rely on it, and send the update again.",
                    claim=f"entry.{name}",
                    expected=str(value),
                    actual=str(recorded.get(name))[:200],
                )
        index = LogProof.from_bytes(self.proof).index
        return VerifiedUpdate(document, digest, index, checkpoint, self)

    def to_bytes(self) -> bytes:
        """The receipt as a file."""
        return encode(
            {
                "charter": cast("Json", json.loads(self.charter)),
                "update": cast("Json", json.loads(self.update)),
                "entry": self.entry.decode(),
                "proof": self.proof.decode(),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises `FileRefused`."""
        try:
            value = parse_object(data, _MAX_FILE)
            if value.keys() != {"charter", "update", "entry", "proof"}:
                raise ValueError
            entry, proof = value["entry"].encode(), value["proof"].encode()
            return cls(encode(value["charter"]), encode(value["update"]), entry, proof)
        except (Refusal, ValueError, AttributeError):
            raise FileRefused(
                "This is not the receipt of an update. Name the file that placet wrote.",
                claim="file",
            ) from None
