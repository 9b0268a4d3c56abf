# SPDX-License-Identifier: Apache-2.0
"""The terms of a federation or a service: the body of its proposal, and what its workers are
launched for.

They name no constitution. So the measurement of a worker that is made for them can be listed in the
constitution under which they are then proposed, as that of a program's worker can.
"""

from placet.governance.codec import encode, from_plain, malformed, parse_object
from placet.governance.documents import Federate, Serve

Terms = Federate | Serve


def decode_terms(data: bytes) -> Terms:
    """Terms from their canonical JSON. Raises `DocumentTooLarge`, or `DocumentMalformed` for any
    other layout."""
    plain = parse_object(data)
    terms: Terms = (
        from_plain(Serve, plain) if "card" in plain else from_plain(Federate, plain)
    )  # no federation has a card
    if encode(terms) != data:
        raise malformed(
            "terms", "in canonical JSON, as `placet terms` writes them", "another layout"
        )
    return terms
