# SPDX-License-Identifier: Apache-2.0
"""What this home knows of a draft before it is proposed: judged by the log that it has read, by the
authority's own code; and by the evidence policies that workers would have to satisfy."""

from collections.abc import Iterable
from typing import Protocol

from placet.attestation import Policy
from placet.auditing.foresight.forecast import Forecast, foresee
from placet.auditing.foresight.remarks import remarks_on, window_remarks
from placet.client.log.memory import CouncilMemory
from placet.client.log.replica import Replica
from placet.governance.account import Times
from placet.governance.codec import Json
from placet.governance.documents import (
    Amendment,
    Federate,
    Header,
    Job,
    Proposal,
    Seen,
    Serve,
    new_header,
)
from placet.governance.envelope import Named
from placet.governance.judgements.grants import granted
from placet.governance.ledger import Ledger
from placet.governance.state import GrantState
from placet.refusals import AppraisalRefused, Refusal

_NONE = "sha256:" + "00" * 32


class Drafted(Protocol):
    """What a proposal is made from, as `load_work` gives it."""

    @property
    def body(self) -> Job | Federate | Serve | Amendment: ...
    @property
    def purpose(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def not_before(self) -> int: ...
    @property
    def not_after(self) -> int: ...
    @property
    def uses(self) -> int: ...


def forecast_of_terms(draft: Drafted) -> Forecast:
    """What a draft says of itself, where no log is known. Raises `DocumentMalformed`."""
    proposal = _proposal(draft, Header("00" * 16, _NONE, Seen(0, _NONE)), _NONE, "nobody")
    window = window_remarks(proposal.body, draft.not_after - draft.not_before)
    return Forecast((), (), (*remarks_on(proposal.body), *window))


def forecast_of(ledger: Ledger, draft: Drafted, by: str, now: Times) -> Forecast:
    """Of a job, a federation, a service or an amendment that somebody would propose. Raises
    `DocumentNotFound`, `NotFounded` or `DocumentMalformed`."""
    header = new_header(ledger.state.charter, Seen(*ledger.head()))
    proposal = _proposal(draft, header, ledger.in_force().digest, by)
    found = foresee(ledger, proposal, now)
    return found.and_final(_evidence(ledger, proposal, now))


def kept_ledger(memory: CouncilMemory) -> Ledger:
    """The log as a home keeps it, with no host asked."""
    replica = Replica(memory)
    replica.catch_up()
    return replica.ledger


def _proposal(draft: Drafted, header: Header, constitution: str, by: str) -> Proposal:
    return Proposal(
        header=header,
        constitution=constitution,
        proposer=by,
        action=draft.body.ACTION,
        purpose=draft.purpose,
        reason=draft.reason,
        not_before=draft.not_before,
        not_after=draft.not_after,
        uses=draft.uses,
        body=draft.body,
    )


def _evidence(ledger: Ledger, proposal: Proposal, times: Times) -> Iterable[Refusal]:
    """Policies under which no worker for this program or these terms can be accepted."""
    if isinstance(proposal.body, Amendment):
        return
    wanted = proposal.body.launch_digest
    policies = {"the constitution": ledger.in_force().constitution.evidence.worker}
    for name, found in granted(ledger, Named(proposal, ""), times).items():
        if isinstance(found, GrantState):
            grant = ledger.grant(found.digest).document
            policies[f"the grant of {grant.owner} for {name}"] = grant.evidence.worker
    for whose, policy in policies.items():
        if not _accepts(policy, wanted):
            yield AppraisalRefused(
                f"The evidence policy of {whose} accepts no worker that is made for {wanted}. It "
                "has to list that under launched_for, or with a measurement.",
                claim="launched_for",
                expected=wanted,
                actual=str(policy.get("launched_for"))[:200],
                rule=whose,
            )


def _accepts(policy: Json, digest: str) -> bool:
    read = Policy.from_dict(policy)
    made = {one.partition("=")[2] for one in read.measurements}
    listed = read.launched_for == "any" or digest in tuple(read.launched_for)
    return listed and bool(made & {"", digest})
