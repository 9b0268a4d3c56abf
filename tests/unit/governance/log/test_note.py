# SPDX-License-Identifier: Apache-2.0
"""Signed notes: the examples of the specification and of Go, and all that must not pass."""

import base64
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.governance.log import (
    MAX_NOTE_BYTES,
    NoteSignature,
    NoteSigner,
    SignedNote,
    VerifierKey,
    sign_note,
    verify_note,
)
from placet.refusals import LogCheckpointInvalid, Refusal

# C2SP signed-note, section "Example".
C2SP_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = """This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""

# golang.org/x/mod/sumdb/note, package documentation.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = """If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""

NAMES = st.from_regex(r"[a-z0-9./é-]{1,40}", fullmatch=True)
TEXTS = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n"), max_size=200
).map(lambda text: text + "\n")


def refuses(data: bytes | str, key: VerifierKey) -> None:
    with pytest.raises(LogCheckpointInvalid):
        verify_note(data.encode() if isinstance(data, str) else data, key)


@pytest.mark.parametrize(("key", "note"), [(C2SP_KEY, C2SP_NOTE), (GO_KEY, GO_NOTE)])
def test_published_examples(key: str, note: str) -> None:
    verifier = VerifierKey.from_text(key)
    assert verifier.to_text() == key
    assert verify_note(note.encode(), verifier) == note[: note.index("\n\n") + 1]
    assert SignedNote.from_bytes(note.encode()).to_bytes() == note.encode()


def test_every_flipped_bit_of_a_note_is_refused() -> None:
    key, data = VerifierKey.from_text(C2SP_KEY), C2SP_NOTE.encode()
    for position in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            refuses(bytes(changed), key)


def test_every_cut_and_every_doubled_byte_is_refused() -> None:
    key, data = VerifierKey.from_text(C2SP_KEY), C2SP_NOTE.encode()
    for position in range(len(data)):
        refuses(data[:position], key)
        refuses(data[: position + 1] + data[position:], key)


@given(name=NAMES, text=TEXTS, seed=st.binary(min_size=32, max_size=32))
def test_what_is_signed_verifies(name: str, text: str, seed: bytes) -> None:
    signer = NoteSigner(name, seed)
    data = sign_note(text, signer)
    assert verify_note(data, signer.verifier_key) == text
    assert SignedNote.from_bytes(data).to_bytes() == data
    assert VerifierKey.from_text(signer.verifier_key.to_text()) == signer.verifier_key
    assert NoteSigner(name, signer.to_bytes()).verifier_key == signer.verifier_key


def test_other_signatures_are_carried_and_ignored(signer: NoteSigner) -> None:
    witness = NoteSignature("example.net/witness", b"\1\2\3\4", b"\0" * 72)
    same_name = replace(signer.sign("x\n"), key_id=b"\0\0\0\0")
    same_id = replace(signer.sign("x\n"), name="example.net/other")
    signatures = (witness, same_name, same_id, signer.sign("text\n"))
    data = SignedNote("text\n", signatures).to_bytes()
    assert verify_note(data, signer.verifier_key) == "text\n"
    assert SignedNote.from_bytes(data).signatures == signatures
    refuses(SignedNote("text\n", signatures[:3]).to_bytes(), signer.verifier_key)


def test_two_signers_verify_each(signer: NoteSigner) -> None:
    other = NoteSigner.generate("example.net/other")
    data = sign_note("text\n", signer, other)
    assert verify_note(data, signer.verifier_key) == verify_note(data, other.verifier_key)


def test_one_key_signs_once(signer: NoteSigner) -> None:
    with pytest.raises(LogCheckpointInvalid):
        sign_note("text\n", signer, signer)
    data = sign_note("text\n", signer)
    refuses(data + data[data.index(b"\n\n") + 2 :], signer.verifier_key)


def test_a_key_of_another_name_does_not_verify(signer: NoteSigner) -> None:
    data = sign_note("text\n", signer)
    refuses(data, replace(signer.verifier_key, name="example.org/other"))
    refuses(data, NoteSigner.generate("example.org/log").verifier_key)


def test_the_text_ends_at_the_last_blank_line(signer: NoteSigner) -> None:
    inner = sign_note("inner\n", signer).decode()
    for text in ("\n", "\n\n", "a\n\n\nb\n", "\n— a b\n", inner, "a\n\n"):
        assert verify_note(sign_note(text, signer), signer.verifier_key) == text


@pytest.mark.parametrize(
    "text",
    ["", "no newline", "a\tb\n", "a\r\n", "\0\n", "\x1b[2J\n", "\x7f\n", "\x85\n", "\ud800\n"],
)
def test_texts_that_are_not_signed(signer: NoteSigner, text: str) -> None:
    with pytest.raises(LogCheckpointInvalid):
        sign_note(text, signer)


def test_control_characters_are_refused_even_when_signed(signer: NoteSigner) -> None:
    line = sign_note("a\n", signer).decode().split("\n\n")[1]
    for control in [*range(10), *range(11, 32)]:
        refuses(f"a{chr(control)}\n\n{line}", signer.verifier_key)
        refuses(f"a\n\n{line[:-1]}{chr(control)}\n", signer.verifier_key)


