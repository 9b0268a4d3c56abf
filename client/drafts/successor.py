# SPDX-License-Identifier: Apache-2.0
"""A home whose council has a constitution in force drafts one that names it, or says that it founds
another council."""

from placet.client.council.forecasts import kept_ledger
from placet.client.log.memory import CouncilMemory
from placet.governance.documents import Constitution
from placet.refusals import ConstitutionNotSuccessor


def check_predecessor(draft: Constitution, memory: CouncilMemory) -> None:
    """Whether a draft follows the constitution in force, by the log as this home keeps it. Raises
    `ConstitutionNotSuccessor`, which names the predecessor."""
    state = kept_ledger(memory).state
    if not state.constitution or draft.predecessor == state.constitution:
        return
    raise ConstitutionNotSuccessor(
        f"The draft names no predecessor, and {state.constitution} is in force in this home's "
        "council. Draft it with --amends to follow that one, or with --founds for a new council.",
        claim="predecessor",
        expected=state.constitution,
        actual=draft.predecessor or "none",
    )
