# SPDX-License-Identifier: Apache-2.0
"""Two constitutions: what one changes of the other, and who can do what alone from then on."""

from dataclasses import replace

from placet.auditing.differences import explain_differences
from placet.auditing.powers import explain_powers
from placet.governance.documents import Limits, Organisation, Rule, When
from placet.governance.rules import Approvals, Lifetime, Organisations, Role, Uses, Veto
from tests.support.world import AMEND, DAY, HEALTH, World

WORLD = World()
OLD = WORLD.constitution
ON = "the action job for the purpose research on data with the label health"


def health(*demands: object, without: tuple[type, ...] = ()) -> Rule:
    return World.varied(HEALTH, *demands, without=without)  # type: ignore[arg-type]


def test_nothing_is_said_of_what_is_the_same() -> None:
    same = replace(OLD, nonce="01" * 16)
    assert explain_differences(OLD, same) == explain_powers(OLD, same) == []


def test_an_organisation_that_can_decide_alone() -> None:
    lax = health(Approvals(2), Organisations(1), Role("chair", 1), without=(Role,))
    new = replace(OLD, rules=(lax, AMEND))
    assert explain_powers(OLD, new) == [
        f"org-a alone can now let through {ON}.",
        (
            f"It takes 2 seats of 1 organisation to let through {ON}; "
            "it took 2 seats of 2 organisations."
        ),
    ]
    assert explain_powers(new, OLD)[0] == f"org-a alone can no longer let through {ON}."


def test_a_veto_that_no_longer_covers_data() -> None:
    new = replace(OLD, rules=(health(without=(Veto,)), AMEND))
    assert explain_powers(OLD, new) == [f"The veto of the role dpo no longer covers {ON}."]
    assert explain_powers(new, OLD) == [f"The veto of the role dpo now covers {ON}."]
    assert explain_differences(OLD, new) == [
        (
            "Rule health no longer says: The non placet of any one seat of the role dpo stops the "
            "ticket, until that seat lifts it."
        )
    ]


def test_a_rule_that_lets_through_what_none_did() -> None:
    """The default for what nobody named is told too: any other purpose, and data without label."""
    demands = (Approvals(1), Organisations(1), Lifetime(DAY), Uses(1))
    loose = Rule("loose", "", When(("job", "serve"), "any", "any"), demands)
    new = replace(OLD, rules=(*OLD.rules, loose))
    told = explain_powers(OLD, new)
    assert (
        "org-d alone can now let through the action serve for any purpose on any data." not in told
    )  # it has no seat
    assert "org-b alone can now let through the action serve for any purpose on any data." in told
    assert (
        "Proposals may now be let through for the action job for any other purpose on any data; "
        "none could." in told
    )
    back = explain_powers(new, OLD)
    assert (
        "No proposal is let through any more for the action serve for any purpose on any data."
        in back
    )
    assert not [line for line in back if "no longer" in line]


def test_amendments_are_told_without_data() -> None:
    new = replace(OLD, rules=(HEALTH, World.varied(AMEND, Approvals(1), Organisations(1))))
    assert explain_powers(OLD, new)[0] == (
        "org-a alone can now let through the action amend for any purpose."
    )


def test_each_change_is_a_sentence() -> None:
    first, *others = OLD.seats
    seat = replace(first, role="ethics", keys=first.keys[:1], term_end=first.term_end + DAY)
    new = replace(
        OLD,
        name="The council",
        organisations=(*OLD.organisations, Organisation("org-e", "E")),
        seats=(seat, *others[:-1]),
        labels=("health", "imaging"),
        limits=Limits(60, OLD.limits.join_seconds),
        evidence=replace(OLD.evidence, worker={"kinds": ["test"], "role": "worker"}),
        rules=(health(Uses(4)), AMEND),
    )
    assert explain_differences(OLD, new) == [
        'The name of the constitution was "The council of four", and is "The council".',
        "The organisation org-e now belongs to the council.",
        f"The seat chair-a with the key {first.keys[1].text} no longer signs.",
        "The role of the seat chair-a was chair, and is ethics.",
        (
            "The term of the seat chair-a was from 2027-01-14 08:00:00 UTC to 2028-01-15 08:00:00 "
            "UTC, and is from 2027-01-14 08:00:00 UTC to 2028-01-16 08:00:00 UTC."
        ),
        "The seat second-a of org-a in the role chair is gone.",
        "The label imaging now may be carried by data.",
        "The label public no longer may be carried by data.",
        "Rule health no longer says: A proposal may ask for at most 3 uses.",
        "Rule health says now: A proposal may ask for at most 4 uses.",
        f"The evidence of the worker: measurements was {'cd' * 32}, and is not stated.",
        "The limit lease_seconds was 300, and is 60.",
    ]


def test_what_an_author_wrote_passes_for_no_sentence_of_ours() -> None:
    forged = replace(
        OLD, name="X. Nothing else differs", rules=(replace(HEALTH, title="X. Y"), AMEND)
    )
    told = explain_differences(OLD, forged)
    assert all(' and is "X.' in line for line in told) and len(told) == 2