@pytest.mark.parametrize(
    "name", ["", "a b", "a+b", "a\tb", "a\nb", "a\u00a0b", "a\u2003b", "\x7f", "\ud800", "n" * 256]
)
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(LogCheckpointInvalid):
        NoteSigner.generate(name)
    with pytest.raises(LogCheckpointInvalid):
        NoteSignature(name, b"\0" * 4, b"\0")
    with pytest.raises(LogCheckpointInvalid):
        VerifierKey.from_text(f"{name}+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")


def test_a_note_has_a_size_limit(signer: NoteSigner) -> None:
    room = MAX_NOTE_BYTES - len(sign_note("\n", signer))
    data = sign_note("a" * room + "\n", signer)
    assert len(data) == MAX_NOTE_BYTES
    assert verify_note(data, signer.verifier_key)
    with pytest.raises(LogCheckpointInvalid):
        sign_note("a" * (room + 1) + "\n", signer)
    refuses(b"a" + data, signer.verifier_key)


def test_sixteen_signatures_and_many_more_are_accepted(signer: NoteSigner) -> None:
    others = tuple(NoteSignature(f"w{i}", b"\0" * 4, b"\0" * 72) for i in range(400))
    data = SignedNote("a\n", (*others, signer.sign("a\n"))).to_bytes()
    assert verify_note(data, signer.verifier_key) == "a\n"


BAD_LINES = {
    "no dash": "example.org/log AAAAAAAA",
    "hyphen": "- example.org/log AAAAAAAA",
    "no name": "— AAAAAAAA",
    "two spaces": "—  example.org/log AAAAAAAA",
    "trailing space": "— example.org/log AAAAAAAA ",
    "not base64": "— example.org/log AAAA*AAA",
    "no padding": "— example.org/log AAAAAAA",
    "loose bits": "— example.org/log AAAAAAB=",
    "key id only": "— example.org/log AAAAAA==",
    "nothing": "— example.org/log ",
    "not ASCII": "— example.org/log AAAAAAAé",
    "empty": "",
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_bad_signature_lines(signer: NoteSigner, case: str) -> None:
    refuses(f"a\n\n{BAD_LINES[case]}\n", signer.verifier_key)
    good = sign_note("a\n", signer).decode()
    refuses(f"{good}{BAD_LINES[case]}\n", signer.verifier_key)


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"\n\n", b"a\n", b"a\n\n", b"\xff\n\n", b"\xe2\x80\n\n"]
)
def test_what_is_no_note(signer: NoteSigner, data: bytes) -> None:
    refuses(data, signer.verifier_key)


def vkey(material: bytes, name: str = "n", key_id: str = "00000000") -> str:
    return f"{name}+{key_id}+{base64.b64encode(material).decode()}"


BAD_KEYS = {
    "empty": "",
    "two parts": "example.com/foo+530d903a",
    "other id": C2SP_KEY.replace("530d903a", "530d903b"),
    "upper case id": C2SP_KEY.replace("530d903a", "530D903A"),
    "other name": C2SP_KEY.replace("foo", "bar"),
    "cosignature type": vkey(b"\x04" + b"\0" * 32),
    "short key": vkey(b"\x01" + b"\0" * 31),
    "long key": vkey(b"\x01" + b"\0" * 33),
    "no key": vkey(b""),
    "not base64": "n+00000000+====",
    "newline": C2SP_KEY + "\n",
    "too long": C2SP_KEY + "A" * 1000,
}


@pytest.mark.parametrize("case", BAD_KEYS)
def test_bad_verifier_keys(case: str) -> None:
    with pytest.raises(LogCheckpointInvalid):
        VerifierKey.from_text(BAD_KEYS[case])


def test_a_key_that_is_no_curve_point_verifies_nothing(signer: NoteSigner) -> None:
    for filler in (b"\0", b"\x02", b"\xff"):
        key = VerifierKey("example.org/log", filler * 32)
        signature = NoteSignature(key.name, key.key_id, b"\x01" * 64)
        refuses(SignedNote("a\n", (signature,)).to_bytes(), key)
        refuses(SignedNote("a\n", (replace(signature, signature=b"\1"),)).to_bytes(), key)


def test_the_secret_is_not_shown(signer: NoteSigner) -> None:
    seed = signer.to_bytes()
    for shown in (repr(signer), str(signer)):
        assert seed.hex() not in shown
        assert base64.b64encode(seed).decode() not in shown
    for length in (0, 31, 33):
        with pytest.raises(ValueError, match=re.escape("32 bytes")):
            NoteSigner("n", b"\0" * length)


@given(st.binary(max_size=400) | st.binary(max_size=200).map(lambda b: b"a\n\n\xe2\x80\x94 " + b))
def test_the_parser_raises_its_own_errors_only(data: bytes) -> None:
    try:
        note = SignedNote.from_bytes(data)
    except Refusal:
        return
    assert note.to_bytes() == data


@given(st.text(max_size=100) | st.text(max_size=60).map(lambda t: f"n+00000000+{t}"))
def test_the_key_parser_raises_its_own_errors_only(text: str) -> None:
    try:
        key = VerifierKey.from_text(text)
    except Refusal:
        return
    assert key.to_text() == text
