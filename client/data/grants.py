# SPDX-License-Identifier: Apache-2.0
"""What owners do: grant the use of an object, and provision its key to an authority that they have
checked."""

from dataclasses import dataclass
from typing import Literal

from placet.attestation import Policy
from placet.client.connection.connection import Connection
from placet.client.council.authority import AsyncAuthority
from placet.client.council.council import AsyncCouncil
from placet.client.keys import Keys
from placet.client.log.reader import LogReader, Recorded
from placet.governance.checks import check_listed
from placet.governance.contexts import provision_info
from placet.governance.documents import Between, Budget, Evidence, Exactly, Grant
from placet.governance.documents.rule import Anything
from placet.governance.envelope import sign, verify_signed
from placet.proto.v1 import keys_pb2
from placet.sealing import HPKEPublicKey, ObjectDescriptor, StreamKey, seal_envelope


@dataclass(frozen=True, slots=True)
class GrantTerms:
    """The terms of a grant: each field a bound, or the word "any"; see `Grant`. `evidence` None:
    the constitution's."""

    purposes: tuple[str, ...] | Anything
    programs: tuple[str, ...] | Anything
    parameters: dict[str, Exactly | Between] | Anything
    recipients: tuple[str, ...] | Anything
    combine_with: tuple[str, ...] | Anything
    evidence: Evidence | None
    witnesses: Literal["demanded", "any"]
    approvals: tuple[str, ...]
    privacy: Budget | Literal["any", "none"]
    uses: int | Anything
    expires: int
    recoverable: bool

    def __post_init__(self) -> None:
        check_listed("purposes", self.purposes)
        check_listed("programs", self.programs)
        check_listed("recipients", self.recipients)


class AsyncGrants:
    """Grants: what owners allow, and the keys of their objects."""

    def __init__(
        self,
        connection: Connection,
        log: LogReader,
        council: AsyncCouncil,
        authority: AsyncAuthority,
    ) -> None:
        self._connection = connection
        self._log = log
        self._council = council
        self._authority = authority

    async def sign(self, keys: Keys, object: ObjectDescriptor, terms: GrantTerms) -> bytes:
        """A signed grant for this log: the envelope to keep and to provision with. Nothing is
        sent."""
        council = await self._council.verify()
        grant = Grant(
            header=self._log.known_header(),
            owner=keys.id,
            object=object,
            purposes=terms.purposes,
            programs=terms.programs,
            parameters=terms.parameters,
            recipients=terms.recipients,
            combine_with=terms.combine_with,
            evidence=terms.evidence or council.newest.document.evidence,
            witnesses=terms.witnesses,
            approvals=terms.approvals,
            privacy=terms.privacy,
            uses=terms.uses,
            expires=terms.expires,
            recoverable=terms.recoverable,
        )
        Policy.from_dict(grant.evidence.authority)
        Policy.from_dict(grant.evidence.worker)
        return sign(grant, keys.signing)

    async def provision(self, keys: Keys, grant: bytes, key: StreamKey) -> Recorded:
        """Give an object's key to the authority, under a grant.

        1. The grant is the caller's own and the key is the object's.
        2. The authority's evidence, for a fresh nonce, satisfies the grant's policy; it is
           SIMULATED only where this client accepts that.
        3. The key is sealed to the HPKE key in the identity that the evidence vouches for, bound to
           the grant's digest.
        """
        self._connection.access.use(keys)
        signed = verify_signed(grant, Grant, lambda _: [keys.signing.public])  # 1
        key.verify_commitment(signed.document.object.commitment)
        policy = Policy.from_dict(signed.document.evidence.authority)
        authority = await self._authority.verify(policy)  # 2
        self._connection.check_simulated(authority.attested.simulated)
        recipient = HPKEPublicKey.from_text(authority.attested.identity.hpke)
        envelope = seal_envelope(key.to_bytes(), recipient, provision_info(signed.digest))  # 3
        request = keys_pb2.ProvisionRequest(grant=grant, key_envelope=envelope)
        return await self._log.record(self._connection.keys.Provision, request, grant)
