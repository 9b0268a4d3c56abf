# SPDX-License-Identifier: Apache-2.0
"""Whatever a file asks the council for: a job, a federation or a service, by its `action`."""

from pathlib import Path

from placet.client._toml import load_toml
from placet.client.drafts import JobDraft, load_job
from placet.client.federated.drafts import FederationDraft, load_federation
from placet.client.inference.drafts import ServeDraft, load_serve

WorkDraft = JobDraft | FederationDraft | ServeDraft


def load_work(path: Path, now: int) -> WorkDraft:
    """What a file asks for: "federate", "serve", or "job" (also without an action). Raises what its own loader raises."""
    action = load_toml(path).get("action")
    if action == "federate":
        return load_federation(path, now)
    if action == "serve":
        return load_serve(path, now)
    return load_job(path, now)
