# SPDX-License-Identifier: Apache-2.0
"""What goes wrong for a client, as one tree of exceptions.

    ClientError
    ├── Refused            the host or an enclave refused; `reason` is the wire's name for why
    ├── Unreachable
    │     HostUnreachable, CallTimedOut, PinMismatch
    ├── AnswerMalformed    an answer that does not have the form of the contract, or contradicts the request
    ├── EvidenceSimulated  no hardware vouches for whom something secret would be given to
    ├── OfferInvalid       what a host tells of a worker that serves does not hold
    └── InputRefused
          FileRefused, KeyFileRefused, PassphraseWrong, QuestionRefused, SettingMissing,
          StateRefused, UsageRefused

What a client finds out by itself is raised by the component that judged it: placet.governance,
placet.governance.log, placet.attestation and placet.sealing. All of them, like these, have `reason`
and `details` (keys among claim, expected, actual, rule, remedy). Messages never hold keys,
plaintexts or rationales.
"""

from placet.attestation import Check


class ClientError(Exception):
    """Base of all of them; only leaves are raised."""

    reason: str = ""

    def __init__(self, message: str, **details: str) -> None:
        super().__init__(message)
        self.details = details

    @property
    def message(self) -> str:
        """The sentence that says what was expected, what was found and what to do."""
        return str(self)


class Refused(ClientError):
    """The host or an enclave refused. `reason` is a name of the wire enum `Reason` without its
    prefix."""

    def __init__(self, reason: str, message: str, details: dict[str, str] | None = None) -> None:
        super().__init__(message, **(details or {}))
        self.reason = reason


class Unreachable(ClientError):
    """The host gave no answer; whether it did what was asked is not known."""


class HostUnreachable(Unreachable):
    """No connection, or it broke off."""

    reason = "HOST_UNREACHABLE"


class CallTimedOut(Unreachable):
    """The host did not answer in time."""

    reason = "CALL_TIMED_OUT"


class PinMismatch(Unreachable):
    """Whoever answers does not hold the pinned certificate."""

    reason = "HOST_PIN_MISMATCH"


class AnswerMalformed(ClientError):
    """An answer that no host of this version gives."""

    reason = "ANSWER_MALFORMED"


class EvidenceSimulated(ClientError):
    """No hardware vouches for whom something secret would be given to, and the caller did not
    accept that."""

    reason = "EVIDENCE_SIMULATED"


class OfferInvalid(ClientError):
    """What a host tells of a worker does not hold; `claim` is the step, `checks` what had held
    before it."""

    reason = "OFFER_INVALID"
    checks: tuple[Check, ...] = ()


class InputRefused(ClientError):
    """What the caller gave cannot be used; nothing was sent."""


class FileRefused(InputRefused):
    """A file is missing, or is not what it should be."""

    reason = "FILE_REFUSED"


class KeyFileRefused(InputRefused):
    """A key file that others can read, or that is not one."""

    reason = "KEY_FILE_REFUSED"


class PassphraseWrong(InputRefused):
    """The passphrase does not open the key file."""

    reason = "PASSPHRASE_WRONG"


class SettingMissing(InputRefused):
    """Something that has to be configured is not."""

    reason = "SETTING_MISSING"


class QuestionRefused(InputRefused):
    """Arrays that the model does not take; nothing was sent."""

    reason = "QUESTION_INVALID"


class StateRefused(InputRefused):
    """A model's state that does not fit the federation, or has values that nobody could use."""

    reason = "STATE_REFUSED"


class UsageRefused(InputRefused):
    """Arguments that do not go together."""

    reason = "USAGE"
