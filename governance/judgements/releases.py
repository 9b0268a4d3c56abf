# SPDX-License-Identifier: Apache-2.0
"""The gate: what a worker releases of a job or of a round, exactly as it was proposed.

Pure, as leasing.py is.
"""

from placet.governance.account import Times
from placet.governance.codec import malformed
from placet.governance.documents import Release
from placet.governance.documents.lease import RESULT_KIND, answer_nonce, output_id
from placet.governance.documents.proposal import Work
from placet.governance.entries.kind import Entry
from placet.governance.entries.leases import RELEASE
from placet.governance.envelope import Signed, check_layout
from placet.governance.judgements.leasing import Appraise, appraise_all, check_running
from placet.governance.ledger import Ledger
from placet.governance.state import LeaseState
from placet.refusals import LeaseUnknown, OutputMissing, OutputTooLarge, OutputUndeclared
from placet.sealing import DEFAULT_SEGMENT_SIZE, ObjectDescriptor, padded_length


def judge_release(
    ledger: Ledger, release: Signed[Release], receipt: str, appraise: Appraise, times: Times
) -> Entry:
    """Outputs exactly as proposed, of a lease that still holds and that nothing stops.

    `receipt` is empty where nothing is released, as of a round of too few organisations.
    """
    lease = _check_release(ledger, release, appraise, times)
    proposal = ledger.proposal(lease.proposal)
    body, said = proposal.document.work, release.document
    body.check_left(ledger, said, proposal)
    number, until = body.round_of(ledger.state, lease.proposal)
    # A round of too few organisations releases nothing; a job always does.
    if said.outputs or not number:
        _check_outputs(body, said)
    if bool(receipt) != bool(release.document.outputs):
        raise OutputMissing("A receipt is about outputs that are released.", claim="receipt")
    return RELEASE.new(
        times,
        {
            "lease": lease.digest,
            "proposal": lease.proposal,
            "job": lease.job,
            "round": number,
            "release": release.digest,
            "receipt": receipt,
            "left": release.document.left,
            "until": until,
        },
    )


def _check_release(
    ledger: Ledger, release: Signed[Release], appraise: Appraise, times: Times
) -> LeaseState:
    """A release of a lease that still holds and that nothing stops, by the worker that has it."""
    lease = check_running(ledger, release.document.lease, times)
    _check_answer(ledger, release, lease)
    if lease.worker != release.document.worker:
        raise LeaseUnknown("The lease is another worker's.", claim="worker", actual=lease.worker)
    appraise_all(ledger, lease.worker, lease.grants, appraise)
    return lease


def _check_answer(ledger: Ledger, release: Signed[Release], lease: LeaseState) -> None:
    """Layout and header are those that follow from the lease. Raises `DocumentMalformed`, and what
    `Ledger.check_header` raises."""
    check_layout(release)
    header = release.document.header
    ledger.check_header(header)
    nonce = answer_nonce(lease.digest, Release.KIND)
    if (header.nonce, header.seen.size) != (nonce, lease.judged):
        raise malformed(
            "header",
            f"the one that follows from the lease: nonce {nonce}, seen {lease.judged}",
            f"nonce {header.nonce}, seen {header.seen.size}",
        )


def _check_outputs(body: Work, release: Release) -> None:
    """Every declared output and no other, each padded to its declared size and described as a
    result."""
    for name, descriptor in release.outputs.items():
        if name not in body.outputs:
            raise OutputUndeclared(
                f"The proposal declares no output {name}.",
                claim="outputs",
                expected=", ".join(sorted(body.outputs)),
                actual=name,
            )
        if (descriptor.kind, descriptor.labels) != (RESULT_KIND, ()):
            raise OutputUndeclared(
                f"The output {name} is described as something else than a result without labels.",
                claim=f"outputs.{name}",
                expected=f"kind {RESULT_KIND}, no labels",
            )
        expected = padded_length(body.outputs[name].max_bytes)
        if descriptor.length != expected:
            raise OutputTooLarge(
                f"The output {name} is not padded to its declared size.",
                claim=f"outputs.{name}",
                expected=f"{expected} bytes",
                actual=f"{descriptor.length} bytes",
            )
        _check_derived(name, descriptor, release.lease)
    for name in body.outputs:
        if name not in release.outputs:
            raise OutputMissing(
                f"The output {name} is declared and missing.", claim="outputs", expected=name
            )


def _check_derived(name: str, descriptor: ObjectDescriptor, lease: str) -> None:
    """A descriptor's id and segment size leave the worker no choice."""
    expected = (output_id(lease, name, descriptor.commitment), DEFAULT_SEGMENT_SIZE)
    found = (descriptor.id, descriptor.segment_size)
    if found != expected:
        raise OutputUndeclared(
            f"The output {name} has another id than follows from its lease, or other segments.",
            claim=f"outputs.{name}",
            expected=f"id {expected[0]}, segments of {expected[1]} bytes",
            actual=f"id {found[0]}, segments of {found[1]} bytes",
        )
