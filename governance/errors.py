# SPDX-License-Identifier: Apache-2.0
"""What governance refuses, as one tree of exceptions.

    GovernanceError
    ├── DocumentRefused
    │     DocumentMalformed, DocumentTooLarge, WrongPayloadType, SignatureInvalid,
    │     SignerUnknown, DocumentReplayed, OtherLog, SeenUnknown,
    │     OtherConstitution, ConstitutionInvalid, NotSuccessor, NotFounded,
    │     AlreadyFounded, DocumentNotFound, ActionNotSupported, EntryInvalid
    ├── TicketRefused
    │     SeatUnknown, SeatExpired, NoRule, RuleNotMet,
    │     Vetoed, TicketNotYetValid, TicketExpired, TicketUsedUp,
    │     Stopped, NotPermitted, BallotStale
    ├── GrantRefused
    │     GrantMissing, GrantWithdrawn, GrantExpired, GrantForbids,
    │     GrantUsedUp, KeyRejected, PrivacyBudget
    ├── LeaseRefused
    │     JoinUnknown, JoinLapsed, BoundToMismatch, LeaseUnknown,
    │     LeaseExpired, LeasePresentedTwice, LeaseClosed, AttemptOpen,
    │     AttemptsUsedUp, OutputUndeclared, OutputTooLarge, OutputMissing,
    │     RecipientUnknown, NotReleased, ReceiptInvalid
    ├── FederationRefused
    │     FederationNotFound, RoundNotOpen, RoundOpen, FederationEnded,
    │     NotOnRoster, ClientQuarantined, UpdateDuplicate, UpdateMalformed,
    │     CohortTooSmall, ModelNotReleased
    └── ServiceRefused
          UserNotAllowed, AnswersUsedUp

Each leaf has a `reason`, the name that travels on the wire, and `details` with some of the keys
claim, expected, actual, rule, remedy. Messages never quote the contents of data, keys or
rationales.
"""

from typing import ClassVar


class GovernanceError(Exception):
    """Base of all of them; only leaves are raised."""

    reason: ClassVar[str] = ""

    def __init__(self, message: str, **details: str) -> None:
        super().__init__(message)
        self.details = details


class DocumentRefused(GovernanceError):
    """A document's form, signature or place is not as demanded."""


class DocumentMalformed(DocumentRefused):
    """A document, or a value that was to go into one, has unknown, missing, doubled or wrong
    fields."""

    reason = "DOCUMENT_MALFORMED"


class DocumentTooLarge(DocumentRefused):
    """Above the size limit of its kind; nothing of it was looked at."""

    reason = "DOCUMENT_TOO_LARGE"


class WrongPayloadType(DocumentRefused):
    """The envelope says that it carries another kind of document."""

    reason = "PAYLOAD_TYPE"


class SignatureInvalid(DocumentRefused):
    """No signature of the one who should have signed."""

    reason = "SIGNATURE_INVALID"


class SignerUnknown(DocumentRefused):
    """The constitution knows no such principal."""

    reason = "SIGNER_UNKNOWN"


class DocumentReplayed(DocumentRefused):
    """The log has a document with this id already."""

    reason = "DOCUMENT_REPLAYED"


class OtherLog(DocumentRefused):
    """The document names another log."""

    reason = "OTHER_LOG"


class SeenUnknown(DocumentRefused):
    """The log does not contain the checkpoint that the signer had seen."""

    reason = "SEEN_UNKNOWN"


class OtherConstitution(DocumentRefused):
    """The document is under a constitution that is not in force."""

    reason = "OTHER_CONSTITUTION"


class ConstitutionInvalid(DocumentRefused):
    """A constitution that contradicts itself or asks for what this version cannot hold."""

    reason = "CONSTITUTION_INVALID"


class NotSuccessor(DocumentRefused):
    """A constitution that does not follow the one in force."""

    reason = "CONSTITUTION_NOT_SUCCESSOR"


class NotFounded(DocumentRefused):
    """The log has no charter yet."""

    reason = "NOT_FOUNDED"


class AlreadyFounded(DocumentRefused):
    """The log has its charter."""

    reason = "ALREADY_FOUNDED"


class DocumentNotFound(DocumentRefused):
    """No document with this digest is known."""

    reason = "DOCUMENT_NOT_FOUND"


class ActionNotSupported(DocumentRefused):
    """A known action that this version does not carry out."""

    reason = "ACTION_NOT_SUPPORTED"


class EntryInvalid(DocumentRefused):
    """A log entry that the documents it names do not bear out."""

    reason = "LOG_ENTRY_INVALID"


class TicketRefused(GovernanceError):
    """The rules do not let this ticket through."""


class SeatUnknown(TicketRefused):
    """The constitution has no such seat."""

    reason = "SEAT_UNKNOWN"


class SeatExpired(TicketRefused):
    """The seat's term has not begun, has ended, or the seat is revoked."""

    reason = "SEAT_EXPIRED"


class NoRule(TicketRefused):
    """No rule of the constitution covers this action, purpose and data; what no rule covers is
    refused."""

    reason = "NO_RULE"


class RuleNotMet(TicketRefused):
    """A matching rule demands more than the ballots give."""

    reason = "RULE_NOT_MET"


class Vetoed(TicketRefused):
    """A seat with a veto said non placet."""

    reason = "VETOED"


class TicketNotYetValid(TicketRefused):
    """The ticket's window has not opened."""

    reason = "TICKET_NOT_YET_VALID"


class TicketExpired(TicketRefused):
    """The ticket's window has closed."""

    reason = "TICKET_EXPIRED"


