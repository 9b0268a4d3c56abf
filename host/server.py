# SPDX-License-Identifier: Apache-2.0
"""The host as a whole: what it is made of, in which order it starts, and how it ends.

    async with Host(config) as host:
        print(host.address, host.pin)

Start: hold the state, open log and store, read what the former host left, listen, start enclaves.
End: take no more jobs, leave attempts, end enclaves, let calls finish, make everything durable.
"""

import asyncio
import logging
import signal
import sys
import time
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from placet.host.blobs.blob_files import BlobFiles
from placet.host.blobs.blob_store import BlobStore
from placet.host.blobs.places import PutPlaces
from placet.host.callers.gate import EnclaveGate, Gate
from placet.host.callers.logins import Logins
from placet.host.callers.memory import Memory
from placet.host.callers.places import Places
from placet.host.callers.principals import Principals
from placet.host.callers.slowly import Slowly
from placet.host.calls.certificates import Certificates
from placet.host.calls.descriptors import connections, raise_limit
from placet.host.calls.interceptor import WireInterceptor
from placet.host.calls.options import public_options
from placet.host.calls.servicers import (
    AccessService,
    BlobsService,
    CertificatesService,
    FederationsService,
    FoundingService,
    GovernanceService,
    InferenceService,
    JobsService,
    KeysService,
    LogService,
    RunsService,
)
from placet.host.calls.services import Services, make_enclave_server, make_server
from placet.host.calls.tls import utc_now
from placet.host.calls.unknown import UnknownMethods
from placet.host.clock import HostClock
from placet.host.collector import Collector
from placet.host.config import DEFAULT_ORIGIN, HostConfig
from placet.host.enclaves.attach import AUTHORITY, WORKER, Enclaves, Tokens
from placet.host.enclaves.authority import AuthorityLine
from placet.host.enclaves.launcher import Launcher, LaunchOrder
from placet.host.enclaves.launchers import open_launcher
from placet.host.enclaves.supervisor import Supervisor
from placet.host.founding import FoundingBoard
from placet.host.heap import few_arenas, giving_back
from placet.host.hub import Hub
from placet.host.listener import Listener
from placet.host.log.journal import Journal
from placet.host.log.log import Log
from placet.host.log.pages import LogPages
from placet.host.logs import close_log, open_log
from placet.host.placement.placement import Placement
from placet.host.placement.tickets import Tickets
from placet.host.placement.worker import Worker
from placet.host.placement.workers import Workers
from placet.host.runs.board import Board
from placet.host.runs.descriptions import Descriptions
from placet.host.runs.run import Needs
from placet.host.runs.runs import Runs, end_lost, shows
from placet.host.seen.calls import SeenCalls
from placet.host.seen.health import Health
from placet.host.seen.metrics import Metrics
from placet.host.seen.seen import Parts, Seen
from placet.host.state import open_state, prune_logs
from placet.host.store.store import Store
from placet.host.tasks import cancelled

_SECONDS_A_PAGE = 30.0  # for a bundle over a slow line
_log = logging.getLogger("placet.host")


