# SPDX-License-Identifier: Apache-2.0
"""The one table from a refusal's reason to a gRPC status code and a public text."""

from typing import Final

import grpc

from placet.proto.refusals import INTERNAL_TEXT
from placet.proto.v1 import common_pb2 as pb

Code = grpc.StatusCode

# The text stands in where a refusal brings no message of its own.
TABLE: Final[dict[pb.Reason.ValueType, tuple[grpc.StatusCode, str]]] = {
    pb.REASON_UNSPECIFIED: (Code.INTERNAL, "Refused without a reason."),
    pb.REASON_INTERNAL: (Code.INTERNAL, INTERNAL_TEXT),
    pb.REASON_WIRE_VERSION: (
        Code.FAILED_PRECONDITION,
        "The caller speaks another version of the wire.",
    ),
    pb.REASON_MESSAGE_TOO_LARGE: (
        Code.RESOURCE_EXHAUSTED,
        "The message is above the bound of its kind.",
    ),
    pb.REASON_REQUEST_MALFORMED: (
        Code.INVALID_ARGUMENT,
        "A field of the request has a form that is not allowed.",
    ),
    pb.REASON_AUTHORITY_UNAVAILABLE: (
        Code.UNAVAILABLE,
        "The authority is not attached. Try again.",
    ),
    pb.REASON_WORKER_UNAVAILABLE: (Code.UNAVAILABLE, "No worker is attached. Try again."),
    pb.REASON_FRAME_UNEXPECTED: (Code.FAILED_PRECONDITION, "The frame is not allowed here."),
    pb.REASON_DEADLINE_PASSED: (Code.DEADLINE_EXCEEDED, "No answer came in time. Try again."),
    pb.REASON_QUEUE_FULL: (Code.RESOURCE_EXHAUSTED, "Too much is waiting. Try again later."),
    pb.REASON_DOCUMENT_MALFORMED: (
        Code.INVALID_ARGUMENT,
        "The document does not have the form of its kind.",
    ),
    pb.REASON_DOCUMENT_TOO_LARGE: (
        Code.INVALID_ARGUMENT,
        "The document is above the bound of its kind.",
    ),
    pb.REASON_PAYLOAD_TYPE: (Code.INVALID_ARGUMENT, "The document is of another kind."),
    pb.REASON_SIGNATURE_INVALID: (Code.UNAUTHENTICATED, "A signature is missing or wrong."),
    pb.REASON_SIGNER_UNKNOWN: (Code.UNAUTHENTICATED, "The signer is not known here."),
    pb.REASON_DOCUMENT_REPLAYED: (Code.ALREADY_EXISTS, "The document has been taken before."),
    pb.REASON_OTHER_LOG: (Code.FAILED_PRECONDITION, "The document is for another log."),
    pb.REASON_SEEN_UNKNOWN: (
        Code.FAILED_PRECONDITION,
        "The log does not contain the checkpoint that the signer saw.",
    ),
    pb.REASON_OTHER_CONSTITUTION: (
        Code.FAILED_PRECONDITION,
        "The document is under another constitution.",
    ),
    pb.REASON_CONSTITUTION_INVALID: (Code.INVALID_ARGUMENT, "The constitution contradicts itself."),
    pb.REASON_CONSTITUTION_NOT_SUCCESSOR: (
        Code.FAILED_PRECONDITION,
        "The constitution does not follow the one in force.",
    ),
    pb.REASON_NOT_FOUNDED: (Code.FAILED_PRECONDITION, "The log has no charter yet."),
    pb.REASON_ALREADY_FOUNDED: (Code.ALREADY_EXISTS, "The log has its charter."),
    pb.REASON_DOCUMENT_NOT_FOUND: (Code.NOT_FOUND, "No document has this digest."),
    pb.REASON_ACTION_NOT_SUPPORTED: (
        Code.UNIMPLEMENTED,
        "This action is not supported by this version.",
    ),
    pb.REASON_SEAT_UNKNOWN: (Code.PERMISSION_DENIED, "The constitution has no such seat."),
    pb.REASON_SEAT_EXPIRED: (Code.PERMISSION_DENIED, "The seat's term has ended or not begun."),
    pb.REASON_NO_RULE: (Code.PERMISSION_DENIED, "No rule allows this."),
    pb.REASON_RULE_NOT_MET: (Code.PERMISSION_DENIED, "A rule is not met."),
    pb.REASON_VETOED: (Code.PERMISSION_DENIED, "The proposal was vetoed."),
    pb.REASON_TICKET_NOT_YET_VALID: (
        Code.FAILED_PRECONDITION,
        "The ticket's window has not begun.",
    ),
    pb.REASON_TICKET_EXPIRED: (Code.FAILED_PRECONDITION, "The ticket's window has ended."),
    pb.REASON_TICKET_USED_UP: (Code.RESOURCE_EXHAUSTED, "Every use of the ticket is consumed."),
    pb.REASON_STOPPED: (Code.ABORTED, "A stop stands against this."),
    pb.REASON_NOT_PERMITTED: (Code.PERMISSION_DENIED, "The signer may not do this."),
    pb.REASON_BALLOT_STALE: (Code.FAILED_PRECONDITION, "A later ballot of the seat counts."),
    pb.REASON_GRANT_MISSING: (Code.PERMISSION_DENIED, "An owner has not granted this."),
    pb.REASON_GRANT_WITHDRAWN: (Code.PERMISSION_DENIED, "The owner has withdrawn the grant."),
    pb.REASON_GRANT_EXPIRED: (Code.PERMISSION_DENIED, "The grant has expired."),
    pb.REASON_GRANT_FORBIDS: (Code.PERMISSION_DENIED, "The grant does not allow this."),
    pb.REASON_GRANT_USED_UP: (Code.RESOURCE_EXHAUSTED, "Every use of the grant is consumed."),
    pb.REASON_KEY_REJECTED: (Code.INVALID_ARGUMENT, "The key does not belong to the object."),
    pb.REASON_PRIVACY_BUDGET: (Code.RESOURCE_EXHAUSTED, "The privacy budget does not cover this."),
    pb.REASON_EVIDENCE_MALFORMED: (Code.INVALID_ARGUMENT, "The evidence cannot be read."),
    pb.REASON_EVIDENCE_KIND_UNSUPPORTED: (
        Code.UNIMPLEMENTED,
        "Evidence of this kind is not supported.",
    ),
    pb.REASON_EVIDENCE_INVALID: (Code.PERMISSION_DENIED, "The evidence is not genuine."),
    pb.REASON_EVIDENCE_NONCE: (Code.INVALID_ARGUMENT, "A nonce of 32 bytes is needed."),
    pb.REASON_EVIDENCE_BINDING: (
        Code.PERMISSION_DENIED,
        "The evidence is not about this identity and nonce.",
    ),
    pb.REASON_APPRAISAL_REFUSED: (
        Code.PERMISSION_DENIED,
        "The enclave is not one that the policy wants.",
    ),
    pb.REASON_POLICY_INVALID: (Code.INVALID_ARGUMENT, "The evidence policy contradicts itself."),
    pb.REASON_IDENTITY_MALFORMED: (Code.INVALID_ARGUMENT, "The identity document cannot be read."),
    pb.REASON_ATTESTER_UNAVAILABLE: (
        Code.UNAVAILABLE,
        "The enclave cannot obtain evidence now. Try again.",
    ),
    pb.REASON_BOUND_TO_MISMATCH: (
        Code.PERMISSION_DENIED,
        "The worker was launched for something else.",
    ),
    pb.REASON_JOIN_UNKNOWN: (Code.FAILED_PRECONDITION, "The worker has not joined."),
    pb.REASON_JOIN_LAPSED: (Code.FAILED_PRECONDITION, "The worker's join has lapsed."),
    pb.REASON_LEASE_UNKNOWN: (Code.NOT_FOUND, "No lease has this digest."),
    pb.REASON_LEASE_EXPIRED: (Code.FAILED_PRECONDITION, "The lease has expired."),
    pb.REASON_LEASE_PRESENTED_TWICE: (Code.FAILED_PRECONDITION, "The lease was used before."),
    pb.REASON_LEASE_CLOSED: (Code.FAILED_PRECONDITION, "The lease is closed."),
    pb.REASON_ATTEMPT_OPEN: (Code.FAILED_PRECONDITION, "An attempt of this job is still open."),
    pb.REASON_ATTEMPTS_USED_UP: (Code.RESOURCE_EXHAUSTED, "Every attempt of the job is used up."),
    pb.REASON_OUTPUT_UNDECLARED: (
        Code.FAILED_PRECONDITION,
        "The job wrote an output that was not declared.",
    ),
    pb.REASON_OUTPUT_TOO_LARGE: (Code.FAILED_PRECONDITION, "An output is larger than declared."),
    pb.REASON_OUTPUT_MISSING: (Code.FAILED_PRECONDITION, "A declared output is missing."),
    pb.REASON_RECIPIENT_UNKNOWN: (Code.NOT_FOUND, "The proposal names no such recipient."),
    pb.REASON_NOT_RELEASED: (Code.FAILED_PRECONDITION, "Nothing was released."),
    pb.REASON_LEASE_INVALID: (Code.PERMISSION_DENIED, "The lease does not hold."),
    pb.REASON_ENVELOPE_MALFORMED: (Code.INVALID_ARGUMENT, "The key envelope cannot be read."),
    pb.REASON_ENVELOPE_KEY_MISMATCH: (
        Code.INVALID_ARGUMENT,
        "The key envelope is for another key.",
    ),
    pb.REASON_ENVELOPE_FORGED: (
        Code.INVALID_ARGUMENT,
        "The key envelope was changed, or is for another context.",
    ),
    pb.REASON_ENVELOPE_SUITE_UNSUPPORTED: (
        Code.UNIMPLEMENTED,
        "The cipher suite of the key envelope is not supported.",
    ),
    pb.REASON_KEY_MALFORMED: (Code.INVALID_ARGUMENT, "The key cannot be read."),
    pb.REASON_KEY_COMMITMENT_MISMATCH: (
        Code.INVALID_ARGUMENT,
        "The key is not the one that the object commits to.",
    ),
    pb.REASON_DESCRIPTOR_MALFORMED: (
        Code.INVALID_ARGUMENT,
        "The object descriptor cannot be read.",
    ),
    pb.REASON_STREAM_HEADER_MALFORMED: (
        Code.DATA_LOSS,
        "The header of the sealed stream cannot be read.",
    ),
    pb.REASON_STREAM_LENGTH: (Code.DATA_LOSS, "The sealed stream has another length."),
    pb.REASON_SEGMENT_FORGED: (Code.DATA_LOSS, "A segment of the sealed stream was changed."),
    pb.REASON_OBJECT_ROOT_MISMATCH: (
        Code.DATA_LOSS,
        "The sealed bytes are not those of the descriptor.",
    ),
    pb.REASON_KEY_UNWRAP_REFUSED: (
        Code.DATA_LOSS,
        "A stored secret was changed or is under another key.",
    ),
    pb.REASON_LOG_PROOF_INVALID: (Code.DATA_LOSS, "A log proof does not hold."),
    pb.REASON_LOG_PROOF_MALFORMED: (Code.INVALID_ARGUMENT, "A log proof cannot be read."),
    pb.REASON_LOG_CHECKPOINT_INVALID: (Code.DATA_LOSS, "The checkpoint is not signed by the log."),
    pb.REASON_LOG_TRUNCATED: (Code.DATA_LOSS, "The log is shorter than it was."),
    pb.REASON_LOG_FORKED: (Code.DATA_LOSS, "The log contradicts what it said before."),
    pb.REASON_LOG_TILE_MALFORMED: (Code.INVALID_ARGUMENT, "The tile or its path cannot be read."),
    pb.REASON_LOG_RANGE: (Code.OUT_OF_RANGE, "The range is not in the log."),
    pb.REASON_LOG_ENTRY_INVALID: (Code.DATA_LOSS, "An entry of the log cannot be read."),
    pb.REASON_RECEIPT_INVALID: (Code.DATA_LOSS, "The receipt does not hold."),
    pb.REASON_BLOB_NOT_FOUND: (Code.NOT_FOUND, "No blob has this id."),
    pb.REASON_BLOB_INCOMPLETE: (Code.FAILED_PRECONDITION, "The blob has not been received whole."),
    pb.REASON_BLOB_CONFLICT: (Code.ALREADY_EXISTS, "The id belongs to another blob."),
    pb.REASON_BLOB_OFFSET: (Code.OUT_OF_RANGE, "The offset is not where the blob continues."),
    pb.REASON_BLOB_DIGEST: (Code.DATA_LOSS, "The bytes do not have the digest announced."),
    pb.REASON_BLOB_TOO_LARGE: (
        Code.RESOURCE_EXHAUSTED,
        "The blob is larger than announced or allowed.",
    ),
    pb.REASON_JOB_NOT_FOUND: (Code.NOT_FOUND, "No job has this id."),
    pb.REASON_JOB_NOT_FINISHED: (Code.FAILED_PRECONDITION, "The job has not ended."),
    pb.REASON_JOB_ENDED: (Code.FAILED_PRECONDITION, "The job has ended."),
    pb.REASON_PROGRAM_MALFORMED: (Code.INVALID_ARGUMENT, "The program bundle cannot be read."),
    pb.REASON_PROGRAM_OTHER: (
        Code.FAILED_PRECONDITION,
        "The bundle is not the program that was approved.",
    ),
    pb.REASON_PROGRAM_RAISED: (Code.ABORTED, "The program raised an exception."),
    pb.REASON_PROGRAM_EXITED: (Code.ABORTED, "The program exited before it released anything."),
    pb.REASON_PROGRAM_DEADLINE: (Code.DEADLINE_EXCEEDED, "The program reached its deadline."),
    pb.REASON_PROGRAM_MEMORY: (Code.RESOURCE_EXHAUSTED, "The program ran out of memory."),
    pb.REASON_KERNEL_MISSING: (Code.FAILED_PRECONDITION, "The enclave lacks its compiled kernel."),
    pb.REASON_FEDERATION_NOT_FOUND: (Code.NOT_FOUND, "No federation of this id was started."),
    pb.REASON_ROUND_NOT_OPEN: (Code.FAILED_PRECONDITION, "This round takes in no updates."),
    pb.REASON_ROUND_OPEN: (Code.FAILED_PRECONDITION, "The round is not over."),
    pb.REASON_FEDERATION_ENDED: (Code.FAILED_PRECONDITION, "The federation has ended."),
    pb.REASON_NOT_ON_ROSTER: (Code.PERMISSION_DENIED, "The client is not on the roster."),
    pb.REASON_CLIENT_QUARANTINED: (
        Code.PERMISSION_DENIED,
        "The client sits out after an update that broke the terms.",
    ),
    pb.REASON_UPDATE_DUPLICATE: (
        Code.ALREADY_EXISTS,
        "The client has another update in this round.",
    ),
    pb.REASON_UPDATE_MALFORMED: (
        Code.INVALID_ARGUMENT,
        "The ciphertext that came with the update is not as it has to be.",
    ),
    pb.REASON_COHORT_TOO_SMALL: (
        Code.FAILED_PRECONDITION,
        "Too few organisations' updates count; nothing is released.",
    ),
    pb.REASON_VALUES_NOT_FINITE: (
        Code.INVALID_ARGUMENT,
        "The update holds values that are not finite.",
    ),
    pb.REASON_NORM_EXCEEDED: (Code.INVALID_ARGUMENT, "The update is longer than the clip."),
    pb.REASON_UPDATE_NOT_FETCHED: (
        Code.FAILED_PRECONDITION,
        "The update's stream is missing or has another length.",
    ),
    pb.REASON_MODEL_NOT_RELEASED: (Code.NOT_FOUND, "No model of this round was released."),
    pb.REASON_SERVICE_NOT_FOUND: (Code.NOT_FOUND, "No service of this id was started."),
    pb.REASON_SERVICE_ENDED: (Code.FAILED_PRECONDITION, "The service has ended."),
    pb.REASON_MODEL_INVALID: (Code.INVALID_ARGUMENT, "The model is not one that can be served."),
    pb.REASON_MODEL_TOO_LARGE: (
        Code.RESOURCE_EXHAUSTED,
        "The model is larger than the worker's memory.",
    ),
    pb.REASON_SESSION_UNKNOWN: (
        Code.FAILED_PRECONDITION,
        "The worker has no such session. Open another.",
    ),
    pb.REASON_SESSION_FORGED: (Code.UNAUTHENTICATED, "The session was not opened by its user."),
    pb.REASON_QUESTION_FORGED: (Code.INVALID_ARGUMENT, "The question cannot be opened."),
    pb.REASON_QUESTION_REPLAYED: (Code.ALREADY_EXISTS, "The question was sent before."),
    pb.REASON_USER_NOT_ALLOWED: (Code.PERMISSION_DENIED, "The user may not ask this model."),
    pb.REASON_QUESTION_INVALID: (
        Code.INVALID_ARGUMENT,
        "The question is not what the model takes.",
    ),
    pb.REASON_QUESTION_TOO_LARGE: (
        Code.INVALID_ARGUMENT,
        "The question is larger than is allowed.",
    ),
    pb.REASON_ANSWER_TOO_LARGE: (
        Code.OUT_OF_RANGE,
        "The answer is larger than a message holds. Ask with fewer rows.",
    ),
    pb.REASON_ANSWERS_USED_UP: (Code.RESOURCE_EXHAUSTED, "Every answer of the ration was given."),
    pb.REASON_RATE_EXCEEDED: (Code.RESOURCE_EXHAUSTED, "Too many questions in too short a time."),
    pb.REASON_MODEL_FAILED: (Code.INVALID_ARGUMENT, "The model does not take this question."),
    pb.REASON_OFFER_INVALID: (Code.DATA_LOSS, "The claims about the worker do not hold."),
}
