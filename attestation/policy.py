# SPDX-License-Identifier: Apache-2.0
"""A policy says what a relying party wants of an enclave.

Every field is given. A field that is to accept everything says "any"; `kinds` and `measurements`
may not. An empty list is an error; `advisories` and the SNP bits say "none" where there is none,
and `launched_for` where the enclave must have been launched for nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal, Self, cast

from placet.attestation import _strict
from placet.attestation.claims import (
    MAX_INTEGER,
    MAX_SVN,
    MEASUREMENT_DIGITS,
    TCB_STATUSES,
    Claims,
)
from placet.attestation.evidence import KINDS
from placet.attestation.snp.bits import check_bit
from placet.attestation.snp.tcb import Tcb
from placet.refusals import PolicyInvalid

ANY: Final = "any"
NONE: Final = "none"
KNOWN: Final = "known"
MAX_CHOICES = 1024  # entries in one list
_LISTS = (
    "kinds",
    "measurements",
    "signers",
    "launched_for",
    "platforms",
    "tcb_statuses",
    "advisories",
    "snp_bits_required",
    "snp_bits_allowed",
)


@dataclass(frozen=True, slots=True)
class Policy:
    """Constructed only complete; raises PolicyInvalid for anything left open."""

    kinds: tuple[str, ...]  # a simulated enclave is wanted only where "simulation" is named
    # Hexadecimal; or that, "=" and the digest that enclaves of this measurement are made for.
    measurements: tuple[str, ...]
    signers: tuple[str, ...] | Literal["any"]  # hexadecimal
    product: int | Literal["any"]
    # What it was launched for: digests; "any" leaves that to who leases, program by program.
    launched_for: tuple[str, ...] | Literal["any", "none"]
    platforms: tuple[str, ...] | Literal["any"]  # machines, hexadecimal
    smt: bool | Literal["any"]
    dynamic_platform: bool | Literal["any"]
    tcb_statuses: tuple[str, ...] | Literal["any"]
    advisories: tuple[str, ...] | Literal["any", "none"]  # those tolerated
    min_svn: int | Literal["any"]
    # fmc.bootloader.tee.snp.microcode, each at least that; other hardware has none and satisfies
    # it.
    min_snp_tcb: str
    # By the names of snp/bits.py; other hardware has none and satisfies both.
    snp_bits_required: tuple[str, ...] | Literal["none"]
    # What else may be set; "known" leaves out the bits that this version has no word for.
    snp_bits_allowed: tuple[str, ...] | Literal["any", "known", "none"]
    min_tcb_evaluation: int | Literal["any"]
    max_collateral_age_seconds: int | Literal["any"]

    def __post_init__(self) -> None:
        _choices("kinds", self.kinds, _kind, ())
        _choices("measurements", self.measurements, _made, ())
        _choices("signers", self.signers, _measurement, (ANY,))
        _bound("product", self.product, 0, 2**16 - 1)
        _choices("launched_for", self.launched_for, _digest, (ANY, NONE))
        _choices("platforms", self.platforms, _platform, (ANY,))
        _flag("smt", self.smt)
        _flag("dynamic_platform", self.dynamic_platform)
        _choices("tcb_statuses", self.tcb_statuses, _tcb_status, (ANY,))
        _choices("advisories", self.advisories, _advisory, (ANY, NONE))
        _bound("min_svn", self.min_svn, 0, MAX_SVN)
        if self.min_snp_tcb != ANY:
            Tcb.from_text(_strict.text("min_snp_tcb", self.min_snp_tcb, 19, PolicyInvalid))
        _choices("snp_bits_required", self.snp_bits_required, check_bit, (NONE,))
        _choices("snp_bits_allowed", self.snp_bits_allowed, check_bit, (ANY, KNOWN, NONE))
        _bound("min_tcb_evaluation", self.min_tcb_evaluation, 0, MAX_INTEGER)
        _bound("max_collateral_age_seconds", self.max_collateral_age_seconds, 1, MAX_INTEGER)
        if len({one.partition("=")[0] for one in self.measurements}) != len(self.measurements):
            raise PolicyInvalid(
                "measurements must list each measurement once.", claim="measurements"
            )

    def made_for(self, measurement: str) -> str | None:
        """Return the digest that enclaves of a listed measurement are made for; "" for none.

        None if the measurement is not listed. Where each program has an enclave of its own (SGX
        under Gramine, which sets no CONFIGID), the hardware reports the program by the measurement
        alone, and which it is only a policy can say.
        """
        for one in self.measurements:
            listed, _, digest = one.partition("=")
            if listed == measurement:
                return digest
        return None

    def complete(self, claims: Claims) -> Claims:
        """Return claims with what the policy says that their measurement is made for."""
        made_for = self.made_for(claims.measurement)
        return replace(claims, launched_for=made_for) if made_for else claims

    def to_dict(self) -> dict[str, object]:
        """Return the policy as a JSON object; lists keep their order."""
        values = ((field.name, cast("object", getattr(self, field.name))) for field in fields(self))
        return {name: _list(value) if name in _LISTS else value for name, value in values}

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Read a policy; raise PolicyInvalid for unknown, missing or open fields."""
        found = _strict.mapping(document, PolicyInvalid)
        _strict.exact(found, (field.name for field in fields(cls)), PolicyInvalid)
        values = {name: _tuple(value) if name in _LISTS else value for name, value in found.items()}
        # Each value is checked on construction, whatever its type.
        return cls(**cast("dict[str, Any]", values))


def _tuple(value: object) -> object:
    return tuple(cast("list[object]", value)) if isinstance(value, list) else value


def _list(value: object) -> object:
    return list(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else value


def _choices(
    name: str, value: object, check: Callable[[object], str], words: tuple[str, ...]
) -> None:
    if isinstance(value, str) and value in words:
        return
    if not isinstance(value, tuple):
        allowed = "".join(f' or "{word}"' for word in words)
        raise PolicyInvalid(f"{name} must be a list{allowed}.", claim=name)
    found = [check(one) for one in cast("tuple[object, ...]", value)]
    if not 0 < len(found) <= MAX_CHOICES or len(set(found)) != len(found):
        raise PolicyInvalid(f"{name} must list 1 to {MAX_CHOICES} different entries.", claim=name)


def _bound(name: str, value: object, low: int, high: int) -> None:
    if value != ANY:
        _strict.integer(name, value, low, high, PolicyInvalid)


def _flag(name: str, value: object) -> None:
    if value != ANY:
        _strict.boolean(name, value, PolicyInvalid)


def _digest(value: object) -> str:
    return _strict.digest("launched_for", value, PolicyInvalid)


def _kind(value: object) -> str:
    return _strict.one_of("kinds", value, KINDS, PolicyInvalid)


def _made(value: object) -> str:
    listed, equals, digest = value.partition("=") if isinstance(value, str) else (value, "", "")
    if equals:
        _strict.digest("measurements", digest, PolicyInvalid)
    return _measurement(listed) + equals + digest


def _measurement(value: object) -> str:
    return _strict.hexadecimal("measurement", value, MEASUREMENT_DIGITS, PolicyInvalid)


def _platform(value: object) -> str:
    return _strict.hexadecimal("platforms", value, (32, 128), PolicyInvalid)


def _tcb_status(value: object) -> str:
    return _strict.one_of("tcb_statuses", value, TCB_STATUSES, PolicyInvalid)


def _advisory(value: object) -> str:
    return _strict.text("advisories", value, 64, PolicyInvalid)