class Host:
    """A running host between `async with` and its end. A process may run several, each on its
    state.

    `launcher` starts the enclaves; by default the one that the configuration names. Entering raises
    `StateLocked`, `StateVersion`, `StoreUnavailable`, `LauncherMissing`, OSError, or RuntimeError
    if the address is taken.
    """

    def __init__(self, config: HostConfig, launcher: Launcher | None = None) -> None:
        self._config = config
        self._launcher = launcher
        self._metrics, self._health = Metrics(), Health()
        self._exits = AsyncExitStack()
        self._port = self._local_port = 0

    @property
    def address(self) -> str:
        """ "address:port" that it listens on."""
        return f"{self._config.listen.rpartition(':')[0]}:{self._port}"

    @property
    def metrics(self) -> str:
        """ "address:port" where metrics are scraped; empty if nowhere."""
        return self._seen.address

    @property
    def log_http(self) -> str:
        """ "address:port" where the log is published; empty if nowhere."""
        return self._published.address

    @property
    def pin(self) -> str:
        """ "sha256:<hex>" of the certificate's DER."""
        return self._certificates.shown.pin

    @property
    def certificate_pem(self) -> bytes:
        return self._certificates.shown.certificate_pem

    def told(self) -> list[str]:
        """What whoever starts the host is shown; while there is no council, the link by which one
        is founded."""
        lines = [f"address {self.address}", f"pin {self.pin}"]
        if token := self._founding.token:
            pin = self.pin.removeprefix("sha256:")
            lines.append(f"founder placet://{self._reached}/{pin}/found/{token}")
        return lines

    @property
    def _reached(self) -> str:
        """Where others reach the host: by its first name, where it listens everywhere."""
        everywhere = self._config.listen.rpartition(":")[0] in ("0.0.0.0", "[::]")
        named = everywhere and self._config.names
        return f"{self._config.names[0]}:{self._port}" if named else self.address

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exits.aclose()

    async def _start(self) -> None:
        config = self._config
        self._exits.enter_context(open_state(config.state))
        log = open_log(config.state / "logs" / "host.log", config.log_format, config.max_log)
        self._exits.callback(close_log, log)
        prune_logs(config.state / "logs", config.max_logs)
        self.clock = HostClock(
            config.state / "clock.json", config.max_clock_jump, accept=config.accept_clock
        )
        self._certificates = await asyncio.to_thread(_certificates, config, self.clock)
        launcher = self._launcher
        if launcher is None:
            launcher = await asyncio.to_thread(open_launcher, config)
        url = f"sqlite:///{config.state.resolve() / 'placet.db'}"
        self._store = await asyncio.to_thread(Store.open, url)
        self._exits.push_async_callback(asyncio.to_thread, self._store.close)
        self._assemble(launcher)
        await self._store.read(self._log.load)
        self._origin = _origin(config.origin, self._log.checkpoint)
        async with self._store.steady():
            await self._store.write(end_lost)
        resume = await self._store.read(self._placement.recover)
        resume_runs = await self._store.read(self._runs.recover)
        await self._listen()
        resume()
        resume_runs()
        collector = Collector(config, self._store, self._log, self._blobs)
        collecting = collector.run(lambda: not self.clock.ahead)
        certifying, timing = self._certificates.run(), self.clock.run()
        works = (collecting, certifying, timing, self._supervisor.run(), giving_back())
        for work in works:
            self._exits.push_async_callback(cancelled, asyncio.ensure_future(work))
        self._exits.push_async_callback(self._drain)
        _log.info("started address=%s pin=%s", self.address, self.pin)

    def _assemble(self, launcher: Launcher) -> None:
        config, store, folder = self._config, self._store, self._config.state.resolve()
        self._blobs = _blob_store(config)
        self._log = log = Log()
        self._founding = FoundingBoard(folder / "founding", lambda: bool(log.state.charter))
        self._board = Board(store, shows(self._log), config.max_watchers, self._metrics.job_ended)
        journal = Journal(store, self._log)
        # Under Gramine an enclave has one clock only: its authority cannot tell a jump by itself.
        one_clock = config.launcher.startswith("gramine-")
        self._line = line = AuthorityLine(
            lambda _: self._seen.readiness.look(),
            config.max_line,
            check_clock=self.clock.check,
            why=lambda: self._supervisor.trouble,
            one_clock=one_clock,
        )
        self._tokens = tokens = Tokens()
        self._supervisor = Supervisor(
            launcher, tokens, self._authority_order, self._metrics.enclave_ended, _complain
        )
        workers = self._workers(launcher, folder / "tmp")
        tickets = Tickets(self._log, config.spares, config.max_programs)
        self._placement = placement = Placement(
            store,
            self._log,
            journal,
            self._board,
            line,
            workers,
            tickets,
            config.max_workers,
        )
        self._runs = Runs(
            Needs(config, store, self._log, self._board, self._blobs, line, placement)
        )
        board, log = self._board, self._log
        hub = Hub(store, log, journal, board, line, workers, placement, self._supervisor)
        self._enclaves = Enclaves(tokens, hub, *([self.clock.check] if one_clock else []))
        self._seen = self._observed(workers, tickets)

    def _workers(self, launcher: Launcher, folder: Path) -> Workers:
        ended = self._metrics.enclave_ended
        return Workers(launcher, self._tokens, self._blobs, self._worker_order, folder, ended)

    def _observed(self, workers: Workers, tickets: Tickets) -> Seen:
        return Seen(
            self._metrics,
            self._health,
            Parts(
                self._config,
                self._store,
                self._log,
                self._board,
                self._runs,
                self._line,
                workers,
                tickets,
                self._blobs.room,
                lambda: self._certificates.shown.certificate_pem,
                lambda: "jumped" if self.clock.ahead else "",
            ),
        )

    async def _listen(self) -> None:
        config, store, line, board = self._config, self._store, self._line, self._board
        logins = Logins(
            Principals(store, self._log),
            lambda: self._certificates.pins,
            lambda: time.time() - self.clock.ahead,
        )
        services = Services(
            access=AccessService(logins),
            runs=RunsService(board, self._runs),
            jobs=JobsService(board, line),
            federations=FederationsService(self._log, board, line, self._blobs),
            inference=InferenceService(board, Descriptions(store, self._log)),
            founding=FoundingService(self._founding),
            governance=GovernanceService(line, self._founding),
            keys=KeysService(line),
            blobs=BlobsService(store, self._log, self._blobs),
            log=LogService(store, self._log),
            certificates=CertificatesService(self._certificates),
            enclaves=self._enclaves,
        )
        places = Places(config.max_calls, config.stranger_rate)
        slowly = Slowly(config.stranger_rate)
        gate = Gate(logins, places, Memory(config.max_memory), slowly)
        seen, wire = SeenCalls(self._metrics), WireInterceptor(gate, store.steady)
        options = public_options(connections(config.max_connections), config.max_unread)
        passed = (UnknownMethods(slowly), seen, wire)
        server = make_server(services, self._health, passed, options)
        wire = WireInterceptor(EnclaveGate(self._enclaves), store.steady)
        enclave_server = make_enclave_server(services, (SeenCalls(self._metrics), wire))
        self._port = server.add_secure_port(config.listen, self._certificates.for_callers())
        # Enclaves of this machine know the host's own certificate, whatever callers are shown.
        own = self._certificates.for_enclaves()
        self._local_port = enclave_server.add_secure_port("127.0.0.1:0", own)
        await self._seen.start(self._exits)
        await self._publish()
        for listening in (enclave_server, server):
            await listening.start()
            self._exits.push_async_callback(listening.stop, config.drain_seconds)

    async def _publish(self) -> None:
        """Let anybody read the log in plain HTTP, where the operator wants it. Raises OSError."""
        pages = LogPages(self._store, self._log)
        self._published = Listener("log-http", pages.page, _SECONDS_A_PAGE)
        if self._config.log_http:
            await self._published.start(self._config.log_http)
            self._exits.push_async_callback(self._published.close)

    async def _drain(self) -> None:
        _log.info("stopping")
        self._runs.drain()
        await self._seen.readiness.drain()
        self._board.close()
        await self._runs.close()
        await self._placement.close()

    def _authority_order(self, token: str) -> LaunchOrder:
        self.clock.check()  # a new life of the authority takes the clock as it is
        return LaunchOrder(
            role=AUTHORITY,
            token=token,
            address=self._local,
            certificate=self._certificates.own.path.resolve(),
            origin=self._origin,
            log=self._config.state.resolve() / "logs" / "authority.log",
        )

    def _worker_order(self, worker: Worker) -> LaunchOrder:
        self.clock.check()  # it would find evidence expired
        return LaunchOrder(
            role=WORKER,
            token=worker.token,
            address=self._local,
            certificate=self._certificates.own.path.resolve(),
            origin=self._origin,
            log=self._config.state.resolve() / "logs" / f"worker-{worker.token[:16]}.log",
            variant="onnx" if worker.serves else "",
            launched_for=worker.program,
            bundle=worker.folder / "bundle",
            scratch=worker.folder / "scratch",
        )

    @property
    def _local(self) -> str:
        """Where enclaves of this machine find the host."""
        return f"127.0.0.1:{self._local_port}"


