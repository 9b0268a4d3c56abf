# SPDX-License-Identifier: Apache-2.0
"""What a receipt says about a release, and who may have its key."""

from placet.governance.account import Times
from placet.governance.documents import Predicate, Proposal, Receipt, Release, Seen, new_header
from placet.governance.documents.receipt import Mark
from placet.governance.envelope import Signed
from placet.governance.errors import RecipientUnknown
from placet.governance.evaluate import InForce, judge
from placet.governance.leasing import find_lease
from placet.governance.ledger import Ledger
from placet.sealing import HPKEPublicKey


def make_receipt(
    ledger: Ledger, release: Signed[Release], evidence: str, log: str, times: Times
) -> Receipt:
    """The statement about a release that is about to be appended. `evidence` is the weakest kind in the chain."""
    lease = find_lease(ledger, release.document.lease)
    proposal = ledger.proposal(lease.proposal)
    job = proposal.document.job
    size, root = ledger.head()
    marks: list[Mark] = ["UNWITNESSED"]
    if evidence == "simulation":
        marks.insert(0, "SIMULATED")
    return Receipt.about(
        Predicate(
            header=new_header(log, Seen(size, root)),
            proposal=proposal.digest,
            constitution=proposal.document.constitution,
            job=lease.job,
            attempt=lease.attempt,
            lease=lease.digest,
            worker=lease.worker,
            program=job.program,
            purpose=proposal.document.purpose,
            parameters=job.parameters,
            inputs={name: value.object.digest for name, value in job.inputs.items()},
            outputs=release.document.outputs,
            recipients=tuple(recipient.id for recipient in job.recipients),
            approved_by=_approving(ledger, proposal, times),
            evidence=evidence,
            privacy="unbounded: the job has no privacy terms",
            marks=tuple(marks),
            entry=size,
            judged_at=lease.judged,
            released=times.at_most,
        )
    )


def recipient_key(proposal: Proposal, name: str) -> HPKEPublicKey:
    """The HPKE key of a recipient that the proposal names. Raises `RecipientUnknown`."""
    for recipient in proposal.job.recipients:
        if recipient.id == name:
            return recipient.hpke
    names = ", ".join(recipient.id for recipient in proposal.job.recipients)
    raise RecipientUnknown(
        f"The proposal names no recipient {name!r}. It names {names}.",
        claim="recipient",
        expected=names,
        actual=name,
    )


def _approving(ledger: Ledger, proposal: Signed[Proposal], times: Times) -> tuple[str, ...]:
    """The seats whose placet stands in the log."""
    ballots = [ledger.ballot(b.digest) for b in ledger.state.proposals[proposal.digest].ballots]
    named = proposal.document.constitution
    revoked = frozenset(ledger.state.revoked_seats)
    under = InForce(ledger.constitution(named), named, ledger.state.log, revoked)
    account = judge(proposal, ballots, under, times)
    return tuple(b.seat for b in account.ballots if b.vote == "placet" and not b.why)
