# SPDX-License-Identifier: Apache-2.0
"""diff: what a constitution changes, in words."""

from pathlib import Path
from typing import Annotated

import typer

from placet.auditing.differences import explain_differences
from placet.auditing.foresight.endings import Ending, endings
from placet.auditing.powers import explain_powers
from placet.client.cli._frame import AsJSON, client, command, lines, show
from placet.client.cli.charter import read_constitution
from placet.client.cli.lookup._reading import now
from placet.client.errors import UsageRefused
from placet.governance.documents import Constitution

app = typer.Typer()
_NOW = "now"
_WHAT = "A TOML file, a drafted constitution, the digest of one that was adopted, or `now`."


@command(app)
def diff(
    old: Annotated[str, typer.Argument(help=_WHAT)],
    new: Annotated[str, typer.Argument(help=_WHAT)],
    as_json: AsJSON = False,
) -> None:
    """Say in words what one constitution changes of another: who can do what alone first, then each
    change.

    Of `now` and a draft it also says which proposals and grants of the log the draft would end.
    """
    before, after = _read(old), _read(new)
    powers, changes = explain_powers(before, after), explain_differences(before, after)
    ends = _ends(after) if old == _NOW else ()
    sentences = [*powers, *changes] or ["The two say the same."]
    sentences += [one.sentence for one in ends]
    show({"powers": powers, "changes": changes, "ends": ends}, as_json, lines(sentences))


def _ends(successor: Constitution) -> tuple[Ending, ...]:
    with client() as connected:
        connected.council.verify()
        return connected.log.judged(lambda ledger: endings(ledger, successor, now()))


def _read(name: str) -> Constitution:
    if name != _NOW and Path(name).is_file():
        return read_constitution(Path(name))
    with client() as connected:
        council = connected.council.verify()
    adopted = {one.digest: one.document for one in council.constitutions}
    if name == _NOW:
        return council.newest.document
    begun = [digest for digest in adopted if digest.removeprefix("sha256:").startswith(name)]
    begun += [digest for digest in adopted if digest.startswith(name)]
    if not name or len(begun) != 1:
        raise UsageRefused(
            f"No constitution of the log begins with {name}, and it is no file here. The log has "
            f"{', '.join(adopted)}; `now` is the one in force.",
            claim="constitution",
            actual=name[:80],
        )
    return adopted[begun[0]]
