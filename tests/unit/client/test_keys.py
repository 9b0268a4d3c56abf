# SPDX-License-Identifier: Apache-2.0
"""Key files: round trips, passphrases, permissions, and what is no key file."""

import base64
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from placet.client import FileRefused, Home, KeyFileRefused, Keys, PassphraseWrong, PublicKeys
from placet.client.keys import needs_passphrase
from placet.refusals import DocumentMalformed
from placet.sealing import HPKEPrivateKey


def test_a_key_file_gives_the_same_keys(tmp_path: Path) -> None:
    keys, path = Keys.generate("alice"), tmp_path / "alice.key"
    public = keys.save(path)
    assert public == tmp_path / "alice.pub.json"
    assert path.stat().st_mode & 0o777 == 0o600
    found = Keys.load(path)
    assert found.public == keys.public == PublicKeys.load(public)
    assert found.hpke.to_bytes() == keys.hpke.to_bytes()
    assert not needs_passphrase(path)


@pytest.mark.parametrize("stored", [32, 96], ids=["seed", "expanded"])
def test_a_key_file_holds_xwings_seed_and_the_earlier_form_is_read(
    tmp_path: Path, stored: int
) -> None:
    suite, raw = bytes.fromhex("01 647a 0001 0002"), os.urandom(stored)
    keys = replace(Keys.generate("alice"), hpke=HPKEPrivateKey.from_bytes(suite + raw))
    keys.save(tmp_path / "alice.key")
    written = json.loads((tmp_path / "alice.key").read_bytes())
    assert base64.b64decode(written["secret"])[32:] == suite + raw
    assert Keys.load(tmp_path / "alice.key").hpke.public == keys.hpke.public
    made = Keys.generate("bob")
    made.save(tmp_path / "bob.key")
    secret = json.loads((tmp_path / "bob.key").read_bytes())["secret"]
    assert len(base64.b64decode(secret)) == 32 + 7 + 32


def test_an_encrypted_key_file_takes_its_passphrase(tmp_path: Path) -> None:
    keys, path = Keys.generate("alice"), tmp_path / "alice.key"
    keys.save(path, "correct horse")
    assert needs_passphrase(path)
    assert Keys.load(path, "correct horse").public == keys.public
    for wrong in ("", "battery staple"):
        with pytest.raises(PassphraseWrong):
            Keys.load(path, wrong)


def test_the_public_part_of_an_encrypted_file_is_authenticated(tmp_path: Path) -> None:
    path = tmp_path / "alice.key"
    Keys.generate("alice").save(path, "correct horse")
    value = json.loads(path.read_bytes())
    value["public"]["id"] = "mallory"
    path.write_text(json.dumps(value))
    with pytest.raises(PassphraseWrong):
        Keys.load(path, "correct horse")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o755])
def test_a_key_file_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "alice.key"
    Keys.generate("alice").save(path)
    path.chmod(mode)
    with pytest.raises(KeyFileRefused, match="chmod 600"):
        Keys.load(path)


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "alice.key"
    Keys.generate("alice").save(path)
    before = path.read_bytes()
    with pytest.raises(KeyFileRefused, match="exists"):
        Keys.generate("alice").save(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b'{"version": 2}',
        b'{"version": 1, "public": {}, "secret": "AAAA"}',
        b'{"version": 1, "public": 3, "sealed": "AAAA", "salt": 7}',
        b'{"version": 1, "public": {"id": "a"}, "secret": 5}',
    ],
)
def test_what_is_no_key_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileRefused):
        Keys.load(path, "x")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused):
        Keys.load(tmp_path / "none.key")


@pytest.mark.parametrize("content", [b"", b"{}", b'{"id": 1, "signing": 2, "hpke": 3}'])
def test_what_are_no_public_keys_is_refused(content: bytes) -> None:
    with pytest.raises(FileRefused):
        PublicKeys.from_bytes(content)


def test_representations_show_no_secret() -> None:
    keys = Keys.generate("alice")
    shown = repr(keys)
    assert all(secret.hex() not in shown for secret in _secrets(keys))


def _secrets(keys: Keys) -> list[bytes]:
    private = keys.signing.private
    assert isinstance(private, Ed25519PrivateKey)
    return [keys.hpke.to_bytes(), private.private_bytes_raw()]


def test_an_id_is_an_identifier() -> None:
    with pytest.raises(DocumentMalformed):
        Keys.generate("../alice")
    with pytest.raises(DocumentMalformed):
        Keys.generate("alice").acting_as("A B")


@pytest.mark.parametrize("name", ["own", "ключ", "\N{KEY}", 'a "quoted" \\ name'])
def test_a_home_keeps_whose_it_is(tmp_path: Path, name: str) -> None:
    home, key = Home(tmp_path / "home"), tmp_path / f"{name}.key"
    home.configure("127.0.0.1:7433", "sha256:" + "0" * 64)
    assert home.key() == (None, "")
    home.use_key(key, "seat")
    assert home.key() == (key, "seat")
    home.configure("127.0.0.1:7434", "sha256:" + "1" * 64)
    assert home.key() == (key, "seat")
    assert home.host() == ("127.0.0.1:7434", "sha256:" + "1" * 64)
