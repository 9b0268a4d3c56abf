# SPDX-License-Identifier: Apache-2.0
"""The root secret and what hangs from it."""

import pytest

from placet.attestation import Evidence, SealingKey
from placet.enclave.authority.vault import Vault
from placet.refusals import KeyUnwrapRefused

CONSTITUTION = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32


class Processor:
    """An attester whose sealing keys are known."""

    def __init__(self, key: bytes) -> None:
        self._key = SealingKey("aa" * 32, "01", key)

    def evidence(self, report_data: bytes) -> Evidence:
        raise NotImplementedError

    def sealing_keys(self) -> tuple[SealingKey, ...]:
        return (self._key,)


def test_a_vault_comes_back_from_its_sealed_root() -> None:
    vault, sealed = Vault.create(Processor(b"a" * 32))
    again, resealed = Vault.open(sealed.wrapped, Processor(b"a" * 32))
    assert resealed is None
    ours, theirs = vault.log_keys("o", CONSTITUTION), again.log_keys("o", CONSTITUTION)
    assert ours.log == theirs.log
    assert ours.receipts.public == theirs.receipts.public
    wrapped = vault.wrap("grant/x", b"secret").wrapped
    assert again.unwrap("grant/x", wrapped) == b"secret"
    assert b"secret" not in wrapped


def test_another_council_has_another_log_key() -> None:
    """Also of one root secret, which a host can bring back from before the founding."""
    vault, _ = Vault.create(Processor(b"a" * 32))
    first, second = vault.log_keys("o", CONSTITUTION), vault.log_keys("o", OTHER)
    assert first.log != second.log
    assert first.receipts.public != second.receipts.public


def test_a_secret_opens_under_its_own_name_and_root_only() -> None:
    vault, sealed = Vault.create(Processor(b"a" * 32))
    wrapped = vault.wrap("grant/x", b"secret").wrapped
    other, _ = Vault.create(Processor(b"a" * 32))
    for holder, name, data in (
        (vault, "grant/y", wrapped),
        (vault, "result/x", wrapped),
        (vault, "grant/x", wrapped[:-1] + bytes([wrapped[-1] ^ 1])),
        (vault, "grant/x", b""),
        (other, "grant/x", wrapped),
    ):
        with pytest.raises(KeyUnwrapRefused):
            holder.unwrap(name, data)
    with pytest.raises(KeyUnwrapRefused):
        Vault.open(sealed.wrapped, Processor(b"b" * 32))
