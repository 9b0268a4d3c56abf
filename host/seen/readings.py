# SPDX-License-Identifier: Apache-2.0
"""What is read when metrics are scraped: nothing here is counted, and all of it is as it is now."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from placet.governance.log import Checkpoint, SignedNote
from placet.host.blobs.room import Room
from placet.host.config import LIMITS, SPACE, HostConfig
from placet.host.enclaves.authority import AuthorityLine
from placet.host.log.log import Log
from placet.host.placement.tickets import Tickets
from placet.host.placement.worker import Phase
from placet.host.placement.workers import Workers
from placet.host.runs.board import Board
from placet.host.runs.runs import RUNS, Runs
from placet.host.seen.calls import RELEASE
from placet.host.seen.health import CONDITIONS
from placet.host.seen.space import KINDS, Space
from placet.host.store.job_table import ACTIVE, QUEUED
from placet.proto.v1 import runs_pb2

OWNERS = 5  # that take most: by rank, never by name


@dataclass(frozen=True, slots=True)
class Sources:
    """The parts of the host that are read. `certificate` gives it in PEM, `space` as it was
    measured last, `matters` what is not ready."""

    config: HostConfig
    log: Log
    board: Board
    runs: Runs
    line: AuthorityLine
    workers: Workers
    tickets: Tickets
    room: Room
    certificate: Callable[[], bytes]
    space: Callable[[], Space]
    matters: Callable[[], Mapping[str, str]]


class Readings(Collector):
    """Registered once, and asked with every scrape."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for read in (_host, _work, _enclaves, _log, _space, _ages):
            yield from read(self._sources)


def _host(of: Sources) -> Iterator[GaugeMetricFamily]:
    yield _by("placet_build_info", "The release of the host", "release", {RELEASE: 1})
    bounds = {name: float(getattr(of.config, name)) for name in ("max_workers", *LIMITS, *SPACE)}
    yield _by("placet_limit", "Bounds that the operator set", "limit", bounds)
    matters = of.matters()
    well = {name: float(name not in matters) for name in CONDITIONS}
    yield _by("placet_ready", "1 where nothing is the matter", "what", well)


def _work(of: Sources) -> Iterator[GaugeMetricFamily]:
    states = Counter(record.state for record in of.board.active)
    names = {state: runs_pb2.RunState.Name(state).removeprefix("RUN_STATE_") for state in ACTIVE}
    jobs = {names[state].lower(): states[state] for state in ACTIVE}
    yield _by("placet_jobs", "Jobs that have not ended", "state", jobs)
    waiting = [record.changed_ms for record in of.board.active if record.state == QUEUED]
    oldest = time.time() - min(waiting) / 1000 if waiting else 0.0
    yield _one("placet_queue_age_seconds", "How long the oldest of them has waited", oldest)
    runs: dict[str, float] = {
        action: of.runs.count(kind) for action, kind in RUNS.items() if action != "job"
    }
    yield _by("placet_runs", "Federations and services under way", "action", runs)
    leases = of.log.state.open_leases.values()
    yield _one("placet_leases_open", "Leases that are open", len(leases))
    now = time.time()
    age = max((now - lease.started for lease in leases), default=0)
    yield _one("placet_lease_age_seconds", "How old the oldest open lease is", age)
    over = max((now - lease.deadline for lease in leases), default=0)
    what = "How long the open lease that ended first has been over"
    yield _one("placet_lease_overdue_seconds", what, max(over, 0.0))


def _enclaves(of: Sources) -> Iterator[GaugeMetricFamily]:
    found = Counter(worker.phase for worker in of.workers.all)
    phases = {phase.name.lower(): found[phase] for phase in Phase}
    yield _by("placet_workers", "Workers; those that are ready are spares", "phase", phases)
    wanted = sum(of.tickets.spares(time.time()).values())
    yield _one("placet_spares_wanted", "Spares that tickets are worth", wanted)
    yield _one("placet_authority_attached", "1 while an authority is", of.line.attached)
    yield _by("placet_line_open", "Requests to the authority", "lane", of.line.open)


def _log(of: Sources) -> Iterator[GaugeMetricFamily]:
    note, size = of.log.checkpoint, of.log.state.size
    covered = Checkpoint.from_text(SignedNote.from_bytes(note).text).size if note else 0
    yield _one("placet_log_entries", "Entries of the log", size)
    yield _one("placet_checkpoint_lag_entries", "Entries no checkpoint covers yet", size - covered)


def _space(of: Sources) -> Iterator[GaugeMetricFamily]:
    space = of.space()
    kinds = {kind: space.kinds.get(kind, 0) for kind in KINDS}
    yield _by("placet_space_bytes", "Bytes on the disk", "what", kinds)
    most = sorted(space.owners.values(), reverse=True)[:OWNERS]
    ranks = {str(rank): size for rank, size in enumerate(most, start=1)}
    yield _by("placet_space_owner_bytes", "Blobs of the owners that have most", "rank", ranks)
    yield _one("placet_disk_free_bytes", "Bytes that the disk has left", of.room.free)
    yield _one("placet_space_announced_bytes", "Of running puts, to come", of.room.announced)


def _ages(of: Sources) -> Iterator[GaugeMetricFamily]:
    certificate = x509.load_pem_x509_certificate(of.certificate())
    now = time.time()
    age = now - certificate.not_valid_before_utc.timestamp()
    yield _one("placet_certificate_age_seconds", "Since the certificate was made", age)
    left = certificate.not_valid_after_utc.timestamp() - now
    yield _one("placet_certificate_left_seconds", "Until the certificate ends", left)
    ages = {"keys": of.line.age} if of.line.attached else {}
    if (collateral := _modified(of.config.collateral)) is not None:
        ages["collateral"] = now - collateral
    what = "How old the keys are that evidence names, and the collateral that completes it"
    yield _by("placet_evidence_age_seconds", what, "part", ages)


def _modified(path: Path | None) -> float | None:
    try:
        return None if path is None else path.stat().st_mtime
    except OSError:
        return None


def _one(name: str, what: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, what, value=float(value))


def _by(name: str, what: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, what, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), float(value))
    return family
