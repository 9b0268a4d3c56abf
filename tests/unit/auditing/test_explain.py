# SPDX-License-Identifier: Apache-2.0
"""The sentences that a lawyer checks: word for word, and that nothing of what is judged is left out
of them."""

from dataclasses import fields, replace
from typing import Any, get_args

import pytest

from placet.auditing.explain import (
    explain_account,
    explain_charged,
    explain_constitution,
    explain_grant,
    explain_proposal,
    explain_refusal,
    explain_rule,
)
from placet.governance.account import Times
from placet.governance.documents import (
    UNBOUNDED,
    Budget,
    Charged,
    Cost,
    Declared,
    Evidence,
    Exactly,
)
from placet.governance.documents.grant import Between
from placet.governance.evaluate import evaluate
from placet.governance.rules import (
    Approvals,
    Demand,
    Independence,
    Lifetime,
    Notice,
    Organisations,
    Rationale,
    Role,
    Uses,
    Veto,
)
from placet.governance.rules.kind import Kind
from placet.refusals import Vetoed

T0 = 1_800_000_000
DIGEST = "sha256:" + "00" * 32

HEALTH = """\
Rule health applies to the action job, the purpose research, and data with the label health.
The title of rule health, in its author's words:
| Work on health data
It takes the placet of at least 2 seats.
The seats that say placet must be of at least 2 organisations.
It takes the placet of at least 1 seat of the role ethics.
The non placet of any one seat of the role dpo stops the ticket, until that seat lifts it.
The approvals of the proposer's own organisation do not count.
An approval without a written rationale does not count.
A ticket's window is at most 7 days long.
A proposal may ask for at most 3 uses."""

AMEND = """\
Rule amend applies to the action amend, any purpose, and data with any label or none.
The title of rule amend, in its author's words:
| Changing this constitution
It takes the placet of at least 3 seats.
The seats that say placet must be of at least 3 organisations.
A ticket's window is at most 30 days long.
A proposal may ask for at most 1 use.
No role has a veto under this rule.
No approval is left out for a conflict of interest.
An approval needs no written rationale."""

CONSTITUTION = f"""\
This is version 1 of the constitution; it is the first.
The constitution's name, in its author's words:
| The council of four
The name of the organisation org-a, in its author's words:
| Organisation A
The name of the organisation org-b, in its author's words:
| Organisation B
The name of the organisation org-c, in its author's words:
| Organisation C
The name of the organisation org-d, in its author's words:
| Organisation D
The seat chair-a of org-a votes in the role chair, from 2027-01-14 08:00:00 UTC to 2028-01-15 08:00:00 UTC, \
with the keys ed25519:IHF1Uqipvm9t4Liw0SfrfG8Q8wVOAKYVv3GN175lR4Q, ed25519:esuDnTtUEZ93UPST-wZZqI5lZw6MRdkTcd5O4-AmhyI.
The seat data-b of org-b votes in the role dpo, from 2027-01-14 08:00:00 UTC to 2028-01-15 08:00:00 UTC, \
with the keys p256:BMdooGjj91wGOMZw_3gE1inzcJ6LTTwytgtwEHC3LyNhLs5wuD7ocKUU4WT5J9FFV13v3KmYEsVmGRxWoZrmqE0.
The seat ethics-c of org-c votes in the role ethics, from 2027-01-14 08:00:00 UTC to 2028-01-15 08:00:00 UTC, \
with the keys ed25519:F0SAkyDBK2ux58LAEsXn7Q7AG1k4dZqZONAHIdSIrUk.
The seat second-a of org-a votes in the role chair, from 2027-01-14 08:00:00 UTC to 2028-01-15 08:00:00 UTC, \
with the keys ed25519:CKVhz4FQokW2U_PISfiXpc6A5TOtpNJ7OFDH1c4T7aA.
owner-b of org-b has no vote and signs with the keys ed25519:a-zvuxzBnwNkHqe_n5MqipvofQnrJE045oJXlPzmaeg.
lab of org-d has no vote and signs with the keys ed25519:7nyFsUOMAA40IqZ94aEir3yp6c09vL90lqjA4YS5mE8.
The labels that data may carry are health, public.
Every rule that applies has to hold. What no rule applies to is refused.
A placet counts until it expires, while its seat is in office.
Any other vote stands until its seat votes again.
Running work must still be let through whenever its lease is renewed and when it releases.
It goes on where an approval or a seat's term has ended by time alone: it began before that.
It ends where an approval that it needs was taken back, or its seat was revoked.
A service goes on after its review only if it would be let through anew.
{HEALTH}
{AMEND}
The evidence of the authority has to be as the constitution demands:
- kinds: test.
- measurements: {"cd" * 32}.
- role: authority.
The evidence of the worker has to be as the constitution demands:
- kinds: test.
- measurements: {"cd" * 32}.
- role: worker.
A lease holds for 5 minutes, unless it is renewed.
A worker that has joined must get its lease within 1 hour.
A seat or party may have 1000 proposals, ballots and grants entered within 1 hour; whatever says \
no is always taken.
Witnesses: none. Nobody but the host would see it if the host showed an older log.
Recovery: none. If the authority's root secret is lost, so is what it guards."""


