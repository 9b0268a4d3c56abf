# SPDX-License-Identifier: Apache-2.0
"""Refusals on the wire: from an exception to `placet.v1.Refusal` and back.

An exception that is no `Refusal` with a reason of the wire is a fault of ours: it leaves as
INTERNAL with a fixed text, and its own text goes nowhere.
"""

from placet.proto.v1 import common_pb2
from placet.refusals import Refusal, Refused

_PREFIX = "REASON_"
_MAX_TEXT = 2000


def error_of(refusal: common_pb2.Refusal) -> Refused:
    """The exception for a refusal that the other side answered with."""
    return Refused(reason_name(refusal.reason), refusal.message, refusal.details)


def reason_name(reason: common_pb2.Reason.ValueType) -> str:
    """The name of a reason without its prefix; INTERNAL for a number that this version does not
    know."""
    try:
        return common_pb2.Reason.Name(reason).removeprefix(_PREFIX)
    except ValueError:
        return "INTERNAL"


def public_text(reason: common_pb2.Reason.ValueType) -> str:
    """What a reason means and what to do, for a refusal that has no message of its own."""
    said = common_pb2.Reason.DESCRIPTOR.values_by_number[reason].GetOptions().Extensions
    return f"{said[common_pb2.text]} {said[common_pb2.remedy]}"


INTERNAL_TEXT = public_text(common_pb2.REASON_INTERNAL)


def refusal_of(error: BaseException) -> common_pb2.Refusal:
    """The refusal that an exception stands for."""
    if (
        not isinstance(error, Refusal)
        or f"{_PREFIX}{error.reason}" not in common_pb2.Reason.DESCRIPTOR.values_by_name
        or error.reason == "INTERNAL"
    ):
        return common_pb2.Refusal(reason=common_pb2.REASON_INTERNAL, message=INTERNAL_TEXT)
    return common_pb2.Refusal(
        reason=common_pb2.Reason.Value(f"{_PREFIX}{error.reason}"),
        message=str(error)[:_MAX_TEXT],
        details={key: value[:_MAX_TEXT] for key, value in error.details.items()},
    )
