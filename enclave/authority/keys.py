# SPDX-License-Identifier: Apache-2.0
"""Keys of data, of results and of rounds: wrapped under the root secret, stored by the host,
unwrapped for one use at a time.

They are at hand or fetched as documents are: `open_...` raises `KeyNotAtHand`, and `Core.judged`
fetches and tries again.
"""

from collections import OrderedDict
from collections.abc import Iterable

from placet.enclave.authority.boot import Life
from placet.governance.contexts import grant_secret, round_secret
from placet.proto.v1 import enclaves_pb2
from placet.sealing import HPKEPrivateKey, StreamKey

_KEPT = 8192
_OVER = b"over"


class KeyNotAtHand(Exception):
    """A wrapped key that is not in memory. It never leaves the authority."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class KeyStore:
    """Wrapped keys by name. A key is in the clear only from `open_...` until its caller wipes
    it."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._wrapped: OrderedDict[str, bytes] = OrderedDict()

    def wrap_grant(self, grant: str, key: StreamKey) -> enclaves_pb2.Secret:
        """The key that came with a grant, for storage."""
        return self._life.vault.wrap(grant_secret(grant), key.to_bytes())

    def wrap_result(self, lease: str, key: StreamKey) -> enclaves_pb2.Secret:
        """The result key of a lease, for storage."""
        return self._life.vault.wrap("result/" + lease, key.to_bytes())

    def wrap_round(self, federation: str, number: int, key: HPKEPrivateKey) -> enclaves_pb2.Secret:
        """The private part of a round key, for storage."""
        return self._life.vault.wrap(round_secret(federation, number), key.to_bytes())

    def retired(self, names: Iterable[str]) -> list[enclaves_pb2.Secret]:
        """This takes the place of keys that nobody needs any more, so that nothing can be opened
        with them.

        A host that kept the old one has nothing but a wrapped key, and the authority opens nothing
        by what the log says is over; but what an honest host has deleted, nobody can bring back who
        learns the root secret one day.
        """
        return [self._life.vault.wrap(name, _OVER) for name in names]

    def keep(self, secret: enclaves_pb2.Secret) -> None:
        """Have a wrapped key at hand; the oldest goes when there are too many."""
        self._wrapped[secret.name] = secret.wrapped
        if len(self._wrapped) > _KEPT:
            self._wrapped.popitem(last=False)

    def open_grant(self, grant: str) -> StreamKey:
        """The key of a grant."""
        return StreamKey(self._open(grant_secret(grant)))

    def open_result(self, lease: str) -> StreamKey:
        """The result key of a lease."""
        return StreamKey(self._open("result/" + lease))

    def open_round(self, federation: str, number: int) -> HPKEPrivateKey:
        """The key of a round that is not over."""
        return HPKEPrivateKey.from_bytes(self._open(round_secret(federation, number)))

    async def fetch(self, name: str) -> None:
        """Have a wrapped key at hand. Raises `Refused` or `KeyUnwrapRefused`."""
        request = enclaves_pb2.FetchSecret(name=name)
        reply = await self._life.connection.link.request(enclaves_pb2.KIND_FETCH_SECRET, request)
        wrapped = enclaves_pb2.Secret.FromString(reply).wrapped
        # What is not this very secret is not kept, so that the host can still give the right one.
        self._life.vault.unwrap(name, wrapped)
        if name not in self._wrapped:  # a newer one may have come while we waited
            self.keep(enclaves_pb2.Secret(name=name, wrapped=wrapped))

    def _open(self, name: str) -> bytes:
        if name not in self._wrapped:
            raise KeyNotAtHand(name)
        return self._life.vault.unwrap(name, self._wrapped[name])
