# SPDX-License-Identifier: Apache-2.0
"""`python -m placet.host`: run one host in the foreground until SIGTERM or SIGINT; with `check`
first, check the blobs of one; with `config`, say what the flags come to."""

import argparse
import asyncio
import sys
from pathlib import Path

from placet.host.check import check
from placet.host.config import LAUNCHERS, LIMITS, SPACE, HostConfig
from placet.host.server import serve
from placet.host.settings import tell
from placet.refusals import Refusal


def main() -> int:
    """Serve; returns 0 after an orderly end, 2 for settings that do not hold, 1 for a state that
    cannot be used."""
    if sys.argv[1:2] == ["check"]:
        return check(sys.argv[2:])
    if sys.argv[1:2] == ["config"]:
        return tell(_parser(), sys.argv[2:])
    arguments = _parser().parse_args()
    try:
        config = HostConfig(
            state=arguments.state,
            cpu=arguments.cpu,
            origin=arguments.origin,
            listen=arguments.listen,
            names=tuple(arguments.name),
            certificate=arguments.certificate,
            key=arguments.key,
            renew_days=arguments.renew_days,
            max_clock_jump=arguments.max_clock_jump,
            accept_clock=arguments.accept_clock,
            enclave=arguments.enclave,
            launcher=arguments.launcher,
            manifests=arguments.manifests,
            collateral=arguments.collateral,
            max_workers=arguments.max_workers,
            spares=arguments.spares,
            **{name: getattr(arguments, name) for name in (*LIMITS, *SPACE)},
        )
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
        "config` shows every setting and whence it is.",
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
    add("--origin", default="placet.local/log", help="name of the log, fixed when it is founded")
    add("--listen", default="127.0.0.1:7433", help="address and port; port 0 takes any")
    add("--name", action="append", default=[], help="further DNS name of the certificate")
    add("--certificate", type=Path, help="certificate of your own (PEM, chain included)")
    add("--key", type=Path, help="key of that certificate (PEM)")
    add("--renew-days", type=int, default=90, help="days before its end, renew a certificate")
    add("--max-clock-jump", type=float, default=600, help="seconds the clock may be ahead, to 600")
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
    add("--max-workers", type=int, default=4, help="workers at once")
    add("--spares", type=int, default=1, help="warm workers a program")
    for name, what in {**LIMITS, **SPACE}.items():
        flag, kind = f"--{name.replace('_', '-')}", float if name.endswith("_seconds") else int
        add(flag, type=kind, default=HostConfig.__dataclass_fields__[name].default, help=what)
    return parser


if __name__ == "__main__":
    sys.exit(main())
