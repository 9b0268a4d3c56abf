# SPDX-License-Identifier: Apache-2.0
"""invite and join: a council of several is founded by links, and no file goes from hand to hand."""

import time
from pathlib import Path
from typing import Annotated

import typer

from placet.auditing.explain import explain_constitution
from placet.auditing.invitations import Board
from placet.client.blocking import Client
from placet.client.cli._frame import (
    AsJSON,
    Yes,
    command,
    confirm,
    home,
    lines,
    load_keys,
    say,
    show,
)
from placet.client.cli.charter import charter_names, told_names
from placet.client.cli.setup import WHICH, save_new_keys
from placet.client.council.charters import CharterDraft
from placet.client.council.joining import (
    check_enrolled,
    make_assent,
    make_enrolment,
    members_of,
    new_invitation,
    whole_draft,
)
from placet.client.drafts.council import ids_of, invited_values
from placet.client.errors import UsageRefused
from placet.client.files import write_file
from placet.client.keys import Keys
from placet.client.links import FounderLink, SeatLink, spoken
from placet.client.trust.builds import named_measurements
from placet.governance.envelope import digest_of

app = typer.Typer()

_EVERY = 1.0  # seconds between two looks at the board


@command(app)
def invite(
    source: Annotated[Path, typer.Argument(help="The constitution (TOML), without keys.")],
    link: Annotated[str, typer.Argument(help="The founder's link, which a new host prints.")],
    enclave: Annotated[
        str, typer.Option(help=f"{WHICH} Whose enclaves are wanted, if the file says nothing.")
    ] = "",
    as_json: AsJSON = False,
) -> None:
    """Invite to a new council: prints a line for each seat and party, to be pasted by whoever has
    it."""
    at = FounderLink.from_text(link)
    builds = named_measurements(enclave) if enclave else {}
    values = invited_values(source, builds, int(time.time()))
    invitation, links = new_invitation(values, ids_of(values), at)
    with Client.connect(at.host, at.pin) as connected:
        board = connected.founding.invite(at.token, invitation)
    typed = {link.id: f"placet join {link}" for link in links}
    told = [
        "Send each line to whoever has the seat, and to nobody else: it is the key to that seat.",
        *(text for id, line in typed.items() for text in (f"{id}:", f"  {line}")),
    ]
    show({"invitation": board.digest, "lines": typed}, as_json, lines(told))


@command(app)
def join(
    link: Annotated[str, typer.Argument(help="The link that `placet invite` made for you.")],
    key: Annotated[
        Path | None,
        typer.Option("--key", "-k", help="A .key file that you have; else ID.key is made."),
    ] = None,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask for a passphrase for the key that is made.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Until everybody has joined; or go on later.")
    ] = True,
    yes: Yes = False,
    as_json: AsJSON = False,
) -> None:
    """Join a new council: keys are made, everybody's are waited for, and a seat signs what it has
    been shown. The same line goes on where it stopped."""
    at = SeatLink.from_text(link)
    path = (key or home().folder / f"{at.id}.key").absolute()
    _check_home(at)
    home().configure(at.host, at.pin)
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        save_new_keys(at.id, path, passphrase)
    home().use_key(path, at.id)
    keys = load_keys(path, at.id)
    with Client.at_home(home()) as connected:
        state = _Joining(connected, at, keys, wait=wait, yes=yes).run()
    value = {"id": at.id, "key_file": str(path), "state": state}
    if state != "founded":
        show(value, as_json, lines([_WAITS]))
        return
    show({**value, **charter_names()}, as_json, lines(["The council is founded.", *told_names()]))


def _check_home(at: SeatLink) -> None:
    """Raises `UsageRefused` for a home of another council: it would lose its host."""
    if home().memory().charter and home().host() != (at.host, at.pin):
        raise UsageRefused(
            f"{home().folder} is the home of another council. Name another folder: placet --home "
            "FOLDER join LINK",
            claim="home",
        )


_WAITS = "Not everybody is there yet. The same line goes on."


class _Joining:
    """One of the invited, from the enrolment to the founding."""

    def __init__(self, client: Client, at: SeatLink, keys: Keys, *, wait: bool, yes: bool) -> None:
        self._client, self._at, self._keys = client, at, keys
        self._wait, self._yes = wait, yes
        self._told: tuple[str, ...] = ()

    def run(self) -> str:
        """How far the founding has come: joined, signed or founded."""
        founding = self._client.founding
        board = founding.board(self._at.board)
        if not check_enrolled(board, self._at, self._keys):
            board = founding.post(self._at.board, make_enrolment(self._at, self._keys))
        while board.missing and self._goes_on("to join", board.missing):
            board = founding.board(self._at.board)
        if board.missing:
            return "joined"
        check_enrolled(board, self._at, self._keys)
        draft = whole_draft(board)
        if draft is None and self._at.id in {seat.id for seat in board.constitution().seats}:
            board, draft = self._sign(board)
        while draft is None and self._goes_on("to sign", self._unsigned(board)):
            board = founding.board(self._at.board)
            draft = whole_draft(board)
        if draft is None:
            return "signed"
        self._settle(draft, board)
        return "founded"

    def _sign(self, board: Board) -> tuple[Board, CharterDraft | None]:
        """Sign what follows from the board, once its words are compared, unless it is signed."""
        draft = self._client.founding.follow(board)
        if self._at.id not in draft.signed_by():
            self._ask(draft, "Sign it")
            signed = self._client.founding.sign(draft, self._keys)
            log = draft.read_charter().log
            assent = make_assent(self._at, log, signed, self._keys.signing)
            board = self._client.founding.post(self._at.board, assent)
        return board, whole_draft(board)

    def _ask(self, draft: CharterDraft, deed: str) -> None:
        """Show the constitution, and the words that all members must hear from each other."""
        if not self._yes:
            say(*explain_constitution(draft.read_constitution()))
        digest = digest_of(draft.charter)
        say(
            f"The charter is {digest}.",
            f"Compare aloud with the others, by another way than this host: {spoken(digest)}",
        )
        confirm(f"{deed}, as {self._at.id}? The others must have heard the same words.", self._yes)

    def _settle(self, draft: CharterDraft, board: Board) -> None:
        if not home().memory().charter:
            self._ask(draft, "Is this your council")
        self._client.founding.settle(draft)
        folder = home().members
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for member in members_of(board):
            write_file(folder / f"{member.id}.pub.json", member.to_bytes())

    def _goes_on(self, what: str, missing: tuple[str, ...]) -> bool:
        """Wait a little; False where nobody waits."""
        if self._wait:
            if missing != self._told:
                self._told = missing
                say(f"Waiting for these {what}: {', '.join(missing)}.")
            time.sleep(_EVERY)
        return self._wait

    def _unsigned(self, board: Board) -> tuple[str, ...]:
        seats = (seat.id for seat in board.constitution().seats)
        return tuple(id for id in seats if id not in board.assents)
