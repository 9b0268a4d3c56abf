# SPDX-License-Identifier: Apache-2.0
"""Judging joins, leases, renewals, releases and closings: what the authority does on its own log.

Pure, like admission.py. The word of attestation comes in as `Appraise`: a function that
raises unless the worker's evidence satisfies a policy.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from placet.governance.account import Times
from placet.governance.checks import check_measurement, check_name
from placet.governance.codec import Json, to_plain
from placet.governance.documents import Lease, Proposal
from placet.governance.documents.proposal import Work
from placet.governance.entries.council import BOOT
from placet.governance.entries.kind import Entry
from placet.governance.entries.leases import CLOSE, JOIN, LEASE, RENEWAL
from placet.governance.envelope import Signed
from placet.governance.evaluate import check_charter
from placet.governance.jobs import check_job
from placet.governance.judgements.admission import (
    Admission,
    in_log,
    readmit,
)
from placet.governance.judgements.standing import check_stands
from placet.governance.ledger import Ledger
from placet.governance.state import JoinState, LeaseState
from placet.refusals import (
    AttemptOpen,
    AttemptsUsedUp,
    JoinLapsed,
    JoinUnknown,
    LaunchedForMismatch,
    LeaseClosed,
    LeaseExpired,
    LeasePresentedTwice,
    LeaseUnknown,
    LogEntryInvalid,
    Stopped,
)

# Times are whole seconds: an attempt that takes exactly its time must not be refused for the
# rounding.
_SECOND = 1


class Claimed(Protocol):
    """The claims of verified evidence, as far as a join keeps them."""

    @property
    def measurement(self) -> str: ...

    @property
    def launched_for(self) -> str: ...


# appraise(worker identity digest, policy): raises where its evidence does not satisfy the policy.
Appraise = Callable[[str, Json], None]


def judge_boot(boot: str, identity: str, evidence: str, nonce: bytes, times: Times) -> Entry:
    """A new life of the authority: from here on nothing of an older boot is accepted."""
    return BOOT.new(
        times, {"boot": boot, "identity": identity, "evidence": evidence, "nonce": nonce.hex()}
    )


def judge_join(
    ledger: Ledger, worker: str, claimed: Claimed, evidence: str, nonce: bytes, times: Times
) -> Entry:
    """A worker whose evidence has been verified and appraised under the constitution in force."""
    lapses = times.at_most + ledger.in_force().constitution.limits.join_seconds
    if worker in ledger.state.joins:
        raise LeasePresentedTwice(
            "This identity has joined before. Make a new one.", claim="worker", actual=worker
        )
    if not claimed.launched_for:
        raise LaunchedForMismatch(
            "The worker was launched for no program. Launch it for one.", claim="launched_for"
        )
    check_measurement("measurement", claimed.measurement)
    _check_measurement(ledger, claimed.measurement)
    return JOIN.new(
        times,
        {
            "worker": worker,
            "launched_for": claimed.launched_for,
            "measurement": claimed.measurement,
            "evidence": evidence,
            "nonce": nonce.hex(),
            "lapses": lapses,
        },
    )


def judge_lease(
    ledger: Ledger,
    admission: Admission,
    lease: Lease,
    digest: str,
    appraise: Appraise,
    times: Times,
) -> Entry:
    """A lease for one attempt of an admitted ticket to one joined worker.

    Its entry reserves what the attempt costs each owner; a release spends that, and a close gives
    it back. A service releases nothing: its draws are charged (draws.py).

    Once the log has the ticket, it is judged again by the log alone, unless it was just that, of
    this log, for this job, at these times. Append the entry only after the ticket's documents.

    Raises what `readmit`, `check_job` and `appraise` raise, `JoinUnknown`, `JoinLapsed`,
    `LaunchedForMismatch`, `Stopped` for the measurement, `LeasePresentedTwice`, `AttemptOpen`,
    `AttemptsUsedUp`, and `LogEntryInvalid` for a lease that does not say what it has to.
    """
    proposal = admission.ticket.proposal
    if admission.over_log != (ledger.tree.size, lease.job, times) and in_log(ledger, admission):
        admission = readmit(ledger, proposal, lease.job, times)
    body = proposal.document.work
    _check_worker(ledger, lease.worker, body.launch_digest, times)
    check_job(proposal.digest, lease.job)
    body.check_job(ledger.state, proposal.digest, lease.job)
    _check_attempt(ledger, proposal.digest, lease.job, body)
    _check_terms(ledger, lease, proposal, times)
    appraise_all(ledger, lease.worker, admission.grants, appraise)
    return LEASE.new(
        times,
        {
            "lease": digest,
            "proposal": proposal.digest,
            "job": lease.job,
            "attempt": lease.attempt,
            "worker": lease.worker,
            "grants": list(admission.grants),
            "deadline": lease.deadline,
            "judged": ledger.tree.size,
            "charges": to_plain(body.charges if body.RESERVES else {}),
        },
    )


def _check_terms(ledger: Ledger, lease: Lease, proposal: Signed[Proposal], times: Times) -> None:
    """The authority writes the lease itself; whoever audits it finds that it says what it has
    to."""
    latest = latest_deadline(ledger, proposal, times)
    check_charter(lease.header.charter, ledger.state.charter)
    ledger.check_seen(lease.header)
    attempt = next_attempt(ledger, proposal.digest, lease.job)
    for claim, expected, actual in (
        ("proposal", proposal.digest, lease.proposal),
        ("constitution", ledger.state.constitution, lease.constitution),
        ("boot", ledger.state.boot, lease.boot),
        ("attempt", str(attempt), str(lease.attempt)),
        ("seen", str(ledger.tree.size), str(lease.header.seen.size)),
        ("deadline", str(min(latest, lease.deadline)), str(lease.deadline)),
    ):
        if expected != actual:
            raise LogEntryInvalid(
                f"The lease does not say what it has to: {claim}.",
                claim=claim,
                expected=expected,
                actual=actual,
            )


def appraise_all(ledger: Ledger, worker: str, grants: Iterable[str], appraise: Appraise) -> None:
    """The worker satisfies the constitution in force, and every owner."""
    appraise(worker, ledger.in_force().constitution.evidence.worker)
    for grant in grants:
        appraise(worker, ledger.grant(grant).document.evidence.worker)


def latest_deadline(ledger: Ledger, proposal: Signed[Proposal], times: Times) -> int:
    """Until when a lease given or renewed now holds, Unix seconds."""
    latest = times.at_most + ledger.in_force().constitution.limits.lease_seconds
    return proposal.document.work.holds_until(proposal.document, latest)


def next_attempt(ledger: Ledger, proposal: str, job: str) -> int:
    """The number that the next attempt of a job gets, counted from 1."""
    known = ledger.state.proposals.get(proposal)
    return len(known.jobs.get(job, [])) + 1 if known else 1


def judge_renewal(ledger: Ledger, digest: str, appraise: Appraise, times: Times) -> Entry:
    """A lease goes on, if nothing has stopped it in the meantime."""
    lease = check_running(ledger, digest, times)
    appraise_all(ledger, lease.worker, lease.grants, appraise)
    deadline = latest_deadline(ledger, ledger.proposal(lease.proposal), times)
    return RENEWAL.new(times, {"lease": digest, "deadline": deadline})


def judge_close(ledger: Ledger, digest: str, why: str, times: Times) -> Entry:
    """An attempt has ended without a release; the job may have another."""
    lease = find_lease(ledger, digest)
    check_name("why", why)
    if lease.status != "open":
        raise LeaseClosed(
            f"The lease is {lease.status} already.",
            claim="lease",
            expected="open",
            actual=lease.status,
        )
    return CLOSE.new(times, {"lease": digest, "job": lease.job, "why": why})


def judge_lapsed(ledger: Ledger, times: Times) -> list[Entry]:
    """The entries that close what is open and over all the same: past its deadline, or of an
    earlier boot."""
    entries: list[Entry] = []
    for lease in ledger.state.open_leases.values():
        if lease.boot != ledger.state.boot:
            entries.append(judge_close(ledger, lease.digest, "lost", times))
        elif times.at_most > lease.deadline:
            entries.append(judge_close(ledger, lease.digest, "deadline", times))
    return entries


def find_lease(ledger: Ledger, digest: str) -> LeaseState:
    """Raises `LeaseUnknown`."""
    lease = ledger.state.leases.get(digest)
    if lease is None:
        raise LeaseUnknown("The log has no such lease.", claim="lease", actual=digest)
    return lease


def check_running(ledger: Ledger, digest: str, times: Times) -> LeaseState:
    """A lease whose worker may go on now: it holds, and what it is for stands.

    A client asks it of the log that it has replayed, before it believes a worker.
    Raises what `check_lease` and `check_goes_on` raise.
    """
    lease = check_lease(ledger, digest, times)
    check_goes_on(ledger, lease, times)
    return lease


def check_lease(ledger: Ledger, digest: str, times: Times) -> LeaseState:
    """A lease that is open, of this boot, and within its deadline.

    Raises `LeaseUnknown`, `LeasePresentedTwice`, `LeaseClosed` or `LeaseExpired`.
    """
    lease = find_lease(ledger, digest)
    if lease.status == "released":
        raise LeasePresentedTwice(
            "The lease has been released; it gives nothing twice.",
            claim="lease",
            expected="open",
            actual="released",
        )
    if lease.status != "open" or lease.boot != ledger.state.boot:
        raise LeaseClosed(
            "The lease's attempt is closed, or it is of an earlier life of the authority.",
            claim="lease",
            expected="an open lease of this boot",
            actual=lease.status,
        )
    if times.at_most > lease.deadline:
        raise LeaseExpired(
            "The lease's deadline has passed. The job needs another attempt.",
            claim="deadline",
            expected=f"at or before {lease.deadline}",
            actual=str(times.at_most),
        )
    return lease


def check_goes_on(ledger: Ledger, lease: LeaseState, times: Times) -> None:
    """The work of the lease would be let through now (standing.py), to this worker, in its time.

    Raises `LeaseExpired`, `Stopped`, and what `check_stands` raises.
    """
    proposal = ledger.proposal(lease.proposal)
    ends = lease.started + proposal.document.work.deadline_seconds + _SECOND
    if times.at_most > ends:
        raise LeaseExpired(
            "The time that the proposal gives an attempt is over.",
            claim="deadline_seconds",
            expected=f"at or before {ends}",
            actual=str(times.at_most),
        )
    check_stands(ledger, proposal, lease.job, times, lease=lease)
    _check_measurement(ledger, ledger.state.joins[lease.worker].measurement)


def _check_worker(ledger: Ledger, worker: str, program: str, times: Times) -> JoinState:
    join = ledger.state.joins.get(worker)
    if join is None or join.boot != ledger.state.boot:
        raise JoinUnknown(
            "No worker with this identity has joined since the authority started.",
            claim="worker",
            actual=worker,
        )
    if join.lease:
        raise LeasePresentedTwice(
            "This worker has had its lease, and an identity gets one. Start another worker.",
            claim="worker",
            expected="a worker without a lease",
            actual=join.lease,
        )
    if times.at_most > join.lapses:
        raise JoinLapsed(
            "The worker's join has lapsed. It has to attest again.",
            claim="lapses",
            expected=f"at or before {join.lapses}",
            actual=str(times.at_most),
        )
    if join.launched_for != program:
        raise LaunchedForMismatch(
            "The worker was launched for another program than the proposal's; what it may run is "
            "fixed by the hardware that launched it. Start a worker for this program.",
            claim="launched_for",
            expected=program,
            actual=join.launched_for,
        )
    _check_measurement(ledger, join.measurement)
    return join


def _check_measurement(ledger: Ledger, measurement: str) -> None:
    if measurement in ledger.state.revoked_measurements:
        raise Stopped(
            "A seat has revoked this measurement.", claim="measurement", actual=measurement
        )


def _check_attempt(ledger: Ledger, proposal: str, job: str, body: Work) -> None:
    known = ledger.state.proposals.get(proposal)
    leases = [ledger.state.leases[digest] for digest in known.jobs.get(job, [])] if known else []
    if any(lease.status == "released" for lease in leases):
        raise LeasePresentedTwice("The job has had its release.", claim="job", actual=job)
    if any(lease.status == "open" for lease in leases):
        raise AttemptOpen(
            "The attempt before is not closed. Close it first.", claim="job", actual=job
        )
    if len(leases) >= body.attempts:
        raise AttemptsUsedUp(
            f"The proposal allows {body.attempts} attempt(s) a use, and all have been made.",
            claim="attempts",
            expected=f"at most {body.attempts}",
            actual=str(len(leases) + 1),
        )
