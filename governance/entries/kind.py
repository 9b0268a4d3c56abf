# SPDX-License-Identifier: Apache-2.0
"""A kind of entry: a row of the table, and what its fields may hold besides numbers and text."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from placet.governance.account import Times
from placet.governance.documents.privacy import Cost
from placet.governance.state import State

Entry = dict[str, Any]
F = TypeVar("F", bound=Mapping[str, object])

# A field that is marked NAMED has the digest of a document that the judgement takes; "" is none.
NAMED, HEXADECIMAL, MEASUREMENT, COST = "named", "hexadecimal", "measurement", "cost"
Named = Annotated[str, NAMED]
Nonce = Annotated[str, HEXADECIMAL]
Measurement = Annotated[str, MEASUREMENT]
Charge = Annotated[list[int] | str, COST]
Charges = dict[str, Charge]


@dataclass(frozen=True, slots=True)
class Kind(Generic[F]):
    """A kind of entry. `fields`, a TypedDict, says what its entries hold besides kind and times."""

    name: str
    fields: type[F]
    apply: Callable[[State, F], None]

    def new(self, times: Times, fields: F) -> Entry:
        """An entry of this kind, judged at these times."""
        return {"kind": self.name, "at": [times.at_least, times.at_most], **dict(fields)}


def costs(charges: Charges) -> dict[str, Cost]:
    """The charges of an entry, by owner."""
    return {owner: Cost.from_dict(cost) for owner, cost in charges.items()}