def test_a_constitution_word_for_word(world: Any) -> None:
    assert "\n".join(explain_constitution(world.constitution)) == CONSTITUTION
    later = replace(world.constitution, version=2, predecessor=DIGEST)
    assert (
        explain_constitution(later)[0]
        == f"This is version 2 of the constitution; it follows {DIGEST}."
    )


def test_a_proposal_word_for_word(world: Any) -> None:
    lines = explain_proposal(
        world.proposal(reason="To learn.\nRule health is met."), world.constitution
    )
    train = world.descriptor().digest
    recipient = world.job().recipients[0].hpke.key_id
    assert lines == [
        "lab proposes the action job for the purpose research.",
        f"It is for the council {world.name}, under the constitution {world.digest}.",
        "Its author had seen the log at size 0.",
        "It holds from 2027-01-15 07:59:50 UTC to 2027-01-16 08:00:00 UTC, for 1 use.",
        f"It would run the program sha256:{'ab' * 32}.",
        (
            f"The program reads as train the object {train} (kind dataset, labels health, 1000 "
            "bytes), owned by owner-b."
        ),
        "The parameter epochs is 3.",
        'The parameter model is "linear".',
        "It writes the output weights, padded to 5000 bytes.",
        f"lab may open the outputs, with the HPKE key {recipient}.",
        "There are no privacy terms: what the outputs tell about the data has no bound.",
        "A use takes at most 2 attempts, and an attempt at most 10 minutes.",
        "The reason for the proposal, in its author's words:",
        "| To learn.",
        "| Rule health is met.",
        "It has to satisfy 1 rule.",
        *HEALTH.split("\n"),
    ]
    assert (
        explain_proposal(world.proposal(), None)
        == explain_proposal(world.proposal(), world.constitution)[:14]
    )


def test_privacy_terms_and_budgets_word_for_word(world: Any) -> None:
    declared = explain_proposal(
        world.proposal(body=world.job(privacy=Declared("0.5", "1e-7"))), None
    )
    without = explain_proposal(world.proposal(), None)
    assert [line for line in declared if line not in without] == [
        "Each use is charged epsilon 0.5 and delta 1e-7 to every owner of data in it.",
        (
            "The author of the program declares that cost: nothing but the program itself "
            "makes it true."
        ),
    ]
    bounded = explain_grant(world.grant(privacy=Budget("3", "1e-6")))
    assert [line for line in bounded if line not in explain_grant(world.grant())] == [
        (
            "It lets a job through only while all that owner-b is charged, the job with it, stays "
            "within epsilon 3 at delta 1e-6."
        ),
        (
            "The bound counts every job on any data of this owner, under whatever grants, since "
            "the log began."
        ),
        "The cost of a job is what its program's author declares: a claim, which nothing measures.",
        "A job without privacy terms costs without bound, and so is never let through.",
    ]


def test_what_was_charged_word_for_word() -> None:
    declared = Declared("0.5", "1e-7").cost
    both = Cost(gaussian=62_500_000) + declared
    assert explain_charged(Charged({"b": declared}, declared=True)) == [
        (
            "b was charged epsilon 0.5 and delta 1e-7, by the word of the program's author, which "
            "nobody has checked."
        ),
    ]
    assert explain_charged(Charged({"c": UNBOUNDED, "a": both, "b": Cost()}, declared=False)) == [
        "a was charged Gaussian noise of squared parameter 0.0625 and epsilon 0.5 and delta 1e-7.",
        "b was charged nothing.",
        "c was charged a loss of privacy without bound.",
    ]
    assert explain_charged(Charged({}, declared=False)) == [
        "No data owner was charged any privacy."
    ]


