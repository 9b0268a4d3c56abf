# SPDX-License-Identifier: Apache-2.0
"""Federations drafted in TOML; `placet init` writes a commented template."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from placet.client.data.objects import SealedObject
from placet.client.drafts.toml import load_toml, nothing_left, take, take_action, take_window
from placet.client.errors import FileRefused
from placet.client.federations.adapters import SEGMENT_BYTES, is_statistic, layout_of_file
from placet.governance.codec import Json, from_plain, to_plain
from placet.governance.documents import Federate

_ACTION = "federate"
# What is taken over as it stands; the document says what each of them may be.
_TERMS = (
    "labels",
    "roster",
    "rounds",
    "smallest_cohort",
    "round_seconds",
    "clip",
    "largest_weight",
    "rate",
    "quarantine_rounds",
    "attempts",
    "deadline_seconds",
)


@dataclass(frozen=True, slots=True)
class FederationDraft:
    """What a federation file says: what a proposal is made from. Times are Unix seconds."""

    body: Federate
    purpose: str
    reason: str
    not_before: int
    not_after: int

    @property
    def uses(self) -> int:
        """One a round."""
        return self.body.rounds


def load_federation(path: Path, now: int) -> FederationDraft:
    """A federation from a TOML file, its window from `now` on unless the file names a start.

    Raises `FileRefused`, `SettingMissing` or `DocumentMalformed`, naming the field.
    """
    values = load_toml(path)
    take_action(values, path, _ACTION)
    not_before, not_after = take_window(values, path, now)
    purpose, reason = take(values, path, "purpose", str), take(values, path, "reason", str)
    noise = take(values, path, "noise", str)
    rule: Any = values.pop("rule", None)
    buffers: Json = take(values, path, "buffers", dict, {})
    plain: Json = {
        "model": _model(values, path),
        "layout": _layout(take(values, path, "layout", dict), path, buffers),
        "buffers": buffers,
        "noise": None if noise == "none" else noise,
        "rule": {"rule": rule} if isinstance(rule, str) else rule,
    }
    plain |= {name: values.pop(name) for name in _TERMS if name in values}
    nothing_left(values, path)
    body = from_plain(Federate, plain)
    _check_statistics(body, path)
    return FederationDraft(body, purpose, reason, not_before, not_after)


def _check_statistics(terms: Federate, path: Path) -> None:
    """Noise on running variances makes some of them negative: the author says what is meant. Raises
    `FileRefused`."""
    names = [tensor.name for tensor in terms.layout.tensors if is_statistic(tensor.name)]
    unruled = [name for name in names if name not in terms.buffers]
    if terms.noise is None or not unruled:
        return
    raise FileRefused(
        f"In {path} {unruled[0]!r} would get noise like a weight, and a variance below zero breaks "
        "a model. Give each such array a rule in the table [buffers]: "
        f'"{unruled[0]}" = "home" (each client keeps its own), "keep" (the model\'s stays), '
        '"mean-without-noise" (no epsilon covers it) or "mean".',
        claim="buffers",
        expected="a rule for each",
        actual=", ".join(unruled[:20]),
    )


def _model(values: Json, path: Path) -> Json | None:
    if "model" not in values:
        return None
    table = take(values, path, "model", dict)
    sealed = SealedObject.load(path.parent / take(table, path, "object", str))
    return {"object": sealed.descriptor.to_dict(), **table}


def _layout(table: Json, path: Path, buffers: Json) -> Json:
    """The arrays as they are listed, or as a model's file has them, without what stays at home."""
    encoding = take(table, path, "encoding", str)
    segment_bytes = take(table, path, "segment_bytes", int, SEGMENT_BYTES)
    if ("like" in table) == ("tensors" in table):
        raise FileRefused(
            f"In {path} the layout takes either like, a .safetensors or .npz file, or tensors.",
            claim="layout",
        )
    if "like" in table:
        like = layout_of_file(path.parent / take(table, path, "like", str))
        tensors = cast("list[Json]", to_plain(like)["tensors"])
        names = {tensor["name"] for tensor in tensors}
        home = {name for name, rule in buffers.items() if rule == "home"}
        if not home <= names:
            raise FileRefused(
                f"In {path} the rule home is for {min(home - names)!r}, and the model has no "
                "such array. Compare the names.",
                claim="buffers",
            )
        tensors = [tensor for tensor in tensors if tensor["name"] not in home]
    else:
        tensors = take(table, path, "tensors", list)
    nothing_left(table, path)
    return {"tensors": tensors, "encoding": encoding, "segment_bytes": segment_bytes}
