# SPDX-License-Identifier: Apache-2.0
"""The one place that calls dcap-qvl, which has no type information.

It answers "genuine?" for Intel quotes below a pinned root. The claims of a quote are taken from the
JSON of what was verified; the parts of the collateral read here were verified by the same call.
dcap-qvl is asked for claims alone: whether a status or a platform is tolerated is for `appraise`.
"""

import functools
import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, cast

import dcap_qvl  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from cryptography import x509

from placet.attestation import _strict
from placet.attestation.claims import MAX_INTEGER
from placet.refusals import (
    CollateralStale,
    EvidenceDebug,
    EvidenceInvalid,
    EvidenceMalformed,
    Refusal,
)

_LATEST = 253_402_300_799  # the last second of the year 9999, as far as dates go

# Words of dcap-qvl 0.7 that have a remedy of their own. Whatever is not listed is not genuine, so a
# changed word costs a better message, never a refusal.
_WORDS: tuple[tuple[str, type[Refusal]], ...] = (
    ("Debug mode is enabled", EvidenceDebug),
    ("issue date is in the future", CollateralStale),
    ("TCBInfo expired", CollateralStale),
    ("QE Identity expired", CollateralStale),
    ("CrlExpired", CollateralStale),
    ("CertExpired", CollateralStale),
    ("CertNotValidYet", CollateralStale),
    ("Failed to decode quote", EvidenceMalformed),
)


class _Collateral(Protocol):
    """The part of dcap_qvl.QuoteCollateralV3 that is read."""

    @property
    def tcb_info(self) -> str: ...
    @property
    def qe_identity(self) -> str: ...
    @property
    def pck_crl(self) -> bytes: ...


class _Claims(Protocol):
    """The part of dcap_qvl.QuoteClaims that is read."""

    def to_json(self) -> str: ...


class _Verifier(Protocol):
    """The part of dcap_qvl.QuoteVerifier that is called."""

    def verify_with_policy(
        self, raw_quote: bytes, collateral: Any, now_secs: int, policy: Any
    ) -> _Claims: ...


class _Quote(Protocol):
    """The part of dcap_qvl.Quote that is called."""

    def fmspc(self) -> str: ...
    def ca(self) -> str: ...


# The only names taken from dcap-qvl, with the types that its manual gives them.
_parse: Callable[[str], _Collateral] = dcap_qvl.QuoteCollateralV3.from_json
_new_verifier: Callable[[bytes | None], _Verifier] = dcap_qvl.QuoteVerifier
_claims_only: Callable[[int], object] = dcap_qvl.QuotePolicy.claims_only
_parse_quote: Callable[[bytes], _Quote] = dcap_qvl.parse_quote
_verify: Callable[[bytes, Any, int], object] = dcap_qvl.verify
_verify_below: Callable[[bytes, Any, bytes, int], object] = dcap_qvl.verify_with_root_ca


@dataclass(frozen=True, slots=True)
class _Parsed:
    """Collateral as dcap-qvl takes it, and the oldest date of issue in it."""

    collateral: _Collateral
    issued: int


@dataclass(frozen=True, slots=True)
class Verified:
    """One report as dcap-qvl found it, and of machine and collateral what policies ask about."""

    kind: str  # "SgxEnclave", "TD10" or "TD15"
    report: dict[str, object]
    tcb_status: str
    advisories: tuple[str, ...]
    ppid: str
    smt: bool | None
    dynamic_platform: bool | None
    tcb_evaluation: int
    collateral_issued: int
    collateral_expires: int


def verify_quote(quote: bytes, collateral: str, root: bytes | None, now: int) -> Verified:
    """Verify a DCAP quote below a DER root (None: Intel's) at `now` (Unix seconds).

    Raises EvidenceMalformed, EvidenceInvalid, EvidenceDebug or CollateralStale; ValueError if `now`
    is no date.
    """
    if not 0 <= now <= _LATEST:
        raise ValueError("now must be Unix seconds before the year 10000")
    parsed = _parse_collateral(collateral)
    return _read(_call(quote, parsed.collateral, root, now), parsed.issued)


def provisioning(quote: bytes) -> tuple[str, str]:
    try:
        with _no_panic():
            parsed = _parse_quote(quote)
            fmspc, authority = parsed.fmspc(), parsed.ca()
    except ValueError as error:
        raise EvidenceMalformed("The quote holds no PCK certificate.") from error
    _strict.hexadecimal("fmspc", fmspc.lower(), (12,), EvidenceMalformed)
    return fmspc.lower(), _strict.one_of(
        "ca", authority, ("processor", "platform"), EvidenceMalformed
    )


@functools.lru_cache(maxsize=16)  # every quote of a machine comes with the same text for weeks
def _parse_collateral(text: str) -> _Parsed:
    try:
        with _no_panic():
            collateral = _parse(text)
    except ValueError as error:
        raise EvidenceMalformed("The collateral is not DCAP collateral.") from error
    # The root's list is left out of the age: Intel renews it once a year.
    issued = (
        _issued(collateral.tcb_info),
        _issued(collateral.qe_identity),
        _last_update(collateral.pck_crl),
    )
    return _Parsed(collateral, min(issued))


