# SPDX-License-Identifier: Apache-2.0
"""The one place that calls dcap-qvl, which has no type information.

It answers "genuine?" for Intel quotes below a pinned root. What a quote says is taken from the
JSON of what was verified; the parts of the collateral read here were verified by the same call.
"""

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
from placet.attestation.errors import (
    CollateralStaleError,
    EvidenceDebugError,
    EvidenceError,
    EvidenceMalformedError,
    EvidenceNotGenuineError,
)

_LATEST = 253_402_300_799  # the last second of the year 9999, as far as dates go

# Words of dcap-qvl 0.7 that have a remedy of their own. Whatever is not listed is not genuine, so a
# changed word costs a better message, never a refusal.
_WORDS: tuple[tuple[str, type[EvidenceError]], ...] = (
    ("Debug mode is enabled", EvidenceDebugError),
    ("issue date is in the future", CollateralStaleError),
    ("TCBInfo expired", CollateralStaleError),
    ("QE Identity expired", CollateralStaleError),
    ("CrlExpired", CollateralStaleError),
    ("CertExpired", CollateralStaleError),
    ("CertNotValidYet", CollateralStaleError),
    ("Failed to decode quote", EvidenceMalformedError),
)


class _Collateral(Protocol):
    """What is read of dcap_qvl.QuoteCollateralV3."""

    @property
    def tcb_info(self) -> str: ...
    @property
    def qe_identity(self) -> str: ...
    @property
    def pck_crl(self) -> bytes: ...


class _Report(Protocol):
    """What is read of dcap_qvl.VerifiedReport."""

    def to_json(self) -> str: ...


# The only names taken from dcap-qvl, with the types that its manual gives them.
_parse: Callable[[str], _Collateral] = dcap_qvl.QuoteCollateralV3.from_json
_verify: Callable[[bytes, Any, bytes, int], _Report] = dcap_qvl.verify_with_root_ca


@dataclass(frozen=True, slots=True)
class Verified:
    """What dcap-qvl found: one report, and of the collateral what policies ask about."""

    kind: str  # "SgxEnclave", "TD10" or "TD15"
    report: dict[str, object]
    tcb_status: str
    advisories: tuple[str, ...]
    ppid: str
    tcb_evaluation: int
    collateral_issued: int


def verify_quote(quote: bytes, collateral: str, root: bytes, now: int) -> Verified:
    """Verify a DCAP quote below a DER root at `now` (Unix seconds).

    Raises EvidenceMalformedError, EvidenceNotGenuineError, EvidenceDebugError or
    CollateralStaleError; ValueError if `now` is no date.
    """
    if not 0 <= now <= _LATEST:
        raise ValueError("now must be Unix seconds before the year 10000")
    parsed = _parse_collateral(collateral)
    return _read(_call(quote, parsed, root, now), parsed)


def _parse_collateral(collateral: str) -> _Collateral:
    try:
        with _no_panic():
            return _parse(collateral)
    except ValueError as error:
        raise EvidenceMalformedError("The collateral is not DCAP collateral.") from error


def _call(quote: bytes, collateral: _Collateral, root: bytes, now: int) -> str:
    try:
        with _no_panic():
            return _verify(quote, collateral, root, now).to_json()
    except ValueError as error:
        raise _refusal(str(error)) from error


@contextmanager
def _no_panic() -> Generator[None]:
    """Turn a Rust panic, which is no Exception, into a refusal: bad input must not end a thread."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise EvidenceMalformedError("The verifier gave up on the evidence.") from error


def _refusal(message: str) -> EvidenceError:
    found = next((kind for words, kind in _WORDS if words in message), EvidenceNotGenuineError)
    if found is CollateralStaleError:
        remedy = "send evidence with collateral that is valid now, and check the clock"
    else:
        remedy = "ask for new evidence; if it is refused again, do not trust the enclave"
    words = " ".join(message.removeprefix("Verification failed: ").split())
    detail = "".join(one for one in words if one.isprintable())[:200].rstrip(".")
    return found(f"The evidence was refused: {detail}.", actual=detail, remedy=remedy)


def _read(verified: str, collateral: _Collateral) -> Verified:
    refusal = EvidenceMalformedError
    document = _object(verified)
    reports = _strict.mapping(document.get("report"), refusal)
    if len(reports) != 1:
        raise refusal("The verifier must report one quote.")
    kind, report = next(iter(reports.items()))
    tcb_info, qe_identity = _object(collateral.tcb_info), _object(collateral.qe_identity)
    # The root's list is left out of the age: Intel renews it once a year.
    issued = (_issued(tcb_info), _issued(qe_identity), _last_update(collateral.pck_crl))
    return Verified(
        kind=kind,
        report=_strict.mapping(report, refusal),
        tcb_status=_strict.text("status", document.get("status"), 64, refusal),
        advisories=_advisories(document.get("advisory_ids")),
        ppid=_strict.hexadecimal("ppid", document.get("ppid"), (32,), refusal),
        tcb_evaluation=min(_evaluation(tcb_info), _evaluation(qe_identity)),
        collateral_issued=min(issued),
    )


def _object(text: str) -> dict[str, object]:
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EvidenceMalformedError("The collateral holds something that is no JSON.") from error
    return _strict.mapping(document, EvidenceMalformedError)


def _evaluation(document: dict[str, object]) -> int:
    name = "tcbEvaluationDataNumber"
    return _strict.integer(name, document.get(name), 0, MAX_INTEGER, EvidenceMalformedError)


def _issued(document: dict[str, object]) -> int:
    text = _strict.text("issueDate", document.get("issueDate"), 64, EvidenceMalformedError)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise EvidenceMalformedError("The collateral has an issue date that is none.") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _last_update(revocation_list: bytes) -> int:
    try:
        return int(x509.load_der_x509_crl(revocation_list).last_update_utc.timestamp())
    except ValueError as error:
        raise EvidenceMalformedError("The PCK revocation list cannot be read.") from error


def _advisories(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise EvidenceMalformedError("The verifier must list advisories.")
    found = cast("list[object]", value)
    return tuple(_strict.text("advisory", one, 64, EvidenceMalformedError) for one in found)
