# SPDX-License-Identifier: Apache-2.0
"""How an authority comes to life: root secret, log key, replay, boot keys.

1. Ask the host for the sealed root secret; open it, or make one and have it stored before it is used.
2. Derive the log key. The log is named by it and by the origin.
3. Ask for the checkpoint; where there is one, verify it with the log key and replay every entry under it. The root of
   the replayed entries has to be the checkpoint's. Signatures of documents are not checked again.
4. Make boot keys. Nothing of an older boot is accepted after the boot entry.
"""

from placet.attestation import Attester
from placet.enclave.authority.documents import DocumentCache, read_entries
from placet.enclave.authority.journal import Journal
from placet.enclave.authority.vault import ROOT, Vault
from placet.enclave.connection import METADATA, Connection
from placet.governance.ledger import Ledger
from placet.governance.log import NoteSigner, verify_checkpoint
from placet.proto.refusals import PeerRefused
from placet.proto.v1 import enclaves_pb2, log_pb2, log_pb2_grpc


async def open_vault(connection: Connection, attester: Attester) -> Vault:
    """Step 1. Raises `KeyUnwrapRefused` where the root secret was sealed by another measurement or machine."""
    request = enclaves_pb2.FetchSecret(name=ROOT)
    try:
        reply = await connection.link.request(enclaves_pb2.KIND_FETCH_SECRET, request)
    except PeerRefused as refusal:
        if refusal.reason != "DOCUMENT_NOT_FOUND":
            raise
        vault, sealed = Vault.create(attester)
        await connection.link.request(
            enclaves_pb2.KIND_COMMIT, enclaves_pb2.Commit(secrets=[sealed])
        )
        return vault
    return Vault.open(enclaves_pb2.Secret.FromString(reply).wrapped, attester)


async def replay(connection: Connection, ledger: Ledger, journal: Journal, key: NoteSigner) -> None:
    """Step 3. Raises `EntryInvalid`, `HostUnfaithful` or `LOG_CHECKPOINT_INVALID` where the host's copy is not this log."""
    stub = log_pb2_grpc.LogStub(connection.channel)
    request = log_pb2.GetCheckpointRequest()
    note = (await stub.GetCheckpoint(request, metadata=METADATA)).note
    if not note:
        return
    checkpoint = verify_checkpoint(note, key.verifier_key)
    entries = [data async for data in read_entries(connection.channel, 0, checkpoint.size)]
    ledger.replay_all(entries, checkpoint)
    journal.resume(note)


class Life:
    """Everything that one life of the authority has: what was replayed, and the keys of this boot."""

    def __init__(self, connection: Connection, vault: Vault, origin: str) -> None:
        self.vault = vault
        self.connection = connection
        self.documents = DocumentCache(connection.channel)
        self.ledger = Ledger(self.documents)
        self.note_signer = vault.note_signer(origin)
        self.log = self.note_signer.verifier_key.to_text()
        self.log_key = vault.log_key()
        self.journal = Journal(self.ledger, self.note_signer, self._store)

    async def _store(self, step: enclaves_pb2.Commit) -> None:
        await self.connection.link.request(enclaves_pb2.KIND_COMMIT, step)