def _call(quote: bytes, collateral: _Collateral, root: bytes | None, now: int) -> str:
    try:
        with _no_panic():
            policy = _claims_only(now)
            return _verifier(root).verify_with_policy(quote, collateral, now, policy).to_json()
    except ValueError as error:
        raise _refusal(_words_of(error, quote, collateral, root, now)) from error


@functools.lru_cache(maxsize=8)
def _verifier(root: bytes | None) -> _Verifier:
    return _new_verifier(root)


def _words_of(
    error: ValueError, quote: bytes, collateral: _Collateral, root: bytes | None, now: int
) -> str:
    """Return why dcap-qvl refused; only its older functions say the cause of a bad chain."""
    try:
        with _no_panic():
            if root is None:
                _verify(quote, collateral, now)
            else:
                _verify_below(quote, collateral, root, now)
    except ValueError as cause:
        return str(cause)
    return str(error)


@contextmanager
def _no_panic() -> Generator[None]:
    """Turn a Rust panic, which is no Exception, into a refusal: bad input must not end a thread."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise EvidenceMalformed("The verifier gave up on the evidence.") from error


def _refusal(message: str) -> Refusal:
    found = next((kind for words, kind in _WORDS if words in message), EvidenceInvalid)
    if found is CollateralStale:
        remedy = "send evidence with collateral that is valid now, and check the clock"
    else:
        remedy = "ask for new evidence; if it is refused again, do not trust the enclave"
    words = " ".join(message.removeprefix("Verification failed: ").split())
    detail = "".join(one for one in words if one.isprintable())[:200].rstrip(".")
    return found(f"The evidence was refused: {detail}.", actual=detail, remedy=remedy)


def _read(verified: str, issued: int) -> Verified:
    refusal = EvidenceMalformed
    document = _object(verified)
    reports = _strict.mapping(document.get("report"), refusal)
    if len(reports) != 1:
        raise refusal("The verifier must report one quote.")
    kind, report = next(iter(reports.items()))
    tcb = _strict.mapping(document.get("tcb"), refusal)
    qe = _strict.mapping(document.get("qe"), refusal)
    platform = _strict.mapping(document.get("platform"), refusal)
    pck = _strict.mapping(platform.get("pck"), refusal)
    expires = (
        _whole("earliest_expiration_date", document),
        _whole("qe_iden_earliest_expiration_date", document),
    )
    return Verified(
        kind=kind,
        report=_strict.mapping(report, refusal),
        tcb_status=_strict.text("status", tcb.get("status"), 64, refusal),
        advisories=_advisories(tcb.get("advisory_ids")),
        ppid=_ppid(pck.get("ppid")),
        smt=_flag("smt_enabled", pck),
        dynamic_platform=_flag("dynamic_platform", pck),
        tcb_evaluation=min(_whole("eval_data_number", tcb), _whole("tcb_eval_data_number", qe)),
        collateral_issued=issued,
        collateral_expires=min(expires),
    )


def _object(text: str) -> dict[str, object]:
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EvidenceMalformed("The collateral holds something that is no JSON.") from error
    return _strict.mapping(document, EvidenceMalformed)


def _whole(name: str, document: dict[str, object]) -> int:
    return _strict.integer(name, document.get(name), 0, MAX_INTEGER, EvidenceMalformed)


def _flag(name: str, pck: dict[str, object]) -> bool | None:
    """Read a flag of the PCK certificate: "Undefined" in those of machines with one processor."""
    choices = {"True": True, "False": False, "Undefined": None}
    return choices[_strict.one_of(name, pck.get(name), choices, EvidenceMalformed)]


def _ppid(value: object) -> str:
    """Read 16 bytes, which are a list of numbers here."""
    try:
        found = bytes(cast("list[int]", value)) if isinstance(value, list) else b""
    except (TypeError, ValueError) as error:
        raise EvidenceMalformed("The machine has no name.", claim="platform") from error
    return _strict.octets("ppid", found, 16, 16, EvidenceMalformed).hex()


def _issued(text: str) -> int:
    document = _object(text)
    text = _strict.text("issueDate", document.get("issueDate"), 64, EvidenceMalformed)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise EvidenceMalformed("The collateral has an issue date that is none.") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _last_update(revocation_list: bytes) -> int:
    try:
        return int(x509.load_der_x509_crl(revocation_list).last_update_utc.timestamp())
    except ValueError as error:
        raise EvidenceMalformed("The PCK revocation list cannot be read.") from error


def _advisories(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise EvidenceMalformed("The verifier must list advisories.")
    found = cast("list[object]", value)
    return tuple(_strict.text("advisory", one, 64, EvidenceMalformed) for one in found)
