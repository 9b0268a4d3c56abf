# SPDX-License-Identifier: Apache-2.0
"""doctor: whether all is well from here to the host's authority."""

import asyncio
from contextlib import aclosing

import typer

from placet.client.cli._frame import (
    EXIT_REFUSED,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    AsJSON,
    command,
    home,
    show,
    table,
)
from placet.client.cli.operating._checks import FAIL, Finding, examine
from placet.client.errors import InputRefused, Unreachable

app = typer.Typer()


@command(app)
def doctor(as_json: AsJSON = False) -> None:
    """Check home, host, pin, versions, clocks, authority and log, and say what is the matter.

    Nothing is changed. On the host's machine, `placet host check` reads its blobs again, and
    `placet host space` says what takes its disk.
    """
    findings = asyncio.run(_all())
    value = {
        "well": all(found.verdict != FAIL for found in findings),
        "checks": [
            {"check": found.check, "verdict": found.verdict, "said": found.said}
            for found in findings
        ],
    }
    rows = [(found.verdict, found.check, found.said) for found in findings]
    show(value, as_json, table(("", "", ""), rows, ""))
    if code := max(map(_code, findings)):
        raise typer.Exit(code)


async def _all() -> list[Finding]:
    async with aclosing(examine(home())) as findings:
        return [finding async for finding in findings]


def _code(found: Finding) -> int:
    if found.verdict != FAIL:
        return 0
    if isinstance(found.refusal, Unreachable) or found.check == "pin":
        return EXIT_UNREACHABLE
    return EXIT_USAGE if isinstance(found.refusal, InputRefused) else EXIT_REFUSED
