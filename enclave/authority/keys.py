# SPDX-License-Identifier: Apache-2.0
"""Keys of data and of results: wrapped under the root secret, stored by the host, unwrapped for one use at a time."""

from collections import OrderedDict

from placet.enclave.authority.boot import Life
from placet.proto.v1 import enclaves_pb2
from placet.sealing import StreamKey

_KEPT = 8192


class KeyStore:
    """Wrapped keys by name. A key is in the clear only between `open` and its wiping by the caller."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._wrapped: OrderedDict[str, bytes] = OrderedDict()

    def wrap_grant(self, grant: str, key: StreamKey) -> enclaves_pb2.Secret:
        """The key that came with a grant, for storage."""
        return self._wrap("grant/" + grant, key)

    def wrap_result(self, lease: str, key: StreamKey) -> enclaves_pb2.Secret:
        """The result key of a lease, for storage."""
        return self._wrap("result/" + lease, key)

    async def fetch_grants(self, grants: tuple[str, ...]) -> None:
        """Have the wrapped keys of these grants at hand."""
        for grant in grants:
            await self._fetch("grant/" + grant)

    def open_grant(self, grant: str) -> StreamKey:
        """The key of a grant whose wrapped form is at hand."""
        return self._open("grant/" + grant)

    def has_grants(self, grants: tuple[str, ...]) -> bool:
        """Whether the wrapped keys of these grants are at hand."""
        return all("grant/" + grant in self._wrapped for grant in grants)

    async def open_result(self, lease: str) -> StreamKey:
        """The result key of a lease."""
        await self._fetch("result/" + lease)
        return self._open("result/" + lease)

    def _wrap(self, name: str, key: StreamKey) -> enclaves_pb2.Secret:
        secret = self._life.vault.wrap(name, key.to_bytes())
        self._keep(name, secret.wrapped)
        return secret

    async def _fetch(self, name: str) -> None:
        if name in self._wrapped:
            return
        request = enclaves_pb2.FetchSecret(name=name)
        reply = await self._life.connection.link.request(enclaves_pb2.KIND_FETCH_SECRET, request)
        self._keep(name, enclaves_pb2.Secret.FromString(reply).wrapped)

    def _open(self, name: str) -> StreamKey:
        return StreamKey(self._life.vault.unwrap(name, self._wrapped[name]))

    def _keep(self, name: str, wrapped: bytes) -> None:
        self._wrapped[name] = wrapped
        if len(self._wrapped) > _KEPT:
            self._wrapped.popitem(last=False)
