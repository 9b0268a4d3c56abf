# SPDX-License-Identifier: Apache-2.0
"""What a home and its log have, so that nobody hands it over as a file: members' public keys, and
the descriptions of objects that were granted."""

import time

from placet.auditing.grants import grant_records
from placet.client.blocking import Client
from placet.client.cli._frame import home
from placet.client.errors import AnswerMalformed, FileRefused, UsageRefused
from placet.client.keys import PublicKeys
from placet.governance.documents import Grant
from placet.governance.envelope import inspect, parse_envelope
from placet.sealing import ObjectDescriptor


def _member(id: str) -> PublicKeys:
    path = home().members / f"{id}.pub.json"
    if "/" in id or not path.is_file():
        raise FileRefused(
            f"This home has no public keys of {id!r}. Name the .pub.json file of that member.",
            claim="key",
            actual=id[:80],
        )
    return PublicKeys.load(path)


class KnownHere:
    """What a command that is connected knows."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def key(self, id: str) -> str:
        """The HPKE key of a member whose signing key the constitution in force still lists. Raises
        `FileRefused` or `SignerUnknown`."""
        member = _member(id)
        if member.signing not in self._client.council.verify().newest.document.keys_of(id):
            raise FileRefused(
                f"The constitution lists other keys of {id} than this home has. Name the .pub.json "
                "file that the member has now.",
                claim="key",
            )
        return member.hpke.to_text()

    def object(self, owner: str, digest: str) -> ObjectDescriptor:
        """The object of an owner's grants that have not ended. Raises `UsageRefused` where there
        is none, or several."""
        self._client.log.ledger()
        now = int(time.time())
        records = grant_records(self._client.log.entries()).values()
        live = [r for r in records if r.owner == owner and r.withdrawn is None and r.expires > now]
        granted = (self._object(record.digest) for record in live)
        found = {one.digest: one for one in granted if one.digest.startswith(digest)}
        if len(found) == 1:
            return next(iter(found.values()))
        listed = f" ({', '.join(sorted(found))})" if found else ""
        raise UsageRefused(
            f"The log has {len(found)} objects that {owner!r} has granted{listed}. Name one, as "
            'object = "sha256:...", or the .object.json file.',
            claim="object",
            expected="one object",
            actual=str(len(found)),
        )

    def _object(self, grant: str) -> ObjectDescriptor:
        envelope = self._client.log.document(grant)
        if parse_envelope(envelope).digest != grant:
            raise AnswerMalformed(
                "The host gave another document than the log names. Report the host.",
                claim="grant",
                expected=grant,
            )
        return inspect(envelope, Grant).object
