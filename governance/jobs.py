# SPDX-License-Identifier: Apache-2.0
"""Names of jobs: each begins with the digits of its proposal's digest, so that no host can give a
job to another proposal.

A job's own part comes from the request that asked for it; a round's is its number, a service's
worker's a count.
"""

from placet.governance.codec import malformed

JOB_DIGITS = 40
_OWN_DIGITS = 20


def job_name(proposal: str, own: str) -> str:
    """The name of a job of a proposal; `own` tells it from the proposal's other ones."""
    return f"{proposal_digits(proposal)}-{own}"


def round_job(proposal: str, number: int) -> str:
    """The name of the job that aggregates a round: the authority's, so that no two rounds have
    one."""
    return job_name(proposal, str(number))


def requested_job(proposal: str, request_id: bytes) -> str:
    """The name of the job that a request asks for: its submitter knows it before any host says
    it."""
    return job_name(proposal, request_id.hex()[:_OWN_DIGITS])


def proposal_digits(proposal: str) -> str:
    """The digits of a proposal's digest that the names of its jobs begin with."""
    return proposal.removeprefix("sha256:")[:JOB_DIGITS]


def check_job(proposal: str, job: str) -> None:
    """Refuse a job under a name that is not of its proposal. Raises `DocumentMalformed`."""
    if not job.startswith(proposal_digits(proposal) + "-"):
        raise malformed("job", f"{proposal_digits(proposal)}-...", job)
