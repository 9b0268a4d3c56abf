# SPDX-License-Identifier: Apache-2.0
"""Passes: a seat or party lets another key, a build server's for example, call the host in its
name.

    envelope = sign_pass(keys, holder.public, charter, scopes=("run",), proposals=(digest,))
    Client.connect(address, pin, charter=charter, keys=holder, pass_=envelope)
"""

import time
from collections.abc import Sequence

from placet.client.errors import FileRefused, UsageRefused
from placet.client.keys import Keys, PublicKeys
from placet.governance.documents.passes import Pass, Scope
from placet.governance.envelope import inspect, parse_envelope, sign
from placet.refusals import DocumentMalformed, Refusal

_DAY = 86400
_SKEW = 300  # seconds by which the host's clock may be behind


def sign_pass(
    keys: Keys,
    holder: PublicKeys,
    charter: str,
    *,
    scopes: Sequence[Scope],
    proposals: Sequence[str] = (),
    days: int = 7,
) -> bytes:
    """The envelope of a pass, good from now on.

    keys: of the seat or party in whose name the holder may call. charter: the digest of the
    council's. proposals: the digests of those whose work the scope `run` is for; none: of any.
    Raises `UsageRefused`.
    """
    now = int(time.time())
    try:
        made = Pass(
            charter=charter,
            by=keys.id,
            holder=holder.signing,
            scopes=tuple(scopes),
            proposals=tuple(proposals) or "any",
            not_before=now - _SKEW,
            not_after=now - _SKEW + days * _DAY,
        )
    except DocumentMalformed as error:
        raise UsageRefused(
            f"There is no such pass: {error}", claim=error.details["claim"]
        ) from None
    return sign(made, keys.signing)


def read_pass(envelope: bytes) -> Pass:
    """What a pass says; the host verifies it. Raises `FileRefused`."""
    try:
        return inspect(envelope, Pass)
    except Refusal:
        raise FileRefused("This is no pass. Name the file that placet pass wrote.") from None


def kept_as(id: str, pass_: bytes) -> str:
    """Under which name a login by the keys of this id is kept: apart from those under a pass."""
    return f"{id} {parse_envelope(pass_).digest}" if pass_ else id
