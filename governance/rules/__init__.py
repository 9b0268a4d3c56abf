# SPDX-License-Identifier: Apache-2.0
"""The kinds of demand that a rule may make, one file a kind."""

from placet.governance.rules.approvals import Approvals
from placet.governance.rules.independence import Independence
from placet.governance.rules.lifetime import Lifetime
from placet.governance.rules.notice import Notice
from placet.governance.rules.organisations import Organisations
from placet.governance.rules.rationale import Rationale
from placet.governance.rules.role import Role
from placet.governance.rules.uses import Uses
from placet.governance.rules.veto import Veto

Demand = (
    Approvals | Organisations | Role | Veto | Independence | Rationale | Lifetime | Uses | Notice
)

__all__ = [
    "Approvals",
    "Demand",
    "Independence",
    "Lifetime",
    "Notice",
    "Organisations",
    "Rationale",
    "Role",
    "Uses",
    "Veto",
]
