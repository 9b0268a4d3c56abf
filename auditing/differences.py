# SPDX-License-Identifier: Apache-2.0
"""The difference of two constitutions in sentences, made from the objects that are judged by."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from placet.auditing.explain import explain_rule
from placet.governance.codec import Json
from placet.governance.documents import Constitution, Party, Rule, Seat
from placet.governance.sentences import listed, time_text
from placet.governance.text import plain, quoted

T = TypeVar("T")


def explain_differences(old: Constitution, new: Constitution) -> list[str]:
    """Everything in which the new one differs; nothing but its version and nonce where there is no
    difference."""
    return [
        *_changed("The name of the constitution", quoted(old.name), quoted(new.name)),
        *_organisations(old, new),
        *_each(old.principals, new.principals, _principal),
        *_set("The label", old.labels, new.labels, "may be carried by data"),
        *_each(old.rules, new.rules, _rule),
        *_policy("authority", old.evidence.authority, new.evidence.authority),
        *_policy("worker", old.evidence.worker, new.evidence.worker),
        *(
            line
            for field in fields(old.limits)
            for line in _changed(
                f"The limit {field.name}",
                str(getattr(old.limits, field.name)),
                str(getattr(new.limits, field.name)),
            )
        ),
        *_changed("The word on witnesses", old.witnesses, new.witnesses),
        *_changed("The word on recovery", old.recovery, new.recovery),
    ]


def _changed(what: str, old: str, new: str) -> list[str]:
    return [] if old == new else [f"{what} was {old}, and is {new}."]


def _set(what: str, old: Iterable[str], new: Iterable[str], verb: str) -> list[str]:
    before, after = set(old), set(new)
    return [
        *(f"{what} {one} now {verb}." for one in sorted(after - before)),
        *(f"{what} {one} no longer {verb}." for one in sorted(before - after)),
    ]


def _organisations(old: Constitution, new: Constitution) -> list[str]:
    before = {one.id: one.name for one in old.organisations}
    after = {one.id: one.name for one in new.organisations}
    lines = _set("The organisation", before, after, "belongs to the council")
    for id in sorted(before.keys() & after.keys()):
        what = f"The name of the organisation {id}"
        lines += _changed(what, quoted(before[id]), quoted(after[id]))
    return lines


def _each(
    old: Sequence[Any], new: Sequence[Any], tell: Callable[[Any, Any], list[str]]
) -> list[str]:
    """The sentences on each thing that has an id, in the order of the ids."""
    before, after = {one.id: one for one in old}, {one.id: one for one in new}
    return [
        line
        for id in sorted(before.keys() | after.keys())
        if before.get(id) != after.get(id)
        for line in tell(before.get(id), after.get(id))
    ]


def _principal(old: Seat | Party | None, new: Seat | Party | None) -> list[str]:
    if old is None or new is None:
        one = new or old
        assert one is not None
        role = f" in the role {one.role}" if isinstance(one, Seat) else ""
        is_now = "is new" if old is None else "is gone"
        return [f"{_called(one)} of {one.organisation}{role} {is_now}."]
    called = _called(new)
    if type(old) is not type(new):
        return [f"{called} was {'a seat' if isinstance(old, Seat) else 'no seat'} before."]
    of = f"of t{called[1:]}"
    lines = _changed(f"The organisation {of}", old.organisation, new.organisation)
    lines += _set(
        f"{called} with the key",
        (key.text for key in old.keys),
        (key.text for key in new.keys),
        "signs",
    )
    if isinstance(old, Seat) and isinstance(new, Seat):
        lines += _changed(f"The role {of}", old.role, new.role)
        lines += _changed(f"The term {of}", _term(old), _term(new))
    return lines


def _called(one: Seat | Party) -> str:
    return f"The {'seat' if isinstance(one, Seat) else 'party'} {one.id}"


def _term(seat: Seat) -> str:
    return f"from {time_text(seat.term_start)} to {time_text(seat.term_end)}"


def _rule(old: Rule | None, new: Rule | None) -> list[str]:
    if old is None or new is None:
        if new is None:
            assert old is not None
            return [f"Rule {old.id} is gone. It had said:", *explain_rule(old)]
        return [f"Rule {new.id} is new:", *explain_rule(new)]
    lines = _changed(f"The title of rule {new.id}", quoted(old.title), quoted(new.title))
    for name in ("actions", "purposes", "labels"):
        before, after = getattr(old.when, name), getattr(new.when, name)
        lines += _changed(f"Rule {new.id} applies to {name}: it", _some(before), _some(after))
    gone = [demand for demand in old.demands if demand not in new.demands]
    come = [demand for demand in new.demands if demand not in old.demands]
    lines += [f"Rule {new.id} no longer says: {demand.sentence()}" for demand in gone]
    return lines + [f"Rule {new.id} says now: {demand.sentence()}" for demand in come]


def _some(values: Iterable[str]) -> str:
    return "any" if values == "any" else listed(values)


def _policy(role: str, old: Json, new: Json) -> list[str]:
    return [
        line
        for name in sorted(old.keys() | new.keys())
        for line in _changed(
            f"The evidence of the {role}: {plain(name)}", _stated(old, name), _stated(new, name)
        )
    ]


def _stated(policy: Json, name: str) -> str:
    return plain(policy[name]) if name in policy else "not stated"
