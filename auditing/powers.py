# SPDX-License-Identifier: Apache-2.0
"""Who can do what alone under a constitution, and what of it another one changes.

A case is an action, purposes, and data with one label or none. Purposes and labels that no rule of
either constitution tells apart are one, so cases stay few. Data with several labels are under the
rules of all of them.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import get_args

from placet.governance.documents import Constitution, Rule
from placet.governance.documents.rule import Action
from placet.governance.rules import Approvals, Organisations, Role
from placet.governance.sentences import count

_OTHER = ""  # any purpose that neither constitution names; and no label at all


@dataclass(frozen=True, slots=True)
class Cases:
    """Purposes and labels in classes, each a sorted tuple."""

    purposes: tuple[tuple[str, ...], ...]
    labels: tuple[tuple[str, ...], ...]


Case = tuple[Action, tuple[str, ...], tuple[str, ...]]


def explain_powers(old: Constitution, new: Constitution) -> list[str]:
    """What the new one changes in who alone can let something through, or stop it, and in how many
    it takes."""
    cases = _cases(old, new)
    every = list(_every(cases))
    # The loss of what is refused altogether is said once.
    kept = [case for case in every if _rules(new, case)]
    return [
        *_gained(_alone, old, new, every, cases, "{} alone can now let through {}."),
        *_gained(_alone, new, old, kept, cases, "{} alone can no longer let through {}."),
        *_gained(_vetoes, new, old, kept, cases, "The veto of the role {} no longer covers {}."),
        *_gained(_vetoes, old, new, every, cases, "The veto of the role {} now covers {}."),
        *_gained(_shut, old, new, every, cases, "No proposal is let through any more for {1}."),
        *_gained(
            _shut, new, old, every, cases, "Proposals may now be let through for {1}; none could."
        ),
        *_taken(old, new, every, cases),
    ]


def _rules(constitution: Constitution, case: Case) -> list[Rule]:
    action, purposes, labels = case
    data = set(labels) - {_OTHER}
    if not data <= set(constitution.labels):
        return []
    return [r for r in constitution.rules if r.when.applies(action, purposes[0], data)]


def _alone(constitution: Constitution, case: Case) -> set[str]:
    """Organisations whose own seats are enough, where all of their approvals count."""
    rules = _rules(constitution, case)
    if not rules:
        return set()
    found: set[str] = set()
    for organisation in {seat.organisation for seat in constitution.seats}:
        roles = Counter(s.role for s in constitution.seats if s.organisation == organisation)
        if all(_enough(rule, roles) for rule in rules):
            found.add(organisation)
    return found


def _enough(rule: Rule, roles: Counter[str]) -> bool:
    for demand in rule.demands:
        if isinstance(demand, Approvals) and roles.total() < demand.at_least:
            return False
        if isinstance(demand, Organisations) and demand.at_least > 1:
            return False
        if isinstance(demand, Role) and roles[demand.role] < demand.at_least:
            return False
    return True


def _vetoes(constitution: Constitution, case: Case) -> set[str]:
    return {role for rule in _rules(constitution, case) for role in rule.veto_roles}


def _shut(constitution: Constitution, case: Case) -> set[str]:
    return set() if _rules(constitution, case) else {"nobody"}


def _gained(
    power: Callable[[Constitution, Case], set[str]],
    before: Constitution,
    after: Constitution,
    every: list[Case],
    cases: Cases,
    sentence: str,
) -> list[str]:
    """A sentence for each power that is there after and was not before."""
    found: defaultdict[str, set[Case]] = defaultdict(set)
    for case in every:
        for name in power(after, case) - power(before, case):
            found[name].add(case)
    return [
        sentence.format(name, text)
        for name in sorted(found)
        for text in _described(found[name], cases)
    ]


def _taken(old: Constitution, new: Constitution, every: list[Case], cases: Cases) -> list[str]:
    found: defaultdict[tuple[tuple[int, int], tuple[int, int]], set[Case]] = defaultdict(set)
    for case in every:
        before, after = _takes(old, case), _takes(new, case)
        if before and after and before != after:
            found[before, after].add(case)
    return [
        f"It takes {_many(*after)} to let through {text}; it took {_many(*before)}."
        for (before, after), those in sorted(found.items())
        for text in _described(those, cases)
    ]


def _takes(constitution: Constitution, case: Case) -> tuple[int, int] | None:
    """The seats and organisations that all rules together take at least."""
    demands = [demand for rule in _rules(constitution, case) for demand in rule.demands]
    if not demands:
        return None
    seats = max(d.at_least for d in demands if isinstance(d, Approvals))
    return seats, max(d.at_least for d in demands if isinstance(d, Organisations))


def _many(seats: int, organisations: int) -> str:
    return f"{count(seats, 'seat')} of {count(organisations, 'organisation')}"


def _cases(old: Constitution, new: Constitution) -> Cases:
    both = (old, new)
    rules = [rule for constitution in both for rule in constitution.rules]
    purposes = {_OTHER, *(p for r in rules if r.when.purposes != "any" for p in r.when.purposes)}
    labels = {_OTHER, *old.labels, *new.labels}

    def as_purpose(name: str) -> tuple[bool, ...]:
        return tuple(r.when.purposes == "any" or name in r.when.purposes for r in rules)

    def as_label(name: str) -> tuple[bool, ...]:
        told = (r.when.labels == "any" or name in r.when.labels for r in rules)
        return (not name, *(name in one.labels for one in both), *told)

    return Cases(_classes(purposes, as_purpose), _classes(labels, as_label))


def _classes(
    names: Iterable[str], told_by: Callable[[str], tuple[bool, ...]]
) -> tuple[tuple[str, ...], ...]:
    found: defaultdict[tuple[bool, ...], list[str]] = defaultdict(list)
    for name in sorted(names):
        found[told_by(name)].append(name)
    return tuple(tuple(one) for one in found.values())


def _every(cases: Cases) -> Iterable[Case]:
    """An amendment touches no data, so it has no label."""
    for action in get_args(Action):
        for purposes in cases.purposes:
            for labels in cases.labels:
                if action != "amend" or labels == (_OTHER,):
                    yield action, purposes, labels


def _described(found: set[Case], cases: Cases) -> list[str]:
    """Cases in as few phrases as their parts allow."""
    by_labels: defaultdict[tuple[str, tuple[str, ...]], set[str]] = defaultdict(set)
    for case in found:
        by_labels[case[0], case[1]] |= set(case[2])
    by_purposes: defaultdict[tuple[str, frozenset[str]], set[str]] = defaultdict(set)
    for (action, some), labels in by_labels.items():
        by_purposes[action, frozenset(labels)] |= set(some)
    by_actions: defaultdict[tuple[frozenset[str], frozenset[str]], set[str]] = defaultdict(set)
    for (action, those_labels), purposes in by_purposes.items():
        by_actions[frozenset(purposes), those_labels].add(action)
    return sorted(_phrase(actions, *those, cases) for those, actions in by_actions.items())


def _all(classes: Iterable[tuple[str, ...]]) -> frozenset[str]:
    return frozenset(name for one in classes for name in one)


def _phrase(
    actions: set[str], purposes: frozenset[str], labels: frozenset[str], cases: Cases
) -> str:
    named = sorted(purposes - {_OTHER})
    which = f"the purpose {' or '.join(named)}" if named else ""
    if _OTHER in purposes:
        every = purposes == _all(cases.purposes)
        which = "any purpose" if every else " or ".join(filter(None, [which, "any other purpose"]))
    text = f"the action {' or '.join(sorted(actions))} for {which}"
    if actions == {"amend"}:
        return text
    if labels == _all(cases.labels):
        return f"{text} on any data"
    with_labels = f"with the label {' or '.join(sorted(labels - {_OTHER}))}"
    parts = [with_labels] * bool(labels - {_OTHER}) + ["without a label"] * (_OTHER in labels)
    return f"{text} on data {' or '.join(parts)}"