async def serve(config: HostConfig, launcher: Launcher | None = None) -> None:
    """Run a host until SIGTERM or SIGINT, then end it in order. Prints address and pin."""
    raise_limit()
    few_arenas()
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with Host(config, launcher) as host:
            print(*host.told(), sep="\n", flush=True)
            await stop.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _complain(sentence: str) -> None:
    """To whoever started the host: the log is not what they look at."""
    print(f"placet host: {sentence}", file=sys.stderr, flush=True)


def _origin(wanted: str, checkpoint: bytes) -> str:
    """The name of the log: the one that it was founded with, else the one that is wanted.

    Raises RuntimeError where the two differ: under another name an authority derives another key.
    """
    founded = checkpoint.partition(b"\n")[0].decode()
    if wanted and founded and wanted != founded:
        raise RuntimeError(
            f"The log of this state has the origin {founded}, and --origin says {wanted}. Start "
            f"without --origin, or on another --state."
        )
    return founded or wanted or DEFAULT_ORIGIN


def _blob_store(config: HostConfig) -> BlobStore:
    return BlobStore(
        BlobFiles(config.state.resolve() / "blobs"),
        max_blob=config.max_blob,
        places=PutPlaces(config.max_puts, config.max_puts_waiting, config.put_wait_seconds),
        min_free=config.min_free,
        put_idle_seconds=config.put_idle_seconds,
    )


def _certificates(config: HostConfig, clock: HostClock) -> Certificates:
    """Raises OSError, or RuntimeError for an operator's certificate that cannot be used."""
    operator = (config.certificate, config.key) if config.certificate and config.key else None
    try:
        return Certificates(
            config.state / "tls",
            config.names,
            operator,
            client_ca=config.client_ca,
            renew=timedelta(days=config.renew_days),
            now=lambda: utc_now() - timedelta(seconds=clock.ahead),
        )
    except ValueError as error:
        raise RuntimeError(f"The certificate cannot be used: {error}") from None
