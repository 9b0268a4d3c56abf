# SPDX-License-Identifier: Apache-2.0
"""All strangers at once, in a process of their own, until it is told to end.

    python -m tests.abuse.crowd ADDRESS CERTIFICATE PIN CHARTER

prints a line once all have begun, and at the end what each of them was told, as JSON.
"""

import argparse
import asyncio
import json
import os
import signal
from collections import Counter
from pathlib import Path

import grpc.aio

from tests.abuse.calls import CALLS
from tests.abuse.there import Abuse, There
from tests.abuse.wires import WIRES

STRANGERS = {**CALLS, **WIRES}
# Strangers are elsewhere: of the host's processors they get what honest people leave.
NICE = 10
Told = dict[str, Counter[str]]


async def crowd(there: There, share: float, only: list[str]) -> Told:
    """Every stranger, or these alone, until SIGTERM; what they were told."""
    strangers = {name: STRANGERS[name] for name in only or STRANGERS}
    over, told = asyncio.Event(), {name: Counter[str]() for name in strangers}
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    channels = [there.channel() for _ in strangers]
    tasks = [
        task
        for (name, abuse), channel in zip(strangers.items(), channels, strict=True)
        for task in _begun(abuse, share, there, channel, told[name])
    ]
    print("begun", flush=True)
    await over.wait()
    faults = [task.exception() for task in tasks if task.done()]
    told["broken"] = Counter(repr(fault)[:200] for fault in faults)
    return told


def _begun(
    abuse: Abuse, share: float, there: There, channel: grpc.aio.Channel, told: Counter[str]
) -> list[asyncio.Task[None]]:
    width = max(1, int(abuse.width * share))
    return [asyncio.ensure_future(abuse.run(there, channel, told)) for _ in range(width)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("certificate", type=Path)
    parser.add_argument("pin")
    parser.add_argument("charter")
    parser.add_argument("--share", type=float, default=1.0, help="of as many as there may be")
    parser.add_argument("--only", action="append", default=[], choices=STRANGERS)
    parser.add_argument("--nice", type=int, default=NICE, help="what they leave to others")
    chosen = parser.parse_args()
    there = There(chosen.address, chosen.certificate, chosen.pin, chosen.charter)
    os.nice(chosen.nice)
    loop = asyncio.new_event_loop()
    print(json.dumps(loop.run_until_complete(crowd(there, chosen.share, chosen.only))), flush=True)
    os._exit(0)  # thousands of calls and connections end with the process, and not in order


if __name__ == "__main__":
    main()
