# SPDX-License-Identifier: Apache-2.0
"""What every command stands in: one way to fail, one way to show, and the options that many share.

What is shown is escaped where it could do more than be read: paths and arguments are text of others
too. On a terminal a sentence that is too long goes on below with an indent, so that no line begins
with words in the middle of it.

Exit codes:
  0   done
  1   refused: by the host, an enclave, or by what this client verified; a job that failed or was
      stopped
  2   usage: arguments, files, settings
  3   the host does not answer, or is not the one that was pinned
  4   an audit that holds as far as it went, with parts not checked
  130 interrupted
"""

import functools
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, ParamSpec, cast

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from placet.auditing.explain import explain_refusal
from placet.client.blocking import Client
from placet.client.connection.access import KeysLater
from placet.client.connection.passes import kept_as
from placet.client.errors import InputRefused, Unreachable, UsageRefused
from placet.client.home import Home
from placet.client.keys import Keys, named_in, needs_passphrase
from placet.governance.codec import to_plain
from placet.governance.text import hidden, shown
from placet.refusals import Refusal

P = ParamSpec("P")

EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_NOT_CHECKED = 4
EXIT_INTERRUPTED = 130

AsJSON = Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")]
KeyFile = Annotated[
    Path, typer.Option("--key", "-k", envvar="PLACET_KEY", help="Your .key file (PLACET_KEY).")
]
ActingAs = Annotated[
    str, typer.Option("--as", help="The seat or party you act for, if not the key's own id.")
]
OutFile = Annotated[Path, typer.Option("--out", "-o", help="The file to write.")]
Simulated = Annotated[
    bool,
    typer.Option("--simulated", help="Give it to SIMULATED evidence too: it may be public."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Wide = Annotated[
    bool, typer.Option("--wide", help="Show names in full and more columns, however wide.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace files that are there; what they hold is lost.")
]

_WIDEST = 10_000
_SOON = 120.0  # seconds that a login must last for a command not to ask for a passphrase
_home: list[Home] = []
_keys: list[Keys] = []  # those of this invocation
_shown: list[Any] = []  # what the newest command showed


def choose_home(folder: Path | None) -> None:
    """Fix the home folder of this invocation."""
    _keys.clear()
    _home[:] = [Home(folder) if folder is not None else Home.default()]


def home() -> Home:
    """The home folder of this invocation."""
    return _home[-1] if _home else Home.default()


def charter_of(given: str) -> str:
    """The council's charter by its digest: what was given, or the home's. Raises
    `UsageRefused`."""
    charter = given or home().memory().charter
    if not charter:
        raise UsageRefused(
            "No council is known here. Give --charter: the digest that a member of the council has "
            "told you.",
            claim="charter",
        )
    return charter


def client(*, simulated: bool = False) -> Client:
    """A client of the configured host; use it as a context. It logs in with the keys that the
    command was given, or with the home's, and under the pass that PLACET_PASS names. simulated:
    what `--simulated` said."""
    keys, pass_ = _keys[-1] if _keys else _own_keys(), home().pass_()
    return Client.at_home(home(), simulated=simulated, keys=keys, pass_=pass_)


def _own_keys() -> Keys | KeysLater | None:
    """The keys in PLACET_KEY, or those that `placet init --key` named."""
    path, acting_as = home().key()
    if path is None:
        return None
    by = acting_as or named_in(path)
    home().host()  # whatever is missing is said before anybody is asked for a passphrase
    logged_in = home().login().ends(kept_as(by, home().pass_())) > time.time() + _SOON
    if needs_passphrase(path) and not os.environ.get("PLACET_PASSPHRASE") and not logged_in:
        return load_keys(path, acting_as)  # asks now: an interrupt reaches this thread alone
    return KeysLater(by, lambda: load_keys(path, acting_as))


def load_keys(path: Path, acting_as: str = "") -> Keys:
    """Keys from a file; an encrypted one takes PLACET_PASSPHRASE, or asks."""
    passphrase = ""
    if needs_passphrase(path):
        passphrase = os.environ.get("PLACET_PASSPHRASE", "") or typer.prompt(
            f"Passphrase of {path.name}", hide_input=True, err=True
        )
    keys = Keys.load(path, passphrase)
    _keys[:] = [keys.acting_as(acting_as) if acting_as else keys]
    return _keys[-1]


def command(app: typer.Typer, name: str | None = None, **settings: Any) -> Callable[..., Any]:
    """Register a function as a command; what it raises becomes a message and an exit code."""

    def register(function: Callable[P, None]) -> Callable[P, None]:
        app.command(name, **settings)(answered(function))
        return function

    return register


def answered(function: Callable[P, None]) -> Callable[P, None]:
    """The function, whose refusals become a message and an exit code."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            _check_arguments(kwargs)
            function(*args, **kwargs)
        except KeyboardInterrupt:
            say("Interrupted. Everything sent stays sent; `placet status` shows how things stand.")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:
            _silence()
        except Refusal as error:
            _refuse(error, as_json=bool(kwargs.get("as_json")))

    return run


def _check_arguments(arguments: Mapping[str, Any]) -> None:
    """Bytes that are no UTF-8 may stand in a path and nowhere else. Raises `UsageRefused`."""
    for name, value in arguments.items():
        for text in cast("list[object]", value) if isinstance(value, list) else [value]:
            if isinstance(text, str) and any(map(_is_surrogate, text)):
                raise UsageRefused(f"What was given for {name} is not UTF-8. Write it anew.")


def _is_surrogate(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def show(value: Any, as_json: bool, text: Callable[[Console], None]) -> None:
    """Write a result: as JSON (dataclasses as objects), or by `text` to a console."""
    _shown[:] = [value]
    if as_json:
        typer.echo(_json(value, indent=2))
    else:
        text(Console(highlight=False))


def last_shown() -> Any:
    """What the newest command of this process showed, for a command that is made of others."""
    return _shown[-1] if _shown else None


def lines(sentences: Sequence[str]) -> Callable[[Console], None]:
    """Sentences, one a line, without interpreting anything in them."""

    def draw(console: Console) -> None:
        for sentence in sentences:
            for line in _folded(shown(sentence), console):
                console.print(Text(line), soft_wrap=True)

    return draw


def _folded(sentence: str, console: Console) -> list[str]:
    """The sentence as it fits on a terminal; a file or pipe gets it whole."""
    if not console.is_terminal or not sentence:
        return [sentence]
    indent = "| " if sentence.startswith("| ") else "  "
    first, *rest = Text(sentence).wrap(console, max(console.width - len(indent), 1))
    return [first.plain, *(indent + line.plain for line in rest)]


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    empty: str,
    *,
    whole: Sequence[str] = (),
    wide: bool = False,
) -> Callable[[Console], None]:
    """A table for people, or a sentence if it has no rows. Cells of the columns `whole` stand on
    one line; wide: all do, on lines as long as it takes."""

    def draw(console: Console) -> None:
        if not rows:
            console.print(empty)
            return
        drawn = Table(
            # Folded, never cut: the end of a digest counts as much as its start.
            *(Column(name, overflow="fold", no_wrap=wide or name in whole) for name in columns),
            box=None,
            pad_edge=False,
            header_style="bold",
            show_header=any(columns),
        )
        for row in rows:
            drawn.add_row(*(Text(shown(str(cell))) for cell in row))
        if wide:
            anything = console.options.update(width=_WIDEST)
            console.width = max(console.width, console.measure(drawn, options=anything).maximum)
        console.print(drawn)

    return draw


def say(*sentences: str) -> None:
    """Lines for people that are no result: on standard error."""
    lines(sentences)(Console(stderr=True, highlight=False))


def say_json(value: Any) -> None:
    """The same for programs, in one line."""
    typer.echo(_json(value), err=True)


def _json(value: Any, indent: int | None = None) -> str:
    """JSON in which what cannot be seen stands as an escape, which means the same to who reads
    it."""
    text = json.dumps(to_plain(value), indent=indent, ensure_ascii=False, default=str)
    for character in set(hidden(text)) - {"\n"}:
        text = text.replace(character, json.dumps(character)[1:-1])
    return text


def confirm(question: str, yes: bool) -> None:
    """Ask, unless `yes`. Raises `UsageRefused` where nobody can be asked or the answer is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageRefused(f"{question} Nobody can be asked here: give --yes.")
    if not typer.confirm(question, err=True):
        raise UsageRefused("Not confirmed; nothing was sent.")


def _refuse(error: Refusal, *, as_json: bool) -> NoReturn:
    if as_json:
        told = {"reason": error.reason, "message": str(error), "details": error.details}
        say_json({"error": told})
    else:
        say(*_sentences(error))
    raise typer.Exit(_code(error)) from None


def _sentences(error: Refusal) -> list[str]:
    """A refusal in full; what this client found before anybody refused in one sentence, which says
    it all."""
    if not isinstance(error, InputRefused | Unreachable):
        return explain_refusal(error.reason, str(error), error.details)
    told, details = str(error), error.details
    compared = [name for name in ("expected", "actual") if details.get(name, told) not in told]
    return [f"{error.reason}: {told}", *(f"  {name}: {details[name]}" for name in compared)]


def _code(error: Refusal) -> int:
    if isinstance(error, Unreachable):
        return EXIT_UNREACHABLE
    if isinstance(error, InputRefused):
        return EXIT_USAGE
    if error.reason == "AUTHORITY_UNAVAILABLE":
        return EXIT_UNREACHABLE
    return EXIT_REFUSED


def _silence() -> NoReturn:
    """The reader of our output has gone: nothing can be written any more, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(EXIT_REFUSED)
