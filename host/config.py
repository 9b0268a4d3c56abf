# SPDX-License-Identifier: Apache-2.0
"""What an operator decides about a host; every bound is here or in `placet.proto.limits`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from placet.host.logs import FORMATS

KIB = 1024
MIB = 1024**2
GIB = 1024**3
LAUNCHERS = ("native", "machine", "gramine-direct", "gramine-sgx")
# Bounds that an operator may set, each a flag of the same name, and what it bounds.
LIMITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "max_queue": "jobs that wait for a worker",
        "max_watchers": "calls that watch",
        "max_federations": "federations that run at once",
        "max_services": "services that are served at once",
        "max_calls": "calls open at once; a caller has at most a quarter of them",
        "max_connections": "connections at once",
        "max_unread": "bytes of a call that have come in and that nobody has asked for",
        "max_memory": "bytes of memory beyond which calls are refused, strangers' at 4/5 of them",
        "stranger_rate": "calls of a sort that an address may make a second without a login",
        "max_puts": "puts at once; each holds two parts in memory",
        "max_puts_waiting": "puts that wait until a place is free",
        "max_blob": "bytes of a blob",
        "max_line": "requests of a sort that are with the authority or wait for it",
        "max_log": "bytes of a file of the host's log, of which four are kept",
        "max_logs": "logs of workers that are kept over a start",
    }
)
# What blobs take of the disk, and for how long; none is negative.
SPACE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "min_free": "bytes of the disk that blobs leave to the store and the logs",
        "put_wait_seconds": "seconds that a put waits until a place is free",
        "put_idle_seconds": "seconds without bytes after which a put is ended",
        "keep_broken_seconds": "seconds that what a broken-off put left is kept",
        "keep_updates_seconds": "seconds that the stream of an update is kept, its round over",
        "collect_seconds": "seconds between two looks for what has been kept so long",
    }
)
# How patient a host is.
PATIENCE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "hang_seconds": "seconds without an answer after which authority or store count as hanging",
        "drain_seconds": "seconds that calls may take to finish once the host ends",
    }
)
WORKERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "max_workers": "workers at once",
        "spares": "warm workers a program",
        "max_programs": "programs that spares are kept for",
    }
)
CLOCKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "renew_days": "days before its end at which a certificate is renewed",
        "max_clock_jump": "seconds that the clock may be ahead of the time that passes, to 600",
    }
)
# Every bound that is a number. The settings that are none have their flags in __main__.py.
NUMBERS: Final[Mapping[str, str]] = MappingProxyType(
    {**WORKERS, **LIMITS, **SPACE, **PATIENCE, **CLOCKS}
)
_LOOPBACK = re.compile(r"(\[::1\]|localhost|127(\.[0-9]{1,3}){3}):[0-9]{1,5}")
_MAX_RENEW_DAYS = 365  # far less than a certificate lasts
_MAX_UNREAD = 64 * MIB
_MAX_JUMP = 600  # which the authority refuses by itself
_LISTEN = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}")
DEFAULT_ORIGIN = "placet.local/log"
_ORIGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9./_-]{0,253}")


@dataclass(frozen=True, slots=True)
class HostConfig:
    """Settings of one host.

    `state` is the folder of everything the host keeps. `cpu` holds the secret that stands for the
    CPU's in simulation and must lie outside `state`: whoever copies the state must not copy the
    CPU. `launcher` is one of LAUNCHERS (`enclaves/launchers.py` says what each is). `enclave` is
    the build that is run (`make enclave`); None, in simulation: what is installed here, a
    development build. `manifests` is the folder of Gramine's, `collateral` the file that hardware
    evidence takes. `listen` is "address:port", port 0 for any. `names` are further DNS names of the
    certificate. `certificate` and `key` are files of the operator's own, shown to callers instead.
    `client_ca` are CAs (PEM), one of which has to vouch for a certificate of each caller's.
    `renew_days` are left of a certificate when another one is made. `max_clock_jump` are seconds by
    which the clock may be ahead of the time that passes; `accept_clock` takes it as it is.
    `metrics` is where they are scraped, "address:port" or empty for nowhere: loopback, unless
    `metrics_anywhere`. `log_http` is where the log is published in plain HTTP, to anybody; empty
    for nowhere. Raises ValueError.
    """

    state: Path
    cpu: Path
    origin: str = ""
    listen: str = "127.0.0.1:0"
    names: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    renew_days: int = 90
    max_clock_jump: float = 600.0
    accept_clock: bool = False
    enclave: Path | None = None
    launcher: str = "native"
    manifests: Path | None = None
    collateral: Path | None = None
    max_workers: int = 4
    spares: int = 1  # warm workers a program
    max_programs: int = 4  # programs that spares are kept for
    max_queue: int = 256  # this one and those that follow: see LIMITS
    max_watchers: int = 768
    max_federations: int = 64
    max_services: int = 64
    max_calls: int = 1024
    max_connections: int = 4096
    max_unread: int = 64 * KIB
    max_memory: int = 2 * GIB
    stranger_rate: int = 50
    max_puts: int = 16
    max_puts_waiting: int = 256
    max_blob: int = 64 * GIB
    max_line: int = 512
    max_log: int = 16 * MIB
    max_logs: int = 64
    min_free: int = 256 * MIB  # this one and those that follow: see SPACE
    put_wait_seconds: float = 600.0
    put_idle_seconds: float = 30.0
    keep_broken_seconds: float = 86_400.0
    keep_updates_seconds: float = 86_400.0
    collect_seconds: float = 600.0
    drain_seconds: float = 5.0
    hang_seconds: float = 10.0
    metrics: str = ""
    metrics_anywhere: bool = False
    log_http: str = ""
    log_format: str = "text"

    def __post_init__(self) -> None:
        self._check_enclaves()
        self._check_addresses()
        self._check_numbers()
        if self.log_format not in FORMATS:
            raise ValueError(f"log_format must be one of {', '.join(FORMATS)}.")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("A certificate and its key go together: name both files.")

    def _check_enclaves(self) -> None:
        state, cpu = self.state.resolve(), self.cpu.resolve()
        if cpu == state or cpu.is_relative_to(state):
            raise ValueError(f"The cpu folder must lie outside the state folder {state}.")
        if self.launcher not in LAUNCHERS:
            raise ValueError(f"launcher must be one of {', '.join(LAUNCHERS)}.")
        if self.launcher.startswith("gramine-") and self.manifests is None:
            raise ValueError(
                "Gramine needs manifests: make them (make gramine), name their folder."
            )
        if self.launcher == "machine" and self.enclave is None:
            raise ValueError(
                "A machine runs a build of the enclaves: make it (make enclave), name it."
            )

    def _check_addresses(self) -> None:
        if not _is_address(self.listen):
            raise ValueError(f'listen must be "address:port", not {self.listen!r}.')
        if self.metrics and not _is_address(self.metrics):
            raise ValueError(f'metrics must be "address:port", not {self.metrics!r}.')
        if self.log_http and not _is_address(self.log_http):
            raise ValueError(f'log_http must be "address:port", not {self.log_http!r}.')
        if self.metrics and not (self.metrics_anywhere or _LOOPBACK.fullmatch(self.metrics)):
            raise ValueError(
                "Metrics are plain HTTP for whoever reaches them: listen on 127.0.0.1, or add "
                "--metrics-anywhere."
            )
        if self.origin and not _ORIGIN.fullmatch(self.origin):
            raise ValueError(
                "origin must be a name like example.org/log of at most 254 characters."
            )

    def _check_numbers(self) -> None:
        if self.renew_days > _MAX_RENEW_DAYS:
            raise ValueError(f"renew_days must be at most {_MAX_RENEW_DAYS}.")
        if not 1 <= self.max_clock_jump <= _MAX_JUMP:
            raise ValueError(f"max_clock_jump must be 1 to {_MAX_JUMP} seconds.")
        if self.max_unread > _MAX_UNREAD:
            raise ValueError(f"max_unread must be at most {_MAX_UNREAD}.")
        for name in ("max_workers", "renew_days", *LIMITS):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1.")
        for name in NUMBERS:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative.")
        for name in ("put_idle_seconds", "collect_seconds", "hang_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0.")


def _is_address(text: str) -> bool:
    return bool(_LISTEN.fullmatch(text)) and int(text.rpartition(":")[2]) <= 65535
