# SPDX-License-Identifier: Apache-2.0
"""A receipt says this about a release: the authority writes it, and an audit writes it again and
compares."""

from placet.governance.account import Times
from placet.governance.documents import (
    Charged,
    Cost,
    Header,
    Predicate,
    Receipt,
    Release,
    Work,
)
from placet.governance.documents.receipt import Mark
from placet.governance.envelope import Signed
from placet.governance.judgements.leasing import find_lease
from placet.governance.judgements.standing import account_of
from placet.governance.ledger import Ledger
from placet.governance.state import LeaseState


def receipt_for(
    ledger: Ledger, release: Signed[Release], evidence: str, header: Header, times: Times
) -> Receipt:
    """The statement about a release that is about to be appended. `evidence` is the weakest kind in
    the chain."""
    lease = find_lease(ledger, release.document.lease)
    proposal = ledger.proposal(lease.proposal)
    job = proposal.document.work
    marks: tuple[Mark, ...] = ("UNWITNESSED",)
    if evidence == "simulation":
        marks = ("SIMULATED", *marks)
    return Receipt.about(
        Predicate(
            header=header,
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
            recipients=job.audience,
            approved_by=account_of(ledger, lease, times).approving,
            evidence=evidence,
            privacy=_charged(ledger, lease, job),
            marks=marks,
            entry=ledger.tree.size,
            judged_at=lease.judged,
            released=times.at_most,
        )
    )


def _charged(ledger: Ledger, lease: LeaseState, work: Work) -> Charged:
    """The cost of the release to owners of inputs, and to the clients whose updates counted."""
    clients = work.update_charges(ledger.state, lease.proposal)
    # Who owns the initial model and sends updates as well has it all in one ledger.
    both = {owner: cost + clients.get(owner, Cost()) for owner, cost in lease.charges.items()}
    return Charged({**clients, **both}, work.declared)
