# SPDX-License-Identifier: Apache-2.0
"""The dashboard and the alerts ask for metrics and labels that a host has, and each alert has its
section in docs/operations.md."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

ROOT = Path(__file__).resolve().parents[4]
FOLDER = ROOT / "deploy" / "monitoring"
NAME = re.compile(r"\b(?:placet|process)_[a-z_]+\b")
SELECTOR = re.compile(r"\b((?:placet|process)_[a-z_]+)\{([^}]*)\}")
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
# What Prometheus itself puts on every sample.
GIVEN = {"job", "instance"}


def alerts() -> list[dict[str, Any]]:
    loaded = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
    return found


def expressions() -> list[str]:
    shown = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    return [*shown, *(str(rule["expr"]) for rule in alerts())]


def names_in(registry: CollectorRegistry) -> set[str]:
    return {
        family.name + suffix for family in registry.collect() for suffix in SUFFIXES[family.type]
    }


def labels_in(host: Any) -> dict[str, set[str]]:
    """The labels that samples have, as far as a fresh host has samples."""
    found: dict[str, set[str]] = {}
    for family in host._metrics.registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_metric_that_is_asked_for_is_there(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (host, client):
            await client.run(world.ticket("release"))
            registry, labels = host._metrics.registry, labels_in(host)
            for expression in expressions():
                asked = set(NAME.findall(expression))
                assert asked, expression
                assert asked <= names_in(registry), expression
                for name, selected in SELECTOR.findall(expression):
                    chosen = set(re.findall(r"(\w+)(?:=~|!~|!=|=)", selected)) - GIVEN
                    assert name not in labels or chosen <= labels[name], expression

    run(body())


def test_all_that_a_host_counts_is_on_the_dashboard(world: Any, run: Any) -> None:
    shown = set(NAME.findall(json.dumps(dashboard())))

    async def body() -> None:
        async with world.host() as (host, _):
            for family in host._metrics.registry.collect():
                if family.name.startswith("placet_"):
                    assert {family.name + s for s in SUFFIXES[family.type]} & shown, family.name

    run(body())


def test_limits_that_are_compared_are_limits(world: Any, run: Any) -> None:
    asked = {name for e in expressions() for name in re.findall(r'limit="(\w+)"', e)}

    async def body() -> None:
        async with world.host() as (host, _):
            families = {family.name: family for family in host._metrics.registry.collect()}
            limits = {sample.labels["limit"] for sample in families["placet_limit"].samples}
            assert asked
            assert asked <= limits

    run(body())


def test_each_alert_has_its_section() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    sections = set(re.findall(r"^#### (Placet\w+)$", page, re.MULTILINE))
    named = [rule["alert"] for rule in alerts()]
    assert len(named) == len(set(named))
    assert set(named) == sections
    for rule in alerts():
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("page", "warn")
        assert rule["annotations"]["summary"].endswith(".")


def test_expressions_are_balanced() -> None:
    for expression in expressions():
        for left, right in ("()", "[]", "{}"):
            assert expression.count(left) == expression.count(right), expression
        assert expression.count('"') % 2 == 0


def test_panels_lie_side_by_side() -> None:
    places = [tuple(panel["gridPos"].values()) for panel in dashboard()["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(places)


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_has_no_other_fields(rule: dict[str, Any]) -> None:
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"[0-9]+[smhd]", str(rule.get("for", "1m")))
