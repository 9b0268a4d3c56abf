# SPDX-License-Identifier: Apache-2.0
"""The root secret as the host stores it: wrapped under the sealing key of the TCB of its day.

A microcode or firmware update gives the machine another TCB, and with it another sealing key. Where
the machine still gives the earlier key, the start after the update opens the old copy and makes one
more. Both are kept, so that it also opens where the update is taken back. A new root secret is
wrapped for the present TCB alone, because an earlier one is less safe.

A copy's measurement and TCB are the host's word. They are for the refusal alone; AES-GCM decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from placet.attestation import SealingKey
from placet.governance.checks import check_hexadecimal, check_measurement, check_range
from placet.governance.codec import decode, encode
from placet.governance.contexts import secret_info
from placet.refusals import DocumentMalformed, DocumentTooLarge, KeyUnwrapRefused
from placet.sealing import unwrap_key, wrap_key

ROOT = "root"
_TCB_DIGITS = (2, 16, 32)  # simulation, SNP, SGX
_WRAPPED_DIGITS = 2 * (12 + 32 + 16)  # nonce, secret, tag
_RESTORE = "Restore the host's state from a copy."
_SAME_VERSION = "Start the version of Placet that founded the log, or found a new log."
_SAME_MACHINE = (
    "Start it on the machine that founded the log, or restore the host's state from a copy."
)
_SAME_TCB = (
    "Put the earlier microcode or firmware back, if the machine takes it, and start again. Else "
    "the log has ended: found a new one, and have the owners grant again."
)


@dataclass(frozen=True, slots=True)
class Copy:
    """The root secret under one sealing key; all three in hexadecimal."""

    measurement: str
    tcb: str
    wrapped: str

    def __post_init__(self) -> None:
        check_measurement("measurement", self.measurement)
        check_hexadecimal("tcb", self.tcb, _TCB_DIGITS)
        check_hexadecimal("wrapped", self.wrapped, (_WRAPPED_DIGITS,))


@dataclass(frozen=True, slots=True)
class SealedRoot:
    """Its copies, that for the newest TCB first."""

    copies: tuple[Copy, ...]

    def __post_init__(self) -> None:
        check_range("copies", len(self.copies), 1, 2)


def seal_root(root: bytes, keys: Sequence[SealingKey]) -> bytes:
    """A new root secret for storage."""
    return encode(SealedRoot((_copy(root, keys[0]),)))


def open_root(sealed: bytes, keys: Sequence[SealingKey]) -> tuple[bytes, bytes | None]:
    """The root secret and, where no copy is for the present TCB yet, what is to be stored instead.

    `keys` are those that the machine gives, of the present TCB first. Raises `KeyUnwrapRefused`
    where none opens it.
    """
    try:
        copies = decode(SealedRoot, sealed).copies
    except (DocumentMalformed, DocumentTooLarge):
        raise _refusal("cannot be read: its stored form was changed", _RESTORE) from None
    for key in keys:
        for copy in copies:
            root = _opened(copy, key)
            if root is None:
                continue
            if key is keys[0]:
                return root, None
            return root, encode(SealedRoot((_copy(root, keys[0]), copy)))
    raise _unopened(copies, keys[0])


def _copy(root: bytes, key: SealingKey) -> Copy:
    return Copy(key.measurement, key.tcb, wrap_key(root, key.key, secret_info(ROOT)).hex())


def _opened(copy: Copy, key: SealingKey) -> bytes | None:
    try:
        return unwrap_key(bytes.fromhex(copy.wrapped), key.key, secret_info(ROOT))
    except KeyUnwrapRefused:
        return None


def _unopened(copies: Sequence[Copy], present: SealingKey) -> KeyUnwrapRefused:
    """Why no copy opens, as far as the copies tell."""
    ours = [copy for copy in copies if copy.measurement == present.measurement]
    if not ours:
        sealed = " or ".join(copy.measurement for copy in copies)
        found = f"measurement {sealed}; this one is {present.measurement}"
        return _refusal(f"was sealed by another enclave ({found})", _SAME_VERSION)
    tcbs = [copy.tcb for copy in ours]
    if present.tcb in tcbs:
        return _refusal(
            "was sealed on another machine, or its stored form was changed", _SAME_MACHINE
        )
    what = (
        f"was sealed under another TCB ({' or '.join(tcbs)}; the machine is at {present.tcb}): its "
        "microcode or firmware was updated or taken back, and it gives no sealing key of the other "
        "one"
    )
    return _refusal(what, _SAME_TCB)


def _refusal(what: str, remedy: str) -> KeyUnwrapRefused:
    return KeyUnwrapRefused(
        f"The authority cannot start: its root secret {what}. {remedy}",
        claim="root secret",
        remedy=remedy,
    )
