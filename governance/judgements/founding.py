# SPDX-License-Identifier: Apache-2.0
"""Founding and succession: which constitutions belong to a log, by their signatures alone.

The charter binds the genesis constitution to the log; both are signed by every genesis seat. Each
later constitution names its predecessor, has the next version, and is signed by a seat of its own.
That it was adopted by the quorum, only its entry in the log shows: whoever has the log has to look
for it there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from placet.governance.documents import Charter, Constitution
from placet.governance.envelope import (
    Signed,
    inspect,
    parse_envelope,
    verified_signers,
    verify_signed,
)
from placet.refusals import ConstitutionNotSuccessor, OtherConstitution, OtherLog, SignatureInvalid


@dataclass(frozen=True, slots=True)
class Founding:
    """A genesis constitution and the charter that binds it to a log, verified."""

    constitution: Signed[Constitution]
    charter: Signed[Charter]

    @property
    def log(self) -> str:
        """The log's verifier key, as the charter names it."""
        return self.charter.document.log


def verify_charter(envelope: bytes, digest: str) -> Charter:
    """The charter of this digest, which nothing but the digest vouches for: its log key is whom to
    believe.

    Raises `OtherLog` for another document, and what `inspect` raises for one that is no charter.
    Who signed it is `verify_founding`'s to say.
    """
    if parse_envelope(envelope).digest != digest:
        raise OtherLog(
            "The host shows the charter of another council. Check the charter's digest, and whose "
            "host this is.",
            claim="charter",
            expected=digest,
            actual=parse_envelope(envelope).digest,
        )
    return inspect(envelope, Charter)


def verify_founding(constitution: bytes, charter: bytes) -> Founding:
    """Constitution and charter, both signed by every genesis seat; the charter names the
    constitution.

    Raises what `verify_signed` raises, `ConstitutionInvalid`, `ConstitutionNotSuccessor` for one
    that names a predecessor, and `OtherConstitution` for one that the charter does not name.
    """
    genesis = verify_signed(constitution, Constitution, lambda c: c.seat_keys)
    if genesis.document.predecessor is not None:
        raise ConstitutionNotSuccessor(
            "The first constitution has no predecessor; this one names one.",
            claim="predecessor",
            expected="none",
            actual=genesis.document.predecessor,
        )
    verify_every_seat(constitution, genesis.document)
    signed = verify_signed(charter, Charter, lambda _: genesis.document.seat_keys)
    verify_every_seat(charter, genesis.document)
    if signed.document.constitution != genesis.digest:
        raise OtherConstitution(
            "The charter names another constitution than the one that came with it.",
            claim="constitution",
            expected=genesis.digest,
            actual=signed.document.constitution,
        )
    return Founding(genesis, signed)


def verify_every_seat(envelope: bytes, constitution: Constitution) -> str:
    """An envelope that every seat has signed with one of its keys; returns its digest. Raises
    `SignatureInvalid`."""
    raw = parse_envelope(envelope)
    missing = [s.id for s in constitution.seats if not verified_signers(raw, s.keys)]
    if missing:
        raise SignatureInvalid(
            f"Every genesis seat has to sign; these have not: {', '.join(missing)}.",
            claim="signatures",
            expected=f"{len(constitution.seats)} seats",
            actual=f"{len(constitution.seats) - len(missing)} seats",
        )
    return raw.digest


def verify_successor(envelope: bytes, digest: str, before: Constitution) -> Signed[Constitution]:
    """A constitution that follows `before`, whose digest is `digest`.

    Raises what `verify_signed` raises, `ConstitutionInvalid` or `ConstitutionNotSuccessor`.
    """
    signed = verify_signed(envelope, Constitution, lambda c: c.seat_keys)
    check_follows(signed.document, digest, before)
    return signed


def check_follows(constitution: Constitution, digest: str, before: Constitution) -> None:
    """Whether a constitution follows `before`, whose digest is `digest`. Raises
    `ConstitutionNotSuccessor`."""
    found = (constitution.predecessor, constitution.version)
    if found == (digest, before.version + 1):
        return
    raise ConstitutionNotSuccessor(
        f"The constitution does not follow the one before it. Draft it as version "
        f"{before.version + 1} with the predecessor {digest}.",
        claim="predecessor",
        expected=f"version {before.version + 1} after {digest}",
        actual=f"version {found[1]} after {found[0] or 'none'}",
    )


def verify_succession(
    charter: bytes, constitutions: Sequence[bytes]
) -> tuple[Founding, tuple[Signed[Constitution], ...]]:
    """The founding, and every constitution from the genesis one on, oldest first.

    Raises what `verify_founding` and `verify_successor` raise, and `OtherConstitution` for none.
    """
    if not constitutions:
        raise OtherConstitution(
            "There is no constitution.",
            claim="constitutions",
            expected="at least one",
            actual="none",
        )
    founding = verify_founding(constitutions[0], charter)
    chain = [founding.constitution]
    for envelope in constitutions[1:]:
        chain.append(verify_successor(envelope, chain[-1].digest, chain[-1].document))
    return founding, tuple(chain)
