# SPDX-License-Identifier: Apache-2.0
"""What is counted while it happens. What can be read at any time is in `readings.py`.

Labels have values of a bounded number: methods, roles, codes, reasons, states. No name, digest or
content of anybody's data is among them.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import grpc.aio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from placet.host.callers.caller import current
from placet.host.calls.refusals import code_name, reason_in
from placet.host.store.job_table import JobRecord
from placet.proto.refusals import reason_name
from placet.proto.v1 import common_pb2, runs_pb2

Context = grpc.aio.ServicerContext[Any, Any]
_BUCKETS = (0.005, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0)
UNSAID = "UNSAID"


class Metrics:
    """The metrics of one host. A process may run several, so each has a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._calls = Counter(
            "placet_calls", "Calls that ended", ("method", "role", "code"), registry=registry
        )
        self._seconds = Histogram(
            "placet_call_seconds",
            "How long calls took, streams to their end",
            ("method", "role"),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._open = Gauge("placet_calls_open", "Calls under way", ("method",), registry=registry)
        self._refusals = Counter(
            "placet_refusals", "Calls refused", ("method", "reason"), registry=registry
        )
        self._jobs = Counter(
            "placet_jobs_ended", "Jobs that ended", ("state", "reason"), registry=registry
        )
        self._ends = Counter(
            "placet_enclave_ends", "Enclaves that ended", ("enclave", "reason"), registry=registry
        )

    @contextmanager
    def call(self, method: str, context: Context) -> Generator[None, None, None]:
        """A call is under way; however it leaves, it is counted."""
        began, open_calls = time.perf_counter(), self._open.labels(method)
        open_calls.inc()
        error: BaseException | None = None
        try:
            yield
        except BaseException as left:
            error = left
            raise
        finally:
            open_calls.dec()
            role, code = current().role.value, code_name(context, error)
            self._calls.labels(method, role, code).inc()
            self._seconds.labels(method, role).observe(time.perf_counter() - began)
            if reason := reason_in(context):
                self._refusals.labels(method, reason).inc()

    def job_ended(self, record: JobRecord) -> None:
        """A job's end is durable."""
        state = runs_pb2.RunState.Name(record.state).removeprefix("RUN_STATE_")
        reason = ""
        if record.refusal:
            reason = reason_name(common_pb2.Refusal.FromString(record.refusal).reason)
        self._jobs.labels(state, reason).inc()

    def enclave_ended(self, enclave: str, why: common_pb2.Refusal | None, code: int | None) -> None:
        """An enclave has ended with this exit code; None where it was never started."""
        if why is not None:
            reason = reason_name(why.reason)
        else:
            reason = {0: "DONE", None: "NOT_STARTED"}.get(code, UNSAID)
        self._ends.labels(enclave, reason).inc()
