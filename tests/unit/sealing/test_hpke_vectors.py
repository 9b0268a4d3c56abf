# SPDX-License-Identifier: Apache-2.0
"""HPKE and X-Wing against vectors of others: RFC 9180's, and those of the draft on X-Wing."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from placet.refusals import KeyMalformed
from placet.sealing import HPKEPrivateKey, open_envelope, seal_envelope
from tests.support.rfc9180 import key_schedule

# The entry for mode 0, KEM 0x0020, KDF 0x0001, AEAD 0x0002 of the vectors that go with RFC 9180.
INFO = bytes.fromhex("4f6465206f6e2061204772656369616e2055726e")
PRIVATE = "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d"
PUBLIC = "430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c"
ENC = "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256"
SHARED = "3101c54c3a4f87439eaac080699ed9bbcc726ffe44e860c0424ccb7e3e2ead7b"
KEY = "f50b0609186798729ed0564b36ef2ef8044f1f9d05636874d1f46c819c7a669f"
NONCE = "151d9929e2449747889bc923"
AAD, PLAIN = b"Count-0", b"Beauty is truth, truth beauty"
CIPHERTEXT = (
    "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a"
)

X25519, XWING = bytes.fromhex("01 0020 0001 0002"), bytes.fromhex("01 647a 0001 0002")
DRAFT = json.loads((Path(__file__).parents[2] / "vectors" / "published" / "xwing.json").read_text())
# The first seed as keys were stored before: `openssl dgst -shake256 -xoflen 96` of it.
EXPANDED = (
    "c44829d2b269887f6150dfaee5a25a704cbc607e57d18a2ffc8734633333cff0"
    "f0fc6fa4e4827531168087ef223e9b070c5a78a789fd46d4c604d69b1139d4da"
    "cd3f2cce66ed130e5e73a0ebd454e15488885a2a1544252a20e0f58b6e8fc27b"
)
_drafts = pytest.mark.parametrize("vector", DRAFT, ids=lambda v: v["sk"][:8])


def envelope_of(key: HPKEPrivateKey, enc: bytes, secrets: tuple[bytes, bytes]) -> bytes:
    """What Placet puts before enc, and a ciphertext without associated data, as Placet has it."""
    aead_key, nonce = secrets
    header = key.to_bytes()[:7] + bytes.fromhex(key.public.key_id.removeprefix("sha256:"))
    return header + enc + AESGCM(aead_key).encrypt(nonce, b"plain", b"")


def test_an_envelope_opens_by_the_key_and_nonce_of_the_rfc() -> None:
    key = HPKEPrivateKey.from_bytes(X25519 + bytes.fromhex(PRIVATE))
    assert key.public.raw.hex() == PUBLIC
    theirs = bytes.fromhex(KEY), bytes.fromhex(NONCE)
    assert AESGCM(theirs[0]).encrypt(theirs[1], PLAIN, AAD).hex() == CIPHERTEXT
    envelope = envelope_of(key, bytes.fromhex(ENC), theirs)
    assert open_envelope(envelope, key, INFO) == b"plain"
    # The same schedule serves below, where nobody has published an entry for our suite.
    assert key_schedule(X25519, bytes.fromhex(SHARED), INFO) == theirs


@_drafts
def test_a_key_is_the_drafts_seed(vector: dict[str, str]) -> None:
    seed = bytes.fromhex(vector["sk"])
    key = HPKEPrivateKey.from_bytes(XWING + seed)
    assert key.public.raw.hex() == vector["pk"]
    assert key.to_bytes() == XWING + seed


@_drafts
def test_an_envelope_opens_by_the_drafts_shared_secret(vector: dict[str, str]) -> None:
    key = HPKEPrivateKey.from_bytes(XWING + bytes.fromhex(vector["sk"]))
    secrets = key_schedule(XWING, bytes.fromhex(vector["ss"]), INFO)
    envelope = envelope_of(key, bytes.fromhex(vector["ct"]), secrets)
    assert open_envelope(envelope, key, INFO) == b"plain"


def test_what_is_made_here_is_a_seed() -> None:
    assert len(HPKEPrivateKey.generate().to_bytes()) == 7 + 32


def test_the_expanded_form_is_still_read() -> None:
    seed = bytes.fromhex(DRAFT[0]["sk"])
    expanded = bytes.fromhex(EXPANDED)
    old, new = (HPKEPrivateKey.from_bytes(XWING + raw) for raw in (expanded, seed))
    assert old.public == new.public
    assert old.to_bytes() == XWING + expanded
    for sealer, opener in ((old, new), (new, old)):
        assert open_envelope(seal_envelope(b"x", sealer.public, b""), opener, b"") == b"x"


@pytest.mark.parametrize("size", [0, 31, 33, 64, 95, 97, 2432])
def test_no_other_length_is_a_private_key(size: int) -> None:
    with pytest.raises(KeyMalformed, match="32"):
        HPKEPrivateKey.from_bytes(XWING + bytes(size))
