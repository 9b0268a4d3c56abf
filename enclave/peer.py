# SPDX-License-Identifier: Apache-2.0
"""The keys that an enclave attests to its peer, and those of a peer that it believes."""

import secrets
from dataclasses import dataclass
from typing import Self

from placet.attestation import (
    Attested,
    Attester,
    Evidence,
    Identity,
    evidence_context,
    report_data,
)
from placet.governance.keys import PublicKey, SigningKey
from placet.sealing import HPKEPrivateKey, HPKEPublicKey


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one life of an enclave, and the identity document that names them for one log."""

    hpke: HPKEPrivateKey
    signing: SigningKey
    identity: Identity

    def evidence(self, attester: Attester, nonce: bytes, checkpoint: bytes) -> Evidence:
        """Evidence that binds the identity to a verifier's nonce, the log, and its newest
        checkpoint."""
        context = evidence_context(self.identity.log, self.identity.charter, checkpoint)
        return attester.evidence(report_data(self.identity.digest, nonce, context))


class BootKeys:
    """The keys that an enclave makes for one life. `of` names them for a log, of which an authority
    has none at first."""

    def __init__(self, role: str) -> None:
        self.boot = secrets.token_hex(16)
        self._role = role
        self._hpke = HPKEPrivateKey.generate()
        self._signing = SigningKey.generate()

    def of(self, log: str, charter: str) -> Keys:
        """The keys as those of a log; `charter` is empty before the log is founded."""
        identity = Identity(
            role=self._role,
            log=log,
            charter=charter,
            boot=self.boot,
            hpke=self._hpke.public.to_text(),
            signing=self._signing.public.text,
        )
        return Keys(self._hpke, self._signing, identity)


@dataclass(frozen=True, slots=True)
class Peer:
    """An enclave that is believed, and its keys."""

    attested: Attested
    hpke: HPKEPublicKey
    signing: PublicKey

    @classmethod
    def of(cls, attested: Attested) -> Self:
        """The peer with its keys as keys; raises where its identity names none."""
        named = attested.identity
        return cls(attested, HPKEPublicKey.from_text(named.hpke), PublicKey(named.signing))
