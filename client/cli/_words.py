# SPDX-License-Identifier: Apache-2.0
"""Small things that commands share: names cut short, times, progress bars, proposals by the start
of their digest."""

import sys
from collections.abc import Collection, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from placet.auditing.standing import ProposalStanding
from placet.client.blocking import Client
from placet.client.cli._frame import confirm, say
from placet.client.council.records import ProposalRecord
from placet.client.data.objects import Progress as Report
from placet.client.errors import UsageRefused
from placet.client.files import read_file, write_file
from placet.client.trust.artifacts import MAX_ARTIFACT, ticket_from_bytes
from placet.governance.codec import Json
from placet.governance.evaluate import Ticket
from placet.refusals import Refusal

_SHORT = 12
_OWN = 6


def short(digest: str) -> str:
    """The start of a digest, enough to tell it from its neighbours and to name it by."""
    return digest.removeprefix("sha256:")[:_SHORT]


def when(seconds: float) -> str:
    """A time in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(seconds: float) -> str:
    """A time in UTC, to the minute, for tables."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def shortened(ids: Sequence[str]) -> dict[str, str]:
    """Each of some names as short as names it among them: of a digest the start, of a job the start
    of its proposal's and the start of its own."""
    return {id: _shortened(id, ids) for id in ids}


def _shortened(id: str, ids: Sequence[str]) -> str:
    head, dash, own = id.removeprefix("sha256:").partition("-")
    others = [other.removeprefix("sha256:").partition("-") for other in ids]
    start = _start(head, {other for other, _, _ in others} - {head}, _SHORT)
    if not dash:
        return start
    beside = {other for proposal, _, other in others if proposal == head} - {own}
    return f"{start}-{_start(own, beside, _OWN)}"


def _start(text: str, others: Collection[str], least: int) -> str:
    """The shortest start that no other text has; the whole where another goes on after it."""
    for length in range(least, len(text)):
        if not any(other.startswith(text[:length]) for other in others):
            return text[:length]
    return text


def standing_json(how: ProposalStanding) -> Json:
    """How a proposal stands, with times as text."""
    value = how.to_dict()
    opens = when(how.opens) if how.opens else None
    return {**value, "since": when(how.since), "opens": opens}


def find_proposal(client: Client, text: str) -> str:
    """The full digest of a proposal of the log, by its digest or the start of it. Raises
    `UsageRefused`."""
    return client.council.find(text).digest


def choose_proposal(client: Client, text: str, deed: str, *, quiet: bool) -> ProposalRecord:
    """A proposal that something is about to be signed for, once it has been shown.

    The start of a digest may be of another proposal than was meant, so it takes a yes. Where nobody
    can be asked, only the digest in full will do. `quiet`: for a program, which is shown nothing
    beside its JSON. Raises `UsageRefused`.
    """
    found = client.council.find(text)
    if not quiet:
        say("\n".join(about_proposal(found)))
    if found.digest in (text, "sha256:" + text):
        return found
    if not sys.stdin.isatty():
        raise UsageRefused(
            f"{text} is the start of {found.digest}, and nobody can be asked here whether that one "
            "is meant. Give the digest in full.",
            claim="proposal",
            actual=text,
        )
    confirm(f"{deed} this proposal?", yes=False)
    return found


def about_proposal(record: ProposalRecord) -> list[str]:
    """A proposal in a few words: its digest, what it is, who proposed it, and how it stands in the
    log."""
    said, known = record.document, record.item
    standing = f"stopped ({known.stopped})" if known.stopped else f"{len(known.ballots)} ballot(s)"
    return [
        f"Proposal {record.digest}",
        (
            f"  {said.action} by {said.proposer}, purpose {said.purpose!r}; entry {known.index}, "
            f"{standing}"
        ),
    ]


def read_artifact(path: Path) -> bytes:
    """The bytes of a document or artifact. Raises `FileRefused`."""
    return read_file(path, MAX_ARTIFACT)


def write_artifact(path: Path, data: bytes) -> None:
    """Write a document or artifact; a new one takes the place of an old one."""
    write_file(path, data)


def find_ticket(client: Client, text: str) -> Ticket:
    """The ticket in a file, or that of a proposal named by its digest or the start of it."""
    path = Path(text)
    if path.is_file():
        return ticket_from_bytes(read_artifact(path))
    return client.council.ticket(text)


def refusal_json(refusal: Refusal | None) -> Json | None:
    """A refusal in words, where there is one."""
    if refusal is None:
        return None
    return {"reason": refusal.reason, "message": str(refusal), "details": refusal.details}


def transfer(what: str, quiet: bool) -> AbstractContextManager[Report | None]:
    """A progress bar on standard error for a transfer of bytes; None where it would disturb."""
    return _bar(what, quiet, DownloadColumn(), TransferSpeedColumn())


def counting(what: str, quiet: bool) -> AbstractContextManager[Report | None]:
    """The same for things that are counted."""
    return _bar(what, quiet, MofNCompleteColumn(), TimeRemainingColumn())


@contextmanager
def _bar(what: str, quiet: bool, *columns: ProgressColumn) -> Generator[Report | None]:
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    shown = (TextColumn("{task.description}"), BarColumn(), *columns)
    with Progress(*shown, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
