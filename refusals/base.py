# SPDX-License-Identifier: Apache-2.0
"""What a refusal is, whichever component refuses."""

import re
from collections.abc import Mapping


class Refusal(Exception):
    """Something was refused.

    `reason` is the class's name in the form of the wire enum `placet.v1.Reason`; a narrower class
    has the reason of its base. The message says what was expected, what was found and what to do.
    `details` has keys among claim, expected, actual, rule, remedy and retry_ms. Neither holds
    anything about contents, keys or rationales.
    """

    reason: str = ""

    def __init_subclass__(cls) -> None:
        if not cls.reason and "reason" not in vars(cls):
            cls.reason = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).upper()

    def __init__(self, message: str, **details: str) -> None:
        super().__init__(message)
        self.details = details


class Refused(Refusal):
    """Another process refused; reason, message and details are its own."""

    reason = ""

    def __init__(self, reason: str, message: str, details: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.details = dict(details or {})