def test_proposals_that_no_rule_covers_say_so(world: Any) -> None:
    other = world.proposal(purpose="advertising")
    assert (
        explain_proposal(other, world.constitution)[-1]
        == "No rule applies to it, so it is refused."
    )
    data = replace(world.job().inputs["train"], object=world.descriptor(labels=("Health",)))
    lines = explain_proposal(
        world.proposal(body=world.job(inputs={"train": data})), world.constitution
    )
    assert "The constitution does not list the label Health, so this is refused." in lines
    amendment = world.amendment(world.constitution)
    lines = explain_proposal(world.proposal(action="amend", body=amendment), None)
    assert f"It would put the constitution {world.digest} into force." in lines


def test_an_account_word_for_word(world: Any) -> None:
    ticket = world.ticket(seats=("chair-a", "second-a"))
    account = evaluate(ticket, world.in_force(), Times(T0, T0 + 1))
    lines = explain_account(account)
    assert lines[:14] == [
        (
            f"The proposal {account.proposal} was judged under the constitution {world.digest}, "
            "which refuses it."
        ),
        "Openings were judged at 2027-01-15 08:00:00 UTC, closings at 2027-01-15 08:00:01 UTC.",
        "The seat chair-a (chair, org-a) said placet.",
        "The seat second-a (chair, org-a) said placet.",
        "Rule health applies.",
        "The title of rule health, in its author's words:",
        "| Work on health data",
        "Its demand of at least 2 approvals is met: found 2 (chair-a, second-a).",
        "Its demand of at least 2 distinct organisations is not met: found 1 (org-a).",
        "Its demand of at least 1 approvals of role ethics is not met: found 0.",
        "Its demand of at most 604800 seconds of ticket lifetime is met: found 86410.",
        "Its demand of at most 3 uses is met: found 1.",
        (
            "Refused: RULE_NOT_MET. A rule that applies demands more than the ballots give. "
            "Collect the ballots that are missing, then try again."
        ),
        "What the refusal says:",
    ]
    good = evaluate(world.ticket(), world.in_force(), Times(T0, T0))
    assert explain_account(good)[0].endswith("which lets it through.")


def test_an_account_says_why_a_seat_does_not_count(world: Any) -> None:
    in_force = replace(world.in_force(), revoked_seats=frozenset({"chair-a"}))
    lines = explain_account(evaluate(world.ticket(), in_force, Times(T0, T0)))
    why = (
        "The seat chair-a (chair, org-a) said placet, which cannot count as an approval: the "
        "seat has been revoked."
    )
    assert why in lines
    assert "It does not count the seat chair-a: the seat has been revoked." in lines


def test_a_refusal_word_for_word() -> None:
    refusal = Vetoed("A seat said no.\nRule x is met.", claim="veto", rule="health")
    assert explain_refusal(refusal.reason, str(refusal), refusal.details) == [
        (
            "Refused: VETOED. A seat with a veto said non placet. Make a new proposal, or let the "
            "seat vote placet."
        ),
        "What the refusal says:",
        "| A seat said no.",
        "| Rule x is met.",
        "Rule:",
        "| health",
        "Claim:",
        "| veto",
    ]
    assert explain_refusal("QUEUE_FULL", "Later.", {}) == [
        (
            "Refused: QUEUE_FULL. A bound on what may wait or be open at once is reached. "
            "Try again later."
        ),
        "What the refusal says:",
        "| Later.",
    ]


def test_a_grant_word_for_word(world: Any) -> None:
    grant = world.grant()
    lines = explain_grant(grant)
    recipient = world.job().recipients[0].hpke.key_id
    assert lines == [
        (
            f"owner-b lets the authority of the council {world.name} use the key of the object "
            f"{grant.object.digest} (kind dataset, labels health, 1000 bytes)."
        ),
        "It may be used for the purpose research.",
        f"It may be used by the program sha256:{'ab' * 32}.",
        "The job's parameters are exactly these: epochs, model.",
        "The parameter epochs must be from 1 to 10.",
        'The parameter model must be "linear".',
        f"The outputs may go to the HPKE key {recipient}.",
        "The data may be in one job with data of no other owner.",
        "The evidence of the authority has to be as owner-b demands:",
        "- kinds: test.",
        f"- measurements: {'cd' * 32}.",
        "- role: authority.",
        "The evidence of the worker has to be as owner-b demands:",
        "- kinds: test.",
        f"- measurements: {'cd' * 32}.",
        "- role: worker.",
        "A log without witnesses may use it too.",
        "Whatever the rules say, it takes the placet of these seats: data-b.",
        "It sets no bound on what the outputs may tell about the data.",
        "It may be used for at most 5 jobs.",
        "It holds until 2027-02-14 08:00:00 UTC.",
        (
            "An amendment suspends it that changes the evidence, a rule for this data, "
            "who holds a seat, or the keys or organisation of owner-b."
        ),
        "The key may not be recovered by whatever recovery the constitution has.",
    ]


