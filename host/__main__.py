# SPDX-License-Identifier: Apache-2.0
"""`python -m placet.host`: run one host in the foreground until SIGTERM or SIGINT; with `check`
first, check the blobs of one; with `space`, say what it takes of the disk; with `config`, say what
the flags come to."""

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from placet.host.check import check
from placet.host.config import DEFAULT_ORIGIN, LAUNCHERS, NUMBERS, HostConfig
from placet.host.logs import FORMATS
from placet.host.server import serve
from placet.host.settings import tell
from placet.host.space import space
from placet.refusals import Refusal


def main() -> int:
    """Serve; returns 0 after an orderly end, 2 for settings that do not hold, 1 for a state that
    cannot be used."""
    others: dict[str, Callable[[list[str]], int]] = {
        "check": check,
        "space": space,
        "config": lambda words: tell(_parser(), words),
    }
    if (other := others.get("".join(sys.argv[1:2]))) is not None:
        return other(sys.argv[2:])
    try:
        chosen = vars(_parser().parse_args())
        chosen["names"] = tuple(chosen.pop("name"))
        config = HostConfig(**chosen)
    except ValueError as error:
        print(f"placet host: {error}", file=sys.stderr)
        return 2
    try:
        asyncio.run(serve(config))
    except (Refusal, OSError, RuntimeError) as error:
        print(f"placet host: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="placet host",
        description="Run a host: gRPC server, store, queue, and enclaves. Prints its address and "
        "pin.",
        epilog="`placet host check` reads every blob again and lists what is damaged; `placet host "
        "space` says what the state takes of the disk; `placet host config` shows every setting "
        "and whence it is.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--state", type=Path, default=Path("placet-host"), help="folder of all that the host keeps")
    add(
        "--cpu",
        type=Path,
        default=Path("placet-cpu"),
        help="folder that stands for the inside of the processor, in simulation; outside --state",
    )
    add(
        "--origin",
        default="",
        help="name of the log, fixed when it is founded and kept in the state; "
        f"{DEFAULT_ORIGIN} if nobody says one",
    )
    add("--listen", default="127.0.0.1:7433", help="address and port; port 0 takes any")
    add(
        "--name",
        action="append",
        default=[],
        help="further DNS name of the certificate",
    )
    add("--certificate", type=Path, help="certificate of your own (PEM, chain included)")
    add("--key", type=Path, help="key of that certificate (PEM)")
    add("--client-ca", type=Path, help="CAs (PEM): only callers with a certificate of one come in")
    add("--accept-clock", action="store_true", help="take the clock as it is now, a jump or not")
    add(
        "--enclave",
        type=Path,
        help="build of the enclaves (`make enclave`); without one, in simulation, what is "
        "installed here",
    )
    add("--launcher", choices=LAUNCHERS, default="native", help="how enclaves are started")
    add("--manifests", type=Path, help="folder of Gramine manifests, as deploy/gramine makes them")
    add("--collateral", type=Path, help="file that hardware evidence is completed with")
    _add_watching(add)
    _add_numbers(add)
    return parser


def _add_watching(add: Callable[..., object]) -> None:
    add("--metrics", default="", help="address and port where metrics are scraped; none without")
    add("--metrics-anywhere", action="store_true", help="let --metrics be no loopback address")
    add("--log-http", default="", help="address and port where the log is published; none without")
    add("--log-format", choices=FORMATS, default="text", help="how lines of logs/host.log are")


def _add_numbers(add: Callable[..., object]) -> None:
    for name, what in NUMBERS.items():
        default = HostConfig.__dataclass_fields__[name].default
        add(f"--{name.replace('_', '-')}", type=type(default), default=default, help=what)


if __name__ == "__main__":
    sys.exit(main())
