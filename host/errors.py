# SPDX-License-Identifier: Apache-2.0
"""Why the host itself refuses something; what enclaves refuse passes through unchanged.

    HostError
    ├── RequestMalformed, MessageTooLarge, WireVersion, QueueFull
    ├── AuthorityUnavailable, WorkerUnavailable, FrameUnexpected
    ├── NotFounded, DocumentMalformed, DocumentNotFound, DocumentReplayed, SignatureInvalid,
    │   NotPermitted
    ├── LogRange, LogEntryInvalid
    ├── BlobError: BlobNotFound, BlobIncomplete, BlobConflict, BlobOffset, BlobDigest, BlobTooLarge
    ├── JobNotFound, JobNotFinished, JobEnded, NotReleased
    ├── FederationNotFound, UpdateNotFetched
    └── ServiceNotFound, ServiceEnded

`reason` is a name of the wire enum `Reason` without its prefix. `StateLocked` and `StateVersion`
are no refusals: they tell the operator why a host does not start.
"""

from typing import ClassVar


class HostError(Exception):
    """Base of the host's refusals.

    `details` may hold the keys claim, expected, actual, rule, remedy and retry_ms. The message says
    what was expected, what was found and what to do; never anything about contents.
    """

    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, **details: str) -> None:
        super().__init__(message)
        self.details = details


class StateLocked(RuntimeError):
    """Another host has the state folder open."""


class StateVersion(RuntimeError):
    """The store was written by another version of the schema."""


class RequestMalformed(HostError):
    """A field of a request has a form that the contract does not allow."""

    reason = "REQUEST_MALFORMED"


class MessageTooLarge(HostError):
    """A message is above the bound of its kind."""

    reason = "MESSAGE_TOO_LARGE"


class WireVersion(HostError):
    """The caller speaks another version of the wire, or names none."""

    reason = "WIRE_VERSION"


class QueueFull(HostError):
    """A bound on what may wait or be open at once is reached."""

    reason = "QUEUE_FULL"


class AuthorityUnavailable(HostError):
    """No authority is attached."""

    reason = "AUTHORITY_UNAVAILABLE"


class WorkerUnavailable(HostError):
    """The worker named is not attached, or none could be started."""

    reason = "WORKER_UNAVAILABLE"


class FrameUnexpected(HostError):
    """A frame that this enclave may not send, or not yet."""

    reason = "FRAME_UNEXPECTED"


class NotFounded(HostError):
    """The log has no charter yet."""

    reason = "NOT_FOUNDED"


class DocumentMalformed(HostError):
    """A document does not have the form that its kind demands."""

    reason = "DOCUMENT_MALFORMED"


class DocumentNotFound(HostError):
    """No document is stored under the digest."""

    reason = "DOCUMENT_NOT_FOUND"


class DocumentReplayed(HostError):
    """The document has had its effect already."""

    reason = "DOCUMENT_REPLAYED"


class SignatureInvalid(HostError):
    """The document is not signed by the key it must be signed by."""

    reason = "SIGNATURE_INVALID"


class NotPermitted(HostError):
    """The caller may not do this."""

    reason = "NOT_PERMITTED"


class LogRange(HostError):
    """Entries that do not follow the last one, or a range outside the log."""

    reason = "LOG_RANGE"


class LogEntryInvalid(HostError):
    """An entry that cannot be indexed."""

    reason = "LOG_ENTRY_INVALID"


class BlobError(HostError):
    """Base of what is wrong with a blob."""


class BlobNotFound(BlobError):
    """No blob has this id."""

    reason = "BLOB_NOT_FOUND"


class BlobIncomplete(BlobError):
    """The blob has not been received whole."""

    reason = "BLOB_INCOMPLETE"


class BlobConflict(BlobError):
    """The id belongs to other bytes or another owner, or a newer put took over."""

    reason = "BLOB_CONFLICT"


class BlobOffset(BlobError):
    """The put or get begins where it may not."""

    reason = "BLOB_OFFSET"


class BlobDigest(BlobError):
    """The bytes received do not have the SHA-256 that the header promised."""

    reason = "BLOB_DIGEST"


class BlobTooLarge(BlobError):
    """More bytes than announced, than the bound, or than there is room for."""

    reason = "BLOB_TOO_LARGE"


class JobNotFound(HostError):
    """No job has this id."""

    reason = "JOB_NOT_FOUND"


class JobNotFinished(HostError):
    """The job has not ended yet."""

    reason = "JOB_NOT_FINISHED"


class JobEnded(HostError):
    """The job has ended already."""

    reason = "JOB_ENDED"


class NotReleased(HostError):
    """The job ended without a release."""

    reason = "NOT_RELEASED"


class FederationNotFound(HostError):
    """No federation of this proposal was started here."""

    reason = "FEDERATION_NOT_FOUND"


class UpdateNotFetched(HostError):
    """The blob that an update names cannot be its sealed stream."""

    reason = "UPDATE_NOT_FETCHED"


class ServiceNotFound(HostError):
    """No service of this proposal was started here."""

    reason = "SERVICE_NOT_FOUND"


class ServiceEnded(HostError):
    """The service takes no questions any more."""

    reason = "SERVICE_ENDED"
