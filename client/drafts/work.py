# SPDX-License-Identifier: Apache-2.0
"""Whatever a file asks the council for: a job, a federation or a service, by its `action`; and the
terms that it sets."""

from collections.abc import Callable
from pathlib import Path

from placet.client.drafts.federation import FederationDraft, load_federation
from placet.client.drafts.job import JobDraft, Known, load_job
from placet.client.drafts.serve import ServeDraft, load_serve
from placet.client.drafts.toml import load_toml
from placet.client.errors import FileRefused
from placet.governance.documents import Federate, Job, Serve
from placet.governance.terms import Terms

WorkDraft = JobDraft | FederationDraft | ServeDraft

_LOADERS: dict[str, Callable[[Path, int], WorkDraft]] = {
    Federate.ACTION: load_federation,
    Serve.ACTION: load_serve,
}


def load_work(path: Path, now: int, known: Known | None = None) -> WorkDraft:
    """What a file asks for: "federate", "serve", or "job" (also without an action). Raises what its
    own loader raises."""
    loader = _LOADERS.get(str(load_toml(path).get("action")))
    return loader(path, now) if loader else load_job(path, now, known)


def load_terms(path: Path, now: int) -> Terms:
    """The terms that a file sets, the same whenever it is read. Raises what `load_work` raises, and
    `FileRefused`."""
    terms, later = (load_work(path, seconds).body for seconds in (now, now + 1))
    if isinstance(terms, Job):
        raise FileRefused(
            f"{path} asks for a job, whose workers are made for its program and not for terms.",
            claim="action",
            expected="federate or serve",
            actual="job",
        )
    if terms != later:
        raise FileRefused(
            f"The terms of {path} depend on when it is read, so nobody could propose these very "
            "terms later. Give not_before as a time; or not_after, review and retire_by.",
            claim="not_before",
            expected="a time",
            actual="missing",
        )
    return terms
