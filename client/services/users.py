# SPDX-License-Identifier: Apache-2.0
"""As whom somebody asks: with the key of a principal, or with a token.

A token is 32 random bytes; whoever holds it may ask where a proposal lists its digest. Its file
holds it as 64 hexadecimal digits and a line's end.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from placet.client.errors import KeyFileRefused
from placet.client.files import read_file, write_file
from placet.client.keys import Keys
from placet.client.services.questions import Bearer, Principal, User
from placet.governance.documents import Constitution
from placet.governance.documents.serving import TOKEN_BYTES, Bearers, Members, Roster, token_digest
from placet.governance.documents.work.serve import Serve
from placet.refusals import UserNotAllowed

_MAX_FILE = 1024
_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Token:
    """A token; never shown by `repr`."""

    secret: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> "Token":
        return cls(os.urandom(TOKEN_BYTES))

    @classmethod
    def load(cls, path: Path) -> "Token":
        """Read a token's file. Raises `KeyFileRefused` for one that others can read or that is
        none, or `FileRefused`."""
        text = read_file(path, _MAX_FILE)
        if path.stat().st_mode & _OTHERS:
            raise KeyFileRefused(f"Others can read {path}. Run: chmod 600 {path}", claim=str(path))
        try:
            secret = bytes.fromhex(text.decode().strip())
        except ValueError:
            secret = b""
        if len(secret) != TOKEN_BYTES:
            raise KeyFileRefused(
                f"{path} holds no token. Name the file that `placet token new` wrote.",
                claim=str(path),
            )
        return cls(secret)

    def save(self, path: Path) -> None:
        """Write its file, readable by its owner alone. Raises `KeyFileRefused` if there is one:
        tokens are not overwritten."""
        if path.exists():
            raise KeyFileRefused(
                f"{path} exists, and tokens are not overwritten. Name another file."
            )
        write_file(path, self.secret.hex().encode() + b"\n", mode=0o600)

    @property
    def digest(self) -> str:
        """How proposals name it."""
        return token_digest(self.secret)


def judge_user(user: Keys | Token, terms: Serve, rules: Constitution) -> User:
    """Whom a service knows these keys or this token as. Raises `UserNotAllowed` before anything is
    sent."""
    if isinstance(user, Token):
        return Bearer(_named(user, terms), user.secret)
    users, id = terms.users, user.id
    if user.signing.public not in rules.keys_of(id):
        raise _refused("The constitution has no such key of", id, "a key that it lists")
    match users:
        case Roster():
            allowed, expected = id in users.users, ", ".join(users.users)
        case Members():
            allowed = rules.principal(id).organisation in users.organisations
            expected = "somebody of " + ", ".join(users.organisations)
        case Bearers():
            allowed, expected = False, "the holder of a token"
    if not allowed:
        raise _refused("The service is not for", id, expected)
    return Principal(id, user.signing)


def _named(token: Token, terms: Serve) -> str:
    tokens = terms.users.tokens if isinstance(terms.users, Bearers) else {}
    for name, digest in tokens.items():
        if digest == token.digest:
            return name
    raise _refused("The service does not know", token.digest, "a token that it lists")


def _refused(what: str, who: str, expected: str) -> UserNotAllowed:
    return UserNotAllowed(
        f"{what} {who}. Ask with the keys or the token that the proposal names.",
        claim="user",
        expected=expected[:500],
        actual=who,
    )
