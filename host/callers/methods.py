# SPDX-License-Identifier: Apache-2.0
"""Who may call what: every method of the host, and the least that its caller has to be.

ANYONE      nothing: the log, evidence, health, a signed stop, logging in
ASKER       a principal; anyone where the service is for bearers of tokens, whom the worker knows
PRINCIPAL   a seat or party of the constitution in force that has logged in
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from placet.governance.documents.passes import Scope


class Who(Enum):
    ANYONE = "anyone"
    ASKER = "asker"
    PRINCIPAL = "principal"


_ANYONE, _ASKER, _PRINCIPAL = Who.ANYONE, Who.ASKER, Who.PRINCIPAL
METHODS: Final[Mapping[str, Who]] = MappingProxyType(
    {
        "Access.Challenge": _ANYONE,
        "Access.Login": _ANYONE,
        "Blobs.Delete": _PRINCIPAL,
        "Blobs.Get": _PRINCIPAL,
        "Blobs.Put": _PRINCIPAL,
        "Blobs.Stat": _PRINCIPAL,
        "Certificates.GetNotices": _ANYONE,
        "Federations.Model": _PRINCIPAL,
        "Federations.Update": _PRINCIPAL,
        "Founding.Open": _ANYONE,  # with the operator's token
        "Founding.Post": _ANYONE,  # with a key of the invitation
        "Founding.Read": _ANYONE,  # by the digest that the invited know
        "Governance.Amend": _PRINCIPAL,
        "Governance.Found": _ANYONE,  # before it there are no principals, and after it, no founding
        "Governance.Propose": _PRINCIPAL,
        "Governance.Stop": _ANYONE,
        "Governance.Vote": _PRINCIPAL,
        "Health.Check": _ANYONE,
        "Health.Watch": _ANYONE,
        "Inference.Describe": _ASKER,
        "Inference.Predict": _ASKER,
        "Inference.PredictStream": _ASKER,
        "Jobs.Result": _PRINCIPAL,
        "Keys.GetEvidence": _ANYONE,
        "Keys.Provision": _PRINCIPAL,
        "Log.GetCheckpoint": _ANYONE,
        "Log.GetConsistencyProof": _ANYONE,
        "Log.GetDocument": _ANYONE,  # of constitutions and charters; the others take a principal
        "Log.GetEntries": _ANYONE,
        "Log.GetInclusionProof": _ANYONE,
        "Log.GetTile": _ANYONE,
        "Runs.Get": _PRINCIPAL,
        "Runs.List": _PRINCIPAL,
        "Runs.Start": _PRINCIPAL,
        "Runs.Watch": _PRINCIPAL,
        "ServerReflection.ServerReflectionInfo": _ANYONE,
    }
)
# What a pass lets its holder call, beside what anyone may.
SCOPES: Final[Mapping[Scope, frozenset[str]]] = MappingProxyType(
    {
        "run": frozenset(
            {
                "Blobs.Get",
                "Blobs.Stat",
                "Jobs.Result",
                "Runs.Get",
                "Runs.List",
                "Runs.Start",
                "Runs.Watch",
            }
        ),
        "put": frozenset({"Blobs.Put", "Blobs.Stat"}),
    }
)
# What costs the authority most.
EVIDENCE: Final = "Keys.GetEvidence"
STOP: Final = "Governance.Stop"


class Sort(Enum):
    """Calls of a sort have places that calls of no other sort take. What a stop takes before is
    apart from work: its sender logs in, as a stranger still, and looks at the log."""

    STOP = "stop"
    LOGIN = "login"
    LOOK = "look"
    WORK = "work"


_SORTS: Final = {"Access": Sort.LOGIN, "Log": Sort.LOOK}  # by service


def sort_of(method: str) -> Sort:
    """The sort of a call of "Service.Method"."""
    if method == STOP:
        return Sort.STOP
    return _SORTS.get(method.partition(".")[0], Sort.WORK)
