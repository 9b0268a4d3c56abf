# SPDX-License-Identifier: Apache-2.0
"""Contexts that sealed keys and evidence are bound to: one function for each place where two
parties must agree on bytes."""

from placet.sealing import context


def provision_info(grant: str) -> bytes:
    """HPKE info of an object's key on its way from the owner to the authority: the grant's
    digest."""
    return context("placet/provision/v1", grant.encode())


def lease_info(lease: str) -> bytes:
    """HPKE info of the input keys on their way to a worker: the lease's digest."""
    return context("placet/lease/v1", lease.encode())


def release_info(release: str) -> bytes:
    """HPKE info of the result key on its way from a worker to the authority: the release document's
    digest."""
    return context("placet/release/v1", release.encode())


def result_info(receipt: str, recipient: str) -> bytes:
    """HPKE info of the result key on its way to a recipient: the receipt's digest and the
    recipient's name."""
    return context("placet/result/v1", receipt.encode(), recipient.encode())


def update_info(federation: str, round: int, client: str, object_id: str) -> bytes:
    """HPKE info of what a client seals to a round key: for which round of what, from whom, with
    which stream."""
    parts = (federation, str(round), client, object_id)
    return context("placet/update/v1", *(part.encode() for part in parts))


def model_info(request: str) -> bytes:
    """HPKE info of a model key on its way to a client: the digest of the request that asked for
    it."""
    return context("placet/model/v1", request.encode())


def session_info(offer: str) -> bytes:
    """HPKE info of the opening of a session: the digest of the worker's offer, which names lease
    and worker."""
    return context("placet/session/v1", offer.encode())


def session_statement(charter: str, offer: str, user: str, secret: bytes) -> bytes:
    """A user signs this to open a session: for which council, by which offer, as whom, with which
    secret."""
    parts = (charter.encode(), offer.encode(), user.encode(), secret)
    return context("placet/session/statement/v1", *parts)


def session_keys_info(offer: str, user: str) -> bytes:
    """HKDF info of a session's keys: by which offer, as whom."""
    return context("placet/session/keys/v1", offer.encode(), user.encode())


def draw_statement(lease: str, user: str, rows: int, user_left: int, total_left: int) -> bytes:
    """The authority signs this of a draw: for which worker and user, how much, and what that
    leaves.

    No two draws of a user leave as much, so no two statements are the same.
    """
    numbers = (str(number).encode() for number in (rows, user_left, total_left))
    return context("placet/draw/v1", lease.encode(), user.encode(), *numbers)


def log_key_info(constitution: str) -> bytes:
    """HKDF info of the log key: the digest of the genesis constitution, so that no two councils
    have one key."""
    return context("placet/log-key/v2", constitution.encode())


def grant_secret(grant: str) -> str:
    """The name of the wrapped key that came with a grant."""
    return "grant/" + grant


def round_secret(federation: str, number: int) -> str:
    """The name of the wrapped private key of a round."""
    return f"round/{federation}/{number}"


def secret_info(name: str) -> bytes:
    """Associated data of a secret that is wrapped under the root secret: its name."""
    return context("placet/secret/v1", name.encode())