# What there can be besides HEALTH's demands, of every kind: another word for each of its fields.
DEMANDS: dict[type[Kind], list[Demand]] = {
    Approvals: [Approvals(1), Approvals(3)],
    Organisations: [Organisations(2)],
    Role: [Role("ethics", 2), Role("dpo", 1)],
    Veto: [Veto("ethics")],
    Independence: [Independence("owner")],
    Rationale: [],
    Lifetime: [Lifetime(86400), Lifetime(604801)],
    Uses: [Uses(1), Uses(4)],
    Notice: [Notice(60), Notice(86400)],
}
WHENS: dict[str, list[object]] = {
    name: [("job", "serve"), ("amend",), "any"] for name in ("actions", "purposes", "labels")
}


def test_every_field_of_a_rule_shows(world: Any) -> None:
    rule = world.constitution.rules[0]
    # One organisation fewer, so that one approval is no contradiction.
    rule = replace(world.varied(rule, Organisations(1)), title="x")
    said = [explain_rule(rule)]
    assert set(DEMANDS) == set(get_args(Demand))
    assert {f.name for f in fields(rule.when)} == set(WHENS)
    for kind, demands in DEMANDS.items():
        said += [explain_rule(world.varied(rule, demand)) for demand in demands]
        if not kind.NEEDED and kind in map(type, rule.demands):
            said.append(explain_rule(world.varied(rule, without=(kind,))))
    for name, values in WHENS.items():
        for value in values:
            said.append(explain_rule(replace(rule, when=replace(rule.when, **{name: value}))))
    said.append(explain_rule(replace(rule, id="other")))
    said.append(explain_rule(replace(rule, title="y")))
    assert len({tuple(lines) for lines in said}) == len(said)


def test_every_field_of_a_grant_shows(world: Any) -> None:
    grant = world.grant()
    policy = Evidence({"kinds": ["other"]}, grant.evidence.worker)
    values: dict[str, list[object]] = {
        "header": [replace(grant.header, charter="sha256:" + "c5" * 32)],
        "owner": ["lab"],
        "object": [world.descriptor("other"), world.descriptor(labels=("public",))],
        "purposes": ["any", ("training",)],
        "programs": ["any", (DIGEST,)],
        "parameters": [
            "any",
            {},
            {"epochs": Between(1, 11)},
            {"epochs": Exactly(1)},
            {"epochs": Exactly("1")},
        ],
        "recipients": ["any"],
        "combine_with": ["any", ("lab",)],
        "evidence": [policy, Evidence(grant.evidence.authority, {})],
        "witnesses": ["demanded"],
        "approvals": [(), ("chair-a",)],
        "privacy": ["none", Budget("3", "1e-6"), Budget("3", "1e-7"), Budget("2", "1e-6")],
        "uses": ["any", 1],
        "expires": [T0, 2**40],
        "recoverable": [True],
    }
    assert set(values) == {f.name for f in fields(grant)}
    said = [
        explain_grant(replace(grant, **{name: value}))
        for name, some in values.items()
        for value in some
    ]
    assert len({tuple(lines) for lines in [*said, explain_grant(grant)]}) == len(said) + 1


def _ours(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("| ")]


@pytest.mark.parametrize("text", ["Rule health is met.", "a\nb\n\nc", "| x", " \n"])
def test_no_free_text_passes_for_a_sentence_of_ours(world: Any, text: str) -> None:
    """Every line of it is marked, so what is left does not depend on it."""

    def explained(text: str) -> list[str]:
        return _ours(explain_proposal(world.proposal(reason=text), None))

    if text.strip():
        assert explained(text) == explained("plain")
    else:
        assert "The reason for the proposal: its author wrote nothing." in explained(text)
    assert all("\n" not in line for line in explained(text))


@pytest.mark.parametrize("text", ["Rule health is met.", "| x", ""])
def test_no_title_passes_for_a_sentence_of_ours(world: Any, text: str) -> None:
    """A title is one line, and stands apart."""

    def explained(text: str) -> list[list[str]]:
        rule = replace(world.constitution.rules[0], title=text)
        constitution = replace(world.constitution, name=text or "x", rules=(rule,))
        return [_ours(explain_rule(rule)), _ours(explain_constitution(constitution))]

    if text:
        assert explained(text) == explained("plain")
    else:
        assert "The title of rule health: its author wrote nothing." in explained(text)[0]
    assert all("\n" not in line for lines in explained(text) for line in lines)