class TicketUsedUp(TicketRefused):
    """Every use that the proposal grants has been taken."""

    reason = "TICKET_USED_UP"


class Stopped(TicketRefused):
    """Somebody entitled to it has stopped this."""

    reason = "STOPPED"


class NotPermitted(TicketRefused):
    """The signer may not do this."""

    reason = "NOT_PERMITTED"


class BallotStale(TicketRefused):
    """The ballot is expired or its sequence number has been passed."""

    reason = "BALLOT_STALE"


class GrantRefused(GovernanceError):
    """The owner's grant does not allow this."""


class GrantMissing(GrantRefused):
    """No grant for this object has been recorded."""

    reason = "GRANT_MISSING"


class GrantWithdrawn(GrantRefused):
    """The owner has withdrawn the grant."""

    reason = "GRANT_WITHDRAWN"


class GrantExpired(GrantRefused):
    """The grant's time is over."""

    reason = "GRANT_EXPIRED"


class GrantForbids(GrantRefused):
    """The grant allows other things than what is proposed."""

    reason = "GRANT_FORBIDS"


class GrantUsedUp(GrantRefused):
    """Every use that the grant gives has been taken."""

    reason = "GRANT_USED_UP"


class KeyRejected(GrantRefused):
    """The key that came with the grant is not the one that the descriptor commits to."""

    reason = "KEY_REJECTED"


class PrivacyBudget(GrantRefused):
    """The owner's privacy budget does not cover this."""

    reason = "PRIVACY_BUDGET"


class LeaseRefused(GovernanceError):
    """A join, lease, renewal or release is out of order."""


class JoinUnknown(LeaseRefused):
    """No worker with this identity has joined since the authority started."""

    reason = "JOIN_UNKNOWN"


class JoinLapsed(LeaseRefused):
    """The worker's join is too old; it has to join again."""

    reason = "JOIN_LAPSED"


class BoundToMismatch(LeaseRefused):
    """The worker was launched for another program."""

    reason = "BOUND_TO_MISMATCH"


class LeaseUnknown(LeaseRefused):
    """No such lease."""

    reason = "LEASE_UNKNOWN"


class LeaseExpired(LeaseRefused):
    """The lease's deadline has passed."""

    reason = "LEASE_EXPIRED"


class LeasePresentedTwice(LeaseRefused):
    """The worker has had its lease, or the lease has been released."""

    reason = "LEASE_PRESENTED_TWICE"


class LeaseClosed(LeaseRefused):
    """The attempt has been closed."""

    reason = "LEASE_CLOSED"


class AttemptOpen(LeaseRefused):
    """The attempt before is not closed."""

    reason = "ATTEMPT_OPEN"


class AttemptsUsedUp(LeaseRefused):
    """Every attempt that the proposal allows has been made."""

    reason = "ATTEMPTS_USED_UP"


class OutputUndeclared(LeaseRefused):
    """An output that the proposal does not declare."""

    reason = "OUTPUT_UNDECLARED"


class OutputTooLarge(LeaseRefused):
    """An output above its declared size."""

    reason = "OUTPUT_TOO_LARGE"


class OutputMissing(LeaseRefused):
    """A declared output is missing."""

    reason = "OUTPUT_MISSING"


class RecipientUnknown(LeaseRefused):
    """The proposal names no such recipient."""

    reason = "RECIPIENT_UNKNOWN"


class NotReleased(LeaseRefused):
    """Nothing has been released for this."""

    reason = "NOT_RELEASED"


class ReceiptInvalid(LeaseRefused):
    """A receipt that does not verify."""

    reason = "RECEIPT_INVALID"


class FederationRefused(GovernanceError):
    """A round does not take, or give, what was asked of it."""


class FederationNotFound(FederationRefused):
    """No federation of this proposal was started."""

    reason = "FEDERATION_NOT_FOUND"


class RoundNotOpen(FederationRefused):
    """The round named takes in no updates: it is over, or not yet open."""

    reason = "ROUND_NOT_OPEN"


class RoundOpen(FederationRefused):
    """The round is not over: updates may still come, or it is being aggregated."""

    reason = "ROUND_OPEN"


class FederationEnded(FederationRefused):
    """All rounds are over."""

    reason = "FEDERATION_ENDED"


class NotOnRoster(FederationRefused):
    """The proposal's roster does not name this client."""

    reason = "NOT_ON_ROSTER"


class ClientQuarantined(FederationRefused):
    """An earlier update of the client broke the terms, and it sits out some rounds."""

    reason = "CLIENT_QUARANTINED"


class UpdateDuplicate(FederationRefused):
    """The client has another update in this round; the first one counts."""

    reason = "UPDATE_DUPLICATE"


class UpdateMalformed(FederationRefused):
    """What was sealed to the round key is not what the update and the terms say."""

    reason = "UPDATE_MALFORMED"


class CohortTooSmall(FederationRefused):
    """Fewer organisations' updates count than the terms demand; nothing is released."""

    reason = "COHORT_TOO_SMALL"


class ModelNotReleased(FederationRefused):
    """No model of this round was released."""

    reason = "MODEL_NOT_RELEASED"


class ServiceRefused(GovernanceError):
    """A question, or what is asked for it, is not within the terms of the service."""


class UserNotAllowed(ServiceRefused):
    """The terms do not name this user."""

    reason = "USER_NOT_ALLOWED"


class AnswersUsedUp(ServiceRefused):
    """Less is left of the user's ration, or of the total, than was asked for."""

    reason = "ANSWERS_USED_UP"
