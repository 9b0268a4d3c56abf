# SPDX-License-Identifier: Apache-2.0
"""The enclaves that a log names: attested again, and the keys by which later entries are judged."""

from dataclasses import dataclass
from typing import Protocol

from placet.governance.account import Times
from placet.governance.codec import Json
from placet.governance.envelope import digest_of
from placet.governance.keys import PublicKey
from placet.governance.ledger import missing_document
from placet.refusals import LogEntryInvalid


class Identity(Protocol):
    """An enclave's word on itself, as far as entries depend on it."""

    @property
    def boot(self) -> str: ...
    @property
    def signing(self) -> str: ...


class Claims(Protocol):
    """Its hardware's word, as far as entries depend on it."""

    @property
    def kind(self) -> str: ...
    @property
    def measurement(self) -> str: ...
    @property
    def launched_for(self) -> str: ...


class Genuine(Protocol):
    """An enclave whose evidence is genuine; it raises unless a policy wants it at `now`."""

    def appraise(self, policy: Json, *, now: int) -> "Attested": ...


class Attested(Genuine, Protocol):
    """An enclave that is genuine and that a policy wants.

    A further policy is held against what the first said that the measurement is made for.
    """

    @property
    def identity(self) -> Identity: ...
    @property
    def claims(self) -> Claims: ...


class Attest(Protocol):
    """Attestation, which auditing does not import.

    It raises unless `evidence` was genuine at `at` (Unix seconds) and binds an `identity` of this
    role, log and charter to `nonce`. The audit judges `launched_for` itself.
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
class Enclave:
    """An enclave whose entry was checked: by which documents, and how it is appraised again."""

    identity: str
    evidence: str
    nonce: bytes
    attested: Attested


class Enclaves:
    """The enclaves that the entries so far have attested: boots of the authority, and workers."""

    def __init__(self, attest: Attest, log: str, charter: str) -> None:
        self._attest = attest
        self._log = log
        self._charter = charter
        self._boots: dict[str, PublicKey] = {}
        self._workers: dict[str, Enclave] = {}
        # Those whose evidence was not checked, with the document that it would have taken.
        self._unattested: dict[str, str] = {}

    def judge(
        self, role: str, identity: bytes, evidence: bytes, nonce: str, policy: Json, times: Times
    ) -> Enclave:
        """An enclave that is genuine at the time of its entry, and that a policy wants."""
        now, fresh = times.at_most, bytes.fromhex(nonce)
        genuine = self._attest(
            identity,
            evidence,
            role=role,
            log=self._log,
            charter=self._charter,
            nonce=fresh,
            at=now,
        )
        attested = genuine.appraise(policy, now=now)
        return Enclave(digest_of(identity), digest_of(evidence), fresh, attested)

    def add_boot(self, found: Enclave) -> None:
        """A life of the authority. Raises `LogEntryInvalid` for one that the log has already."""
        said = found.attested.identity
        if said.boot in self._boots:
            raise LogEntryInvalid(
                "The log has this life of its authority already.",
                claim="boot",
                expected="a boot that the log does not have",
                actual=said.boot,
            )
        self._boots[said.boot] = PublicKey(said.signing)

    def add_worker(self, found: Enclave) -> None:
        """A worker that has joined."""
        self._workers[found.identity] = found

    def leave_out(self, name: str, missing: str) -> None:
        """An enclave whose entry was not checked, for want of this document."""
        self._unattested[name] = missing

    def boot_key(self, boot: str) -> PublicKey:
        """The key of a life of the authority. Raises `DocumentNotFound` or `LogEntryInvalid`."""
        if boot not in self._boots:
            raise self._not_attested(boot)
        return self._boots[boot]

    def worker(self, identity: str) -> Enclave:
        """A worker. Raises `DocumentNotFound` or `LogEntryInvalid`."""
        if identity not in self._workers:
            raise self._not_attested(identity)
        return self._workers[identity]

    def _not_attested(self, enclave: str) -> Exception:
        if enclave in self._unattested:
            return missing_document(self._unattested[enclave])
        return LogEntryInvalid(
            "The log has attested no such enclave.",
            claim="identity",
            expected="an enclave that the log has attested",
            actual=enclave,
        )
