# SPDX-License-Identifier: Apache-2.0
"""`python -I -m placet.enclave authority|worker|local|check|round|ask`: one enclave, one process.

With `--simulated`, which a launcher says and nothing else implies, standard input and output are
the wire to the simulated processor (they pass through Gramine as well). Without it the hardware is
asked, and where there is none nothing starts. Workers of a simulating host are forks of one process
(preloaded.py), and go on here like any other. Standard error is the log, or `--log FILE` where
standard error is not apart (Gramine). Nothing else is read from or written to the outside but the
stream to the host.

Where the command line is measured and therefore fixed (Gramine), `--launch FILE` names a file of
the host's, one word a line, for what differs from start to start and decides nothing: address,
certificate, token, origin.
"""

import argparse
import logging
import os
import select
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from placet.refusals import KernelMissing, Refusal

if TYPE_CHECKING:
    from placet.attestation import Attester

EXIT_FAULT = 1
EXIT_HOST_GONE = 75
EXIT_REFUSED = 78
_PRELOADED = "preloaded"
_AT_HOME = ("local", "check", "round", "ask")  # without a host, on what is the caller's own
_MAX_LAUNCH_BYTES = 64 * 1024
_KERNEL_REMEDY = (
    "Install Placet with a C compiler and the Python headers (Debian: gcc "
    "python3-dev) and start again."
)


def main() -> int:
    """Run the enclave that the arguments name; returns the exit code."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="ts=%(asctime)s from=%(name)s %(message)s"
    )
    try:
        if sys.argv[1:2] == [_PRELOADED]:
            from placet.enclave.preloaded import fork_on_request

            _harden()  # whoever could write to its memory would write all workers'
            sys.argv[1:] = fork_on_request()
        arguments = _arguments()
        if arguments.role not in _AT_HOME and arguments.log is not None:
            _log_to(arguments.log)
        _harden()
        if arguments.role == "local":
            from placet.enclave.worker.local import run_local

            return run_local(arguments)
        if arguments.role == "round":
            from placet.enclave.worker.federation.local import run_round

            return run_round(arguments)
        if arguments.role == "check":
            from placet.enclave.worker.inference.checking import check_model

            return check_model(arguments)
        if arguments.role == "ask":
            from placet.enclave.worker.inference.local import answer_questions

            return answer_questions(arguments)
        # asyncio says in full what went wrong in a task that nobody waits for: too much for our
        # log.
        logging.getLogger("asyncio").disabled = True
        reader, writer = _processor()
        threading.Thread(target=_end_with, args=(reader,), name="processor", daemon=True).start()
        return _run(arguments, reader, writer)
    except BaseException as error:  # noqa: BLE001 - a traceback would be more than our log may say
        return _report(error)


def _attester(arguments: argparse.Namespace, reader: BinaryIO, writer: BinaryIO) -> "Attester":
    """The hardware that evidence comes from. Raises AttesterUnavailable where there is none and
    none is simulated."""
    from placet.attestation import SimulatedAttester, probe

    if arguments.simulated:
        return SimulatedAttester(reader, writer)
    return probe(collateral=None if arguments.collateral is None else Path(arguments.collateral))


def _run(arguments: argparse.Namespace, reader: BinaryIO, writer: BinaryIO) -> int:
    attester = _attester(arguments, reader, writer)
    certificate = Path(arguments.cert).read_bytes()
    if arguments.role == "authority":
        import asyncio

        from placet.enclave.authority.main import run_authority

        where = (arguments.host, certificate, arguments.token, arguments.origin)
        codes: list[int] = []
        try:
            asyncio.run(run_authority(*where, attester, lambda e: codes.append(_report(e))))
        except Exception:
            if not codes:
                raise
        return codes[0] if codes else 0
    from placet.enclave.worker.main import run_worker

    bundle, scratch = Path(arguments.bundle), Path(arguments.scratch)
    return run_worker(arguments.host, certificate, arguments.token, attester, bundle, scratch)


def _report(error: BaseException) -> int:
    """A line on what kept the enclave from starting, or ended it; a refusal's text is ours and
    names no data."""
    if isinstance(error, SystemExit):
        raise error
    if isinstance(error, Refusal):
        print(f"refused reason={error.reason} {error}", file=sys.stderr)
        return EXIT_REFUSED
    # Of a fault its kind and place, never its text: that may quote what it was about.
    print(f"fault kind={type(error).__name__} at={_place(error)}", file=sys.stderr)
    return EXIT_FAULT


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def _harden() -> None:
    """No core dumps, no debugger of the same user; refuses to start without the compiled kernel."""
    try:
        from placet.enclave import _kernel
    except ImportError:
        raise KernelMissing(
            f"The compiled kernel (placet.enclave._kernel) is missing. {_KERNEL_REMEDY}",
            claim="kernel",
            remedy=_KERNEL_REMEDY,
        ) from None
    _kernel.harden()


def _log_to(path: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 2)
    os.close(file)


def _processor() -> tuple[BinaryIO, BinaryIO]:
    """Take standard input and output for the processor alone, so that nothing printed can reach
    it."""
    reader = os.fdopen(os.dup(0), "rb", buffering=0)
    writer = os.fdopen(os.dup(1), "wb", buffering=0)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return reader, writer


def _end_with(reader: BinaryIO) -> None:
    """End with whoever launched us: nothing is lost by that, all that was acknowledged is durable
    elsewhere."""
    hangup = select.poll()
    hangup.register(reader, 0)
    hangup.poll()
    os._exit(EXIT_HOST_GONE)


def _leave(code: int) -> NoReturn:
    """End at once: neither threads that a program left behind nor what it registered for the exit
    runs any more."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _arguments() -> argparse.Namespace:
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.role in _AT_HOME:
        return arguments
    if arguments.launch is not None:
        words = _launch_words(Path(arguments.launch))
        _host_parser(arguments.role).parse_args(words, namespace=arguments)
    for name in ("host", "cert", "token", "origin", "bundle", "scratch"):
        if getattr(arguments, name, "") is None:
            parser.error(f"--{name} is missing, on the command line and in the launch file")
    return arguments


