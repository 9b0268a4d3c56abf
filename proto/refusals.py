# SPDX-License-Identifier: Apache-2.0
"""Refusals on the wire: from an exception to `placet.v1.Refusal` and back.

Every component's errors carry a `reason` (a name of the wire enum `Reason`, without its prefix) and
`details`. What has neither is a fault of ours: it leaves as INTERNAL with a fixed text, and its own
text goes nowhere.
"""

from placet.proto.v1 import common_pb2

_PREFIX = "REASON_"
_MAX_TEXT = 2000
INTERNAL_TEXT = "An internal fault; the operator's log has its kind. Nothing was changed."


class PeerRefused(Exception):
    """The other side answered with a refusal. `reason` and `details` are what it said."""

    def __init__(self, refusal: common_pb2.Refusal) -> None:
        super().__init__(refusal.message)
        self.reason = reason_name(refusal.reason)
        self.details = dict(refusal.details)


def reason_name(reason: common_pb2.Reason.ValueType) -> str:
    """The name of a reason without its prefix; INTERNAL for a number that this version does not
    know."""
    try:
        return common_pb2.Reason.Name(reason).removeprefix(_PREFIX)
    except ValueError:
        return "INTERNAL"


def refusal_of(error: BaseException) -> common_pb2.Refusal:
    """The refusal that an exception stands for."""
    reason = getattr(error, "reason", None)
    if (
        f"{_PREFIX}{reason}" not in common_pb2.Reason.DESCRIPTOR.values_by_name
        or reason == "INTERNAL"
    ):
        return common_pb2.Refusal(reason=common_pb2.REASON_INTERNAL, message=INTERNAL_TEXT)
    details: dict[str, str] = getattr(error, "details", {})
    return common_pb2.Refusal(
        reason=common_pb2.Reason.Value(f"{_PREFIX}{reason}"),
        message=str(error)[:_MAX_TEXT],
        details={key: value[:_MAX_TEXT] for key, value in details.items()},
    )
