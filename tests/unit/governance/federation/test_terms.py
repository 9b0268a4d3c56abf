# SPDX-License-Identifier: Apache-2.0
"""Terms that contradict themselves, and what a layout says."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.governance.documents import Input, Krum, Layout, Median, Proposal, Tensor, TrimmedMean
from placet.governance.documents.federation import LIMIT
from placet.refusals import Refusal
from placet.sealing import HPKEPrivateKey

CLIENTS = ("ana-a", "ben-a", "cem-b", "dia-c", "eli-d")
ROUND_KEY = HPKEPrivateKey.generate("X25519").public.to_text()
LAYOUT = Layout((Tensor("w", (4, 3)), Tensor("b", (3,))), "float32", 65536)


@pytest.mark.parametrize(
    "changes",
    [
        {"smallest_cohort": 1},
        {"smallest_cohort": 6},
        {"roster": ("ana-a", "ana-a")},
        {"roster": ()},
        {"rounds": 0},
        {"clip": "0"},
        {"clip": "1,5"},
        {"clip": "nan"},
        {"clip": "-1"},
        {"rate": "0"},
        {"noise": "0"},
        {"noise": "1"},  # with weights
        {"noise": "1", "largest_weight": 1, "rule": Median("median"), "smallest_cohort": 3},
        {"rule": Median("median"), "largest_weight": 1},
        {"rule": Median("median"), "smallest_cohort": 3},
        {"rule": Krum("krum", 1, 1), "smallest_cohort": 4, "largest_weight": 1},
        {"rule": TrimmedMean("trimmed-mean", 10), "smallest_cohort": 4, "largest_weight": 1},
        {"largest_weight": 0},
        {"largest_weight": 2**31},
        {"quarantine_rounds": 0},
        {"buffers": {"w": "home"}},  # the layout has it
        {"buffers": {"other": "keep"}},  # the layout does not
        {"buffers": {"w": "mean-without-noise"}},  # without noise
        {"buffers": {"w": "keep", "b": "keep"}},  # nothing is learned
    ],
)
def test_terms_that_contradict_themselves_are_refused(
    changes: dict[str, Any], refused: Any, terms: Any
) -> None:
    refused("DOCUMENT_MALFORMED", lambda: terms(**changes))


@pytest.mark.parametrize("dimensions", [33, 4096])
def test_a_tensor_has_few_dimensions(refused: Any, dimensions: int) -> None:
    """The product of many has more digits than Python turns into text, and the refusal was none of
    ours."""
    assert Tensor("w", (1,) * 32).elements == 1
    refused("DOCUMENT_MALFORMED", lambda: Tensor("w", (2**32,) * dimensions))


def test_sums_cannot_overflow_at_the_largest_terms_that_are_let_through(terms: Any) -> None:
    roster = tuple(f"c{n}" for n in range(256))
    largest = 2**31 - 1
    with pytest.raises(Refusal):
        terms(roster=roster, largest_weight=2**28)
    found = terms(roster=roster, largest_weight=2**28 - 1)
    assert len(found.roster) * found.largest_weight * LIMIT < 2**62
    assert len(CLIENTS) * largest * LIMIT < 2**62
    assert terms(largest_weight=largest)


@given(st.integers(1, 9999))
def test_noise_is_never_less_than_asked_for(terms: Any, thousandths: int) -> None:
    text = f"{thousandths / 1000:.3f}"
    found = terms(noise=text, largest_weight=1)
    assert found.sigma >= thousandths * LIMIT / 1000
    assert found.sigma - thousandths * LIMIT / 1000 < 1


def test_a_layout_s_digest_says_all_of_it() -> None:
    layouts = [
        LAYOUT,
        replace(LAYOUT, encoding="float16"),
        replace(LAYOUT, segment_bytes=16384),
        replace(LAYOUT, tensors=LAYOUT.tensors[::-1]),
        replace(LAYOUT, tensors=(Tensor("w", (3, 4)), Tensor("b", (3,)))),
        replace(LAYOUT, tensors=(Tensor("v", (4, 3)), Tensor("b", (3,)))),
    ]
    assert len({layout.digest for layout in layouts}) == len(layouts)
    assert LAYOUT.elements == 15
    assert LAYOUT.update_bytes == 60


def test_an_initial_model_is_the_vector_that_the_layout_says(
    world: Any, refused: Any, terms: Any
) -> None:
    good = Input(world.descriptor("m", (), 60, "model"), "owner-b")
    assert terms(model=good).inputs == {"model": good}
    bad = Input(world.descriptor("m", (), 64, "model"), "owner-b")
    refused("DOCUMENT_MALFORMED", lambda: terms(model=bad))


def test_uses_are_the_rounds(world: Any, refused: Any, terms: Any) -> None:
    body = terms()
    proposal: Proposal = world.proposal(action="federate", uses=4, body=body)
    assert proposal.owners == set(CLIENTS)
    assert proposal.labels == {"health"}
    refused("DOCUMENT_MALFORMED", lambda: world.proposal(action="federate", uses=3, body=body))
    refused("DOCUMENT_MALFORMED", lambda: world.proposal(action="job", uses=4, body=body))


def test_a_roster_is_of_principals_and_of_enough_organisations(
    federation: Any, refused: Any, terms: Any
) -> None:
    world = federation.world
    for roster, reason in (
        ((*CLIENTS, "nobody"), "SIGNER_UNKNOWN"),
        (("ana-a", "ben-a"), "COHORT_TOO_SMALL"),
    ):
        body = terms(roster=roster)
        proposal = world.proposal(action="federate", uses=4, body=body)
        refused(reason, partial(world.record, proposal, "lab"))


def test_rules_of_arrays_say_where_they_are_in_the_vector(terms: Any) -> None:
    rules = {"b": "mean-without-noise", "w": "mean", "home": "home"}
    found = terms(layout=LAYOUT, noise="1", largest_weight=1, buffers=rules)
    assert (found.spared, found.kept, found.ruled("home")) == ([slice(12, 15)], [], ("home",))
    assert terms(layout=LAYOUT, buffers={"w": "keep"}).kept == [slice(0, 12)]
