# SPDX-License-Identifier: Apache-2.0
"""The transparency log as pure functions: Merkle tree, signed checkpoints, tiles and proofs."""

from placet.governance.log.checkpoint import (
    Checkpoint,
    sign_checkpoint,
    verify_checkpoint,
)
from placet.governance.log.merkle import (
    EMPTY_ROOT,
    HASH_SIZE,
    leaf_hash,
    node_hash,
    verify_inclusion,
)
from placet.governance.log.note import (
    MAX_NOTE_BYTES,
    NoteSignature,
    NoteSigner,
    SignedNote,
    VerifierKey,
    sign_note,
    verify_note,
)
from placet.governance.log.proof import MAX_PROOF_BYTES, LogProof, verify_proof
from placet.governance.log.tree import MAX_ENTRY_BYTES, Tree

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE",
    "MAX_ENTRY_BYTES",
    "MAX_NOTE_BYTES",
    "MAX_PROOF_BYTES",
    "Checkpoint",
    "LogProof",
    "NoteSignature",
    "NoteSigner",
    "SignedNote",
    "Tree",
    "VerifierKey",
    "leaf_hash",
    "node_hash",
    "sign_checkpoint",
    "sign_note",
    "verify_checkpoint",
    "verify_inclusion",
    "verify_note",
    "verify_proof",
]
