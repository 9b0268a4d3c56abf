# SPDX-License-Identifier: Apache-2.0
"""The documents by which Placet is governed: values that check themselves and know nothing of
I/O."""

from placet.governance.documents.ballot import Ballot, Vote
from placet.governance.documents.charter import Charter
from placet.governance.documents.constitution import (
    Constitution,
    Evidence,
    Limits,
    Organisation,
    Party,
    Seat,
)
from placet.governance.documents.federation import (
    Krum,
    Layout,
    Mean,
    Median,
    ModelRequest,
    Tensor,
    TrimmedMean,
    Update,
)
from placet.governance.documents.grant import Between, Exactly, Grant
from placet.governance.documents.header import Header, Seen, new_header
from placet.governance.documents.lease import Lease, Release
from placet.governance.documents.privacy import UNBOUNDED, Budget, Cost, Declared
from placet.governance.documents.proposal import Proposal, Work
from placet.governance.documents.receipt import Charged, Predicate, Receipt, Subject
from placet.governance.documents.rule import Action, Rule, When
from placet.governance.documents.serving import (
    Bearers,
    Card,
    Field,
    Members,
    Offer,
    Rations,
    Raw,
    Roster,
    Rounded,
    TopClass,
)
from placet.governance.documents.stop import Delete, Stop, StopAction
from placet.governance.documents.work.amend import Amendment
from placet.governance.documents.work.federate import Federate
from placet.governance.documents.work.job import Job
from placet.governance.documents.work.parts import Input, Output, Recipient, Scalar
from placet.governance.documents.work.serve import Serve

__all__ = [
    "UNBOUNDED",
    "Action",
    "Amendment",
    "Ballot",
    "Bearers",
    "Between",
    "Budget",
    "Card",
    "Charged",
    "Charter",
    "Constitution",
    "Cost",
    "Declared",
    "Delete",
    "Evidence",
    "Exactly",
    "Federate",
    "Field",
    "Grant",
    "Header",
    "Input",
    "Job",
    "Krum",
    "Layout",
    "Lease",
    "Limits",
    "Mean",
    "Median",
    "Members",
    "ModelRequest",
    "Offer",
    "Organisation",
    "Output",
    "Party",
    "Predicate",
    "Proposal",
    "Rations",
    "Raw",
    "Receipt",
    "Recipient",
    "Release",
    "Roster",
    "Rounded",
    "Rule",
    "Scalar",
    "Seat",
    "Seen",
    "Serve",
    "Stop",
    "StopAction",
    "Subject",
    "Tensor",
    "TopClass",
    "TrimmedMean",
    "Update",
    "Vote",
    "When",
    "Work",
    "new_header",
]
