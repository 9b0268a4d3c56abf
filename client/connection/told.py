# SPDX-License-Identifier: Apache-2.0
"""What a host tells, as far as people will read it: cleaned here, where answers become exceptions
and records.

Names have the form of names, so that none of them can be a sentence. A refusal's own words are one
line without hidden characters (an escape sequence rewrites a terminal), of bounded length, and
apart from ours wherever they are shown.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from placet.client.errors import AnswerMalformed
from placet.governance.checks import check_digest, check_identifier, check_nonce, check_reason
from placet.governance.text import shown
from placet.proto.refusals import reason_name
from placet.proto.v1 import common_pb2
from placet.refusals import DocumentMalformed, Refused

_DETAILS = ("claim", "expected", "actual", "rule", "remedy", "retry_ms")
_REASONS = frozenset(
    name.removeprefix("REASON_") for name in common_pb2.Reason.DESCRIPTOR.values_by_name
)
_MAX_TEXT = 2000


@dataclass(frozen=True, slots=True)
class Told:
    """What only the host says: to show, and of a type that nothing takes that signs or decides."""

    text: str

    def __str__(self) -> str:
        return self.text


def refused(reason: str, message: str, details: Mapping[str, str]) -> Refused:
    """The exception that a refusal stands for; INTERNAL for a reason that this version does not
    know."""
    told = {name: _words(details[name]) for name in _DETAILS if name in details}
    return Refused(reason if reason in _REASONS else "INTERNAL", _words(message), told)


def refused_of(refusal: common_pb2.Refusal) -> Refused:
    """A refusal on the wire as the exception that it stands for."""
    return refused(reason_name(refusal.reason), refusal.message, refusal.details)


def identifier(text: str) -> str:
    """The name of a job or a principal. Raises `AnswerMalformed`, as the others do."""
    return _formed(check_identifier, text)


def digest(text: str) -> str:
    """The digest of a document."""
    return _formed(check_digest, text)


def object_id(text: str) -> str:
    """The id of a blob."""
    return _formed(check_nonce, text)


def reason(text: str) -> str:
    """The name of a reason, or nothing where there is none."""
    return _formed(check_reason, text) if text else ""


def _formed(check: Callable[[str, str], None], text: str) -> str:
    try:
        check("answer", text)
    except DocumentMalformed as error:
        expected = error.details["expected"]
        raise AnswerMalformed(
            f"The host's answer has other text where {expected} belongs. Do not rely on it.",
            expected=expected,
        ) from None
    return text


def _words(text: str) -> str:
    return shown(text[:_MAX_TEXT])
