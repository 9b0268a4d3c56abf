# SPDX-License-Identifier: Apache-2.0
"""Keys of data and of results: wrapped under the root secret, stored by the host, unwrapped for one use at a time."""

from collections import OrderedDict
from collections.abc import Iterable

from placet.enclave.authority.boot import Life
from placet.proto.v1 import enclaves_pb2
from placet.sealing import StreamKey

_KEPT = 8192


class KeyStore:
    """Wrapped keys by name. A key is in the clear only from `open_...` until its caller wipes it."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._wrapped: OrderedDict[str, bytes] = OrderedDict()

    def wrap_grant(self, grant: str, key: StreamKey) -> enclaves_pb2.Secret:
        """The key that came with a grant, for storage."""
        return self._life.vault.wrap("grant/" + grant, key.to_bytes())

    def wrap_result(self, lease: str, key: StreamKey) -> enclaves_pb2.Secret:
        """The result key of a lease, for storage."""
        return self._life.vault.wrap("result/" + lease, key.to_bytes())

    def keep(self, secret: enclaves_pb2.Secret) -> None:
        """Have a wrapped key at hand; the oldest goes when there are too many."""
        self._wrapped[secret.name] = secret.wrapped
        if len(self._wrapped) > _KEPT:
            self._wrapped.popitem(last=False)

    async def fetch_grants(self, grants: Iterable[str]) -> None:
        """Have the wrapped keys of these grants at hand. Raises `PeerRefused` or `KeyUnwrapRefused`."""
        for grant in grants:
            await self._fetch("grant/" + grant)

    def open_grant(self, grant: str) -> StreamKey:
        """The key of a grant whose wrapped form is at hand."""
        return self._open("grant/" + grant)

    def has_grants(self, grants: Iterable[str]) -> bool:
        """Whether the wrapped keys of these grants are at hand."""
        return all("grant/" + grant in self._wrapped for grant in grants)

    async def open_result(self, lease: str) -> StreamKey:
        """The result key of a lease."""
        await self._fetch("result/" + lease)
        return self._open("result/" + lease)

    async def _fetch(self, name: str) -> None:
        if name in self._wrapped:
            return
        request = enclaves_pb2.FetchSecret(name=name)
        reply = await self._life.connection.link.request(enclaves_pb2.KIND_FETCH_SECRET, request)
        wrapped = enclaves_pb2.Secret.FromString(reply).wrapped
        # What is not this very secret is not kept, so that the host can still give the right one.
        self._life.vault.unwrap(name, wrapped)
        self.keep(enclaves_pb2.Secret(name=name, wrapped=wrapped))

    def _open(self, name: str) -> StreamKey:
        return StreamKey(self._life.vault.unwrap(name, self._wrapped[name]))
