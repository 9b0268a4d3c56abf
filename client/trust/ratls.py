# SPDX-License-Identifier: Apache-2.0
"""Appraise a TLS server by the evidence in its certificate, with pyOpenSSL (the extra `ratls`).

    context = SSL.Context(SSL.TLS_METHOD)
    verifier = RATLSVerifier(policy, collateral, launched_for=None)
    verifier.install(context)
    connection = SSL.Connection(context, sock)
    connection.set_connect_state()
    connection.do_handshake()            # raises the refusal
    claims = verifier.claims(connection)

`collateral` gives the collateral (JSON text) of a quote, from its kind and bytes: out of a bundle
kept on disk, say. Names in the certificate mean nothing; the policy alone says who is wanted.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from placet.attestation import Claims, Policy
from placet.client.errors import SettingMissing, UsageRefused
from placet.client.installing import install
from placet.ratls import read_certificate, verify_certificate

if TYPE_CHECKING:
    from OpenSSL import SSL, crypto

_TRUSTED: Final = 0  # X509_V_OK
_SELF_SIGNED: Final = 18  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT

Collateral = Callable[[str, bytes], str]


class RATLSVerifier:
    """A verify callback of pyOpenSSL for any number of connections.

    `launched_for` and `nonce` as for `placet.ratls.verify_certificate`; `clock` gives Unix
    seconds.
    """

    def __init__(
        self,
        policy: Policy,
        collateral: Collateral,
        *,
        launched_for: str | None,
        nonce: bytes | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._policy = policy
        self._collateral = collateral
        self._launched_for = launched_for
        self._nonce = nonce
        self._clock = clock
        self._found: WeakKeyDictionary[SSL.Connection, tuple[bytes, Claims]] = WeakKeyDictionary()

    def install(self, context: "SSL.Context") -> None:
        """Make the context demand a certificate, and judge it here at every connection."""
        try:
            from OpenSSL import SSL
        except ImportError as error:
            raise SettingMissing(
                f"RA-TLS needs pyOpenSSL. Run: {install('ratls')}", remedy=install("ratls")
            ) from error
        # A resumed session shows no certificate, so its evidence would never be looked at again.
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self)

    def __call__(
        self,
        connection: "SSL.Connection",
        certificate: "crypto.X509",
        error: int,
        depth: int,
        passed: int,
    ) -> bool:
        """Judge one certificate; pyOpenSSL raises from the handshake what is raised here.

        OpenSSL asks twice about a certificate that it does not trust: first with the complaint that
        it is self-signed, then, if that was waved through, without one.
        """
        from OpenSSL import crypto

        if depth or error not in (_TRUSTED, _SELF_SIGNED):
            return False
        data = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
        before = self._found.get(connection)
        if before is None or before[0] != data:
            self._found[connection] = data, self._verify(data)
        return True

    def claims(self, connection: "SSL.Connection") -> Claims:
        """What the enclave at the other end says; raises UsageRefused before the handshake."""
        found = self._found.get(connection)
        # Only a finished handshake shows that the peer holds the certificate's key.
        if found is None or connection.get_peer_finished() is None:
            raise UsageRefused(
                "No handshake of this connection has been completed with this verifier.",
                remedy="call install() on the context, then do_handshake()",
            )
        return found[1]

    def _verify(self, data: bytes) -> Claims:
        now = int(self._clock())
        payload = read_certificate(data, now=now)
        return verify_certificate(
            data,
            self._policy,
            collateral=self._collateral(payload.kind, payload.quote),
            now=now,
            launched_for=self._launched_for,
            nonce=self._nonce,
        )
