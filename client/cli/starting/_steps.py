# SPDX-License-Identifier: Apache-2.0
"""Commands of `placet` one after the other, in this process: each is shown as it is typed by hand,
and is the very command."""

import io
import os
import shlex
from collections.abc import Generator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import typer

from placet.client.cli import _frame

# What the user has set for another council counts for none of these commands.
_ELSEWHERE = ("PLACET_KEY", "PLACET_PASS", "PLACET_CERTIFICATE", "PLACET_HOME")


class Steps:
    """Commands at one home folder. `app` is the whole command."""

    def __init__(self, app: typer.Typer, home: Path) -> None:
        self._command = typer.main.get_command(app)
        self._home = home

    def title(self, text: str) -> None:
        """A line on what the commands below it are for."""
        typer.echo(f"# {text}")

    def show(self, typed: str) -> None:
        """A line as it is typed by hand, for what is done here in another way."""
        typer.echo(f"$ {typed}")

    def __call__(self, *arguments: str, quiet: bool = False) -> Any:
        """Run a command; its value. quiet: what it says is shown only if it is refused. Raises
        `typer.Exit`."""
        words = list(arguments)
        self.show(shlex.join(["placet", *words]))
        said = io.StringIO()
        with _alone(self._home):
            if quiet:
                with redirect_stdout(said), redirect_stderr(said):
                    code = self._run(words)
            else:
                code = self._run(words)
        if code:
            typer.echo(said.getvalue(), nl=False, err=True)
            raise typer.Exit(code)
        return _frame.last_shown()

    def _run(self, words: Sequence[str]) -> int:
        return int(self._command(list(words), standalone_mode=False) or 0)


@contextmanager
def _alone(home: Path) -> Generator[None]:
    """The environment without what is another council's."""
    kept = {name: os.environ.pop(name) for name in _ELSEWHERE if name in os.environ}
    os.environ["PLACET_HOME"] = str(home)
    try:
        yield
    finally:
        del os.environ["PLACET_HOME"]
        os.environ.update(kept)


def near(path: Path) -> str:
    """A path as it is shown and typed: from here where it lies below."""
    here = Path.cwd()
    full = path.absolute()
    return str(full.relative_to(here)) if full.is_relative_to(here) else str(full)
