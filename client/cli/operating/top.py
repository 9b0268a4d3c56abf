# SPDX-License-Identifier: Apache-2.0
"""top: a host's runs, queue and enclaves as its operator sees them, live on a terminal."""

import sys
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from placet.client.cli._frame import AsJSON, command, show
from placet.client.cli.operating._scrape import Scrape, scrape
from placet.governance.text import shown

app = typer.Typer()
_MOST = 10
_GIB = 1024**3
Figures = Mapping[str, Any]


@command(app)
def top(
    metrics: Annotated[
        str, typer.Option(help="Where the host serves its metrics: what `--metrics` was.")
    ] = "127.0.0.1:7434",
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    as_json: AsJSON = False,
) -> None:
    """Show a host's runs, queue, enclaves, calls and disk; live on a terminal, else once."""
    found = figures(scrape(metrics))
    if as_json or not sys.stdout.isatty():
        show(found, as_json, lambda console: console.print(_drawn(found, {}, 0.0)))
        return
    try:
        _live(metrics, interval, found)
    except KeyboardInterrupt:
        return


def _live(metrics: str, interval: float, found: Figures) -> None:
    with Live(_drawn(found, {}, 0.0), console=Console(highlight=False), screen=True) as live:
        while True:
            time.sleep(interval)
            before, found = found, figures(scrape(metrics))
            live.update(_drawn(found, before, interval), refresh=True)


def figures(of: Scrape) -> Figures:
    """What is shown, in plain values."""
    return {
        "release": next(iter(of.by("placet_build_info", "release")), ""),
        "ready": {name: bool(value) for name, value in of.by("placet_ready", "what").items()},
        "limits": of.by("placet_limit", "limit"),
        "jobs": of.by("placet_jobs", "state"),
        "runs": of.by("placet_runs", "action"),
        "queue_age": of.one("placet_queue_age_seconds"),
        "leases": of.one("placet_leases_open"),
        "lease_age": of.one("placet_lease_age_seconds"),
        "workers": of.by("placet_workers", "phase"),
        "spares_wanted": of.one("placet_spares_wanted"),
        "authority": bool(of.one("placet_authority_attached")),
        "line": of.by("placet_line_open", "lane"),
        "entries": of.one("placet_log_entries"),
        "uncovered": of.one("placet_checkpoint_lag_entries"),
        "space": of.by("placet_space_bytes", "what"),
        "free": of.one("placet_disk_free_bytes"),
        "certificate_left": of.one("placet_certificate_left_seconds"),
        "memory": of.one("process_resident_memory_bytes"),
        "open": of.by("placet_calls_open", "method"),
        "calls": of.by("placet_calls_total", "method"),
        "refusals": of.by("placet_refusals_total", "reason"),
        "jobs_ended": of.by("placet_jobs_ended_total", "state", "reason"),
        "enclaves_ended": of.by("placet_enclave_ends_total", "enclave", "reason"),
    }


def _drawn(found: Figures, before: Figures, seconds: float) -> Group:
    ends = {f"job {name}": value for name, value in found["jobs_ended"].items()}
    ends |= {f"enclave {name}": value for name, value in found["enclaves_ended"].items()}
    return Group(
        _pairs(_state(found)),
        Text(),
        _counts("calls", found["calls"], before.get("calls", {}), seconds, found["open"]),
        Text(),
        _counts("refused", found["refusals"], before.get("refusals", {}), seconds),
        Text(),
        _counts("ended", ends, {}, 0.0),
    )


def _state(of: Figures) -> list[tuple[str, str]]:
    limits, ailing = of["limits"], [name for name, well in of["ready"].items() if not well]
    space = ", ".join(f"{name} {size / _GIB:.2f}" for name, size in of["space"].items())
    return [
        ("release", of["release"]),
        ("ready", f"NO: {', '.join(ailing)}" if ailing else "yes"),
        ("authority", f"{'attached' if of['authority'] else 'AWAY'}; asked: {_all(of['line'])}"),
        ("jobs", f"{_all(of['jobs'])} (at most {limits.get('max_queue', 0):.0f} wait)"),
        ("queue", f"the oldest has waited for {of['queue_age']:.0f} s"),
        ("runs", _all(of["runs"])),
        ("leases", f"{of['leases']:.0f} open, the oldest for {of['lease_age']:.0f} s"),
        ("workers", f"{_all(of['workers'])} (at most {limits.get('max_workers', 0):.0f})"),
        ("spares", f"{of['workers'].get('ready', 0):.0f} of {of['spares_wanted']:.0f} wanted"),
        ("log", f"{of['entries']:.0f} entries, {of['uncovered']:.0f} not covered"),
        ("disk, GiB", f"{space}; free {of['free'] / _GIB:.2f}"),
        ("memory, GiB", f"{of['memory'] / _GIB:.2f}"),
        ("certificate", f"{of['certificate_left'] / 86_400:.0f} days left"),
    ]


def _all(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.0f}" for name, value in values.items()) or "none"


def _pairs(rows: list[tuple[str, str]]) -> Table:
    drawn = Table(box=None, pad_edge=False, show_header=False)
    for name, value in rows:
        drawn.add_row(Text(name), Text(shown(value)))
    return drawn


def _counts(
    title: str,
    counts: Mapping[str, float],
    before: Mapping[str, float],
    seconds: float,
    open_now: Mapping[str, float] | None = None,
) -> Table:
    """The largest counts; with what was counted before, also how many a second."""
    drawn = Table(title, "in all", "a second", *(["open"] if open_now is not None else []))
    drawn.box, drawn.pad_edge = None, False
    rates = {n: (v - before.get(n, 0.0)) / seconds if seconds else 0.0 for n, v in counts.items()}
    for name in sorted(counts, key=lambda each: (-rates[each], -counts[each]))[:_MOST]:
        rate = f"{rates[name]:.1f}" if seconds else ""
        row = [shown(name), f"{counts[name]:.0f}", rate]
        if open_now is not None:
            row.append(f"{open_now.get(name, 0):.0f}")
        drawn.add_row(*map(Text, row))
    return drawn
