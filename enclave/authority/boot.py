# SPDX-License-Identifier: Apache-2.0
"""How an authority comes to life: root secret, log key, replay, boot keys.

1. Ask the host for the sealed root secret; open it, or make one and have it stored before it is
   used. After an update of the machine it is sealed anew.
2. Ask for the checkpoint. Where there is none, the log has not been founded, and there is no log
   key yet.
3. Derive the log key from the root secret and the genesis constitution that the host says entry 0
   names. Under that key this authority has signed nothing but a log whose entry 0 names that
   constitution.
4. Verify the checkpoint with the log key and replay every entry under it. The root of the replayed
   entries has to be the checkpoint's. Signatures of documents are not checked again.
5. Make boot keys. Nothing of an older boot is accepted after the boot entry.
"""

from placet.attestation import Attester
from placet.enclave.authority.documents import DocumentCache, read_entries
from placet.enclave.authority.journal import Journal
from placet.enclave.authority.sealed_root import ROOT
from placet.enclave.authority.vault import LogKeys, Vault
from placet.enclave.connection import Connection
from placet.governance.codec import parse_object
from placet.governance.ledger import Ledger
from placet.governance.log import MAX_ENTRY_BYTES, verify_checkpoint
from placet.proto.v1 import enclaves_pb2, log_pb2, log_pb2_grpc
from placet.refusals import LogProofInvalid, NotFounded, Refused

# A host whose disk is full answers once somebody has made room; nothing leaves before.
_COMMIT_SECONDS = 86_400.0


async def open_vault(connection: Connection, attester: Attester) -> Vault:
    """Step 1. Raises `KeyUnwrapRefused` where the machine gives no key that opens the root
    secret."""
    request = enclaves_pb2.FetchSecret(name=ROOT)
    sealed: enclaves_pb2.Secret | None
    try:
        reply = await connection.link.request(enclaves_pb2.KIND_FETCH_SECRET, request)
    except Refused as refusal:
        if refusal.reason != "DOCUMENT_NOT_FOUND":
            raise
        vault, sealed = Vault.create(attester)
    else:
        stored = enclaves_pb2.Secret.FromString(reply).wrapped
        vault, sealed = Vault.open(stored, attester)
    if sealed is not None:
        commit = enclaves_pb2.Commit(secrets=[sealed])
        await _commit(connection, commit)
    return vault


class Life:
    """Everything that one life of the authority has: the log as it was replayed, and its keys."""

    def __init__(self, connection: Connection, vault: Vault, origin: str) -> None:
        self.vault = vault
        self.connection = connection
        self.documents = DocumentCache(connection)
        self.ledger = Ledger(self.documents)
        self.journal = Journal(self.ledger, lambda: self.log_keys.checkpoints, self._store)
        self._origin = origin
        self._log_keys: LogKeys | None = None

    @property
    def log_keys(self) -> LogKeys:
        """The keys of this log. Raises `NotFounded` before there is one."""
        if self._log_keys is None:
            raise NotFounded("The log has no charter yet. Found it first: placet charter.")
        return self._log_keys

    def log_keys_for(self, constitution: str) -> LogKeys:
        """The keys of the log that this authority keeps, or would keep, for a genesis constitution
        (its digest)."""
        return self.vault.log_keys(self._origin, constitution)

    def keep(self, keys: LogKeys) -> None:
        """From here on this is the log. The charter that names its key has been judged, or is about
        to be replayed."""
        self._log_keys = keys

    async def replay(self) -> None:
        """Steps 2 to 4. Raises `LogEntryInvalid`, `LogProofInvalid` or `LogCheckpointInvalid`
        where the host's copy is not the log of this authority."""
        host = self.connection
        request = log_pb2.GetCheckpointRequest()
        stub = log_pb2_grpc.LogStub(host.channel)
        note = (await stub.GetCheckpoint(request, metadata=host.metadata)).note
        if not note:
            return
        keys = self.log_keys_for(await _genesis(host))
        checkpoint = verify_checkpoint(note, keys.checkpoints.verifier_key)
        entries = [data async for data in read_entries(host, 0, checkpoint.size)]
        self.ledger.replay_all(entries, checkpoint)
        self.keep(keys)
        self.journal.resume(note)

    async def _store(self, step: enclaves_pb2.Commit) -> None:
        await _commit(self.connection, step)


async def _commit(connection: Connection, step: enclaves_pb2.Commit) -> None:
    await connection.link.request(enclaves_pb2.KIND_COMMIT, step, timeout=_COMMIT_SECONDS)


async def _genesis(host: Connection) -> str:
    """The constitution that entry 0 names, by the host's word: only the right one gives the key
    that signed the log."""
    async for data in read_entries(host, 0, 1):
        constitution = parse_object(data, MAX_ENTRY_BYTES).get("constitution")
        if isinstance(constitution, str):
            return constitution
    raise LogProofInvalid("The host does not give back entry 0 of the log.", claim="entries")