def _launch_words(path: Path) -> list[str]:
    with path.open("rb") as file:
        data = file.read(_MAX_LAUNCH_BYTES + 1)
    if len(data) > _MAX_LAUNCH_BYTES:
        raise SystemExit(f"The launch file has more than {_MAX_LAUNCH_BYTES} bytes.")
    return data.decode("ascii", "replace").splitlines()


def _host_parser(role: str) -> argparse.ArgumentParser:
    """The host may choose this at every start: it is served by these words and cannot harm by
    them."""
    parser = argparse.ArgumentParser(prog="launch file", add_help=False, allow_abbrev=False)
    for name in ("--host", "--cert", "--token", *(("--origin",) if role == "authority" else ())):
        parser.add_argument(name)
    return parser


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="placet.enclave", allow_abbrev=False)
    roles = parser.add_subparsers(dest="role", required=True)
    for role in ("authority", "worker"):
        attached = roles.add_parser(role, parents=[_host_parser(role)], allow_abbrev=False)
        attached.add_argument("--launch", metavar="FILE")
        attached.add_argument("--log", metavar="FILE")
        attached.add_argument("--simulated", action="store_true")
        attached.add_argument("--collateral", metavar="FILE")
        if role == "worker":
            attached.add_argument("--bundle")
            attached.add_argument("--scratch")
    local = roles.add_parser("local")
    local.add_argument("--bundle", required=True)
    local.add_argument("--input", action="append", default=[], metavar="NAME=PATH")
    local.add_argument("--parameter", action="append", default=[], metavar="NAME=JSON")
    local.add_argument("--output", action="append", default=[], metavar="NAME=MAX_BYTES")
    local.add_argument("--output-dir", required=True)
    roles.add_parser("round").add_argument("--folder", required=True)
    check = roles.add_parser("check")
    check.add_argument("--model", required=True)
    check.add_argument("--terms", required=True)
    ask = roles.add_parser("ask")
    ask.add_argument("--model", required=True)
    ask.add_argument("--terms", required=True)
    return parser


if __name__ == "__main__":
    _leave(main())
