# SPDX-License-Identifier: Apache-2.0
"""The blocking client, made from the asynchronous one: client/blocking.py; and docs/sdk.md, which
lists both.

    python deploy/blocking.py --out build/blocking      # blocking.py and sdk.md

Only sources are read, and nothing is imported: what is made may be missing or wrong. Each class
`Async<Name>` becomes `<Name>` with the same names, signatures and docstrings. A coroutine is waited
for, an asynchronous iterator becomes an iterator, and what is of an `Async` class itself is
wrapped.
"""

import argparse
import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CLIENT = Path(__file__).resolve().parents[1] / "client"
# In the order in which one needs another.
SOURCES = {
    "log/log.py": ["AsyncLog"],
    "council/council.py": ["AsyncCouncil"],
    "council/authority.py": ["AsyncAuthority"],
    "council/founding.py": ["AsyncFounding"],
    "data/blobs.py": ["AsyncBlobs"],
    "data/grants.py": ["AsyncGrants"],
    "runs/runs.py": ["AsyncRuns"],
    "jobs/jobs.py": ["AsyncJobs"],
    "federations/rounds.py": ["AsyncRound", "AsyncFederation"],
    "federations/federations.py": ["AsyncFederations"],
    "services/model.py": ["AsyncServedModel"],
    "services/services.py": ["AsyncServices"],
    "aio.py": ["AsyncClient"],
}
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
HEAD = '''\
# SPDX-License-Identifier: Apache-2.0
# Made by `make blocking` from the asynchronous client: change that, and make this again.
"""The client for programs without an event loop: the same core, run in a background thread.

    with Client.at_home(Home.default()) as client:
        run = client.runs.start(client.council.ticket(digest))
        for status in client.runs.watch(run.id):
            ...

Progress callbacks are called from that thread.
"""

'''
PAGE = """\
# The SDK

`placet.client` has one object for a host and a council, `Client`, whose parts are below:
`client.runs.start(...)`, `client.council.vote(...)`. `AsyncClient` has the same parts for programs
in an event loop; there a method is a coroutine, and what is iterated over is an asynchronous
iterator. `make blocking` makes this page, and `Client`, from `AsyncClient`.

```python
from placet.client import Client, Home

with Client.at_home(Home.default()) as client:
    print(client.status())
```
"""


@dataclass(frozen=True)
class Member:
    """A public name of a class: a method, a property, or an attribute that the class declares."""

    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.AnnAssign

    @property
    def signature(self) -> str:
        """What follows the name, with what a blocking call gives."""
        if isinstance(self.node, ast.AnnAssign):
            return plain(ast.unparse(self.node.annotation))
        returned = plain(ast.unparse(self.node.returns)) if self.node.returns else "None"
        return f"({ast.unparse(self.node.args)}) -> {returned}"

    @property
    def decorators(self) -> set[str]:
        """Their names."""
        if isinstance(self.node, ast.AnnAssign):
            return {"property"}
        return {ast.unparse(each) for each in self.node.decorator_list}

    @property
    def doc(self) -> str:
        """The docstring as it stands, indentation and all."""
        if isinstance(self.node, ast.AnnAssign):
            return ""
        return ast.get_docstring(self.node) or ""


def plain(annotation: str) -> str:
    """The blocking type of an asynchronous one."""
    text = re.sub(r"\bAsync(?=[A-Z])", "", annotation)
    return re.sub(r"'(\w+)'", r"\1", text)


def members(node: ast.ClassDef) -> Iterator[Member]:
    """The public names of a class, in its order. How it ends stands in portal.py."""
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            yield Member(each.target.id, each)
        elif isinstance(each, FUNCTION) and not each.name.startswith("_") and each.name != "close":
            yield Member(each.name, each)


def method(cls: str, member: Member) -> str:
    """A member of the blocking class."""
    node = member.node
    asked = f"self._core.{member.name}"
    if isinstance(node, ast.AnnAssign):
        return f"@property\ndef {member.name}(self) -> {member.signature}:\n    return {asked}"
    returns = ast.unparse(node.returns) if node.returns else "None"
    made = re.search(r"Async[A-Z]\w+", returns.replace("AsyncIterator", ""))
    body = asked
    if "property" not in member.decorators:
        own = [each.arg for each in node.args.args[1:]]
        own += [f"{each.arg}={each.arg}" for each in node.args.kwonlyargs]
        body += f"({', '.join(own)})"
    if "classmethod" in member.decorators:
        body = f"cls._opened({body.replace('self._core', cls)})"
    elif returns.startswith("AsyncIterator"):
        body = f"self._portal.iterate({body})"
    elif isinstance(node, ast.AsyncFunctionDef):
        body = f"self._portal.run({body})"
    if made:
        wrapped = f"{plain(made.group())}(self._portal, "
        iterated = returns.startswith("AsyncIterator")
        body = f"({wrapped}each) for each in {body})" if iterated else f"{wrapped}{body})"
    doc = f'"""{member.doc}"""\n' if member.doc else ""
    decorated = "".join(f"@{each}\n" for each in sorted(member.decorators))
    inside = textwrap.indent(f"{doc}return {body}", "    ")
    return f"{decorated}def {member.name}{member.signature}:\n{inside}"


def blocking(node: ast.ClassDef) -> str:
    """The blocking form of an asynchronous class."""
    found = list(members(node))
    ends = any(isinstance(n, ast.AsyncFunctionDef) and n.name == "close" for n in node.body)
    kind = "Blocking" + ("" if not ends else "Client" if node.name == "AsyncClient" else "Context")
    parts = [m for m in found if is_part(m)]
    lines = [f'"""{ast.get_docstring(node) or ""}"""']
    if parts:
        assigned = [f"    self.{m.name} = {m.signature}(portal, core.{m.name})" for m in parts]
        head = f"def __init__(self, portal: Portal, core: {node.name}) -> None:"
        lines.append("\n".join([head, "    super().__init__(portal, core)", *assigned]))
    lines += [method(node.name, m) for m in found if m not in parts]
    body = textwrap.indent("\n\n".join(lines), "    ")
    return f"class {plain(node.name)}({kind}[{node.name}]):\n{body}\n"


def part(member: Member) -> str:
    """The type of a declared attribute; of anything else nothing."""
    return ast.unparse(member.node.annotation) if isinstance(member.node, ast.AnnAssign) else ""


def is_part(member: Member) -> bool:
    """Whether it is a part of the client."""
    return part(member).startswith("Async")


def imports(module: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Each name that a source knows, with the line that imports it."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            for each in node.names:
                text = ast.unparse(ast.ImportFrom(node.module, [each], 0))
                yield each.asname or each.name, text
        elif isinstance(node, ast.Import):
            for each in node.names:
                yield each.asname or each.name, ast.unparse(ast.Import([each]))
        else:
            for name in defined(node):
                yield name, f"from {module} import {name}"


def defined(node: ast.stmt) -> list[str]:
    """The names that a statement of a module makes."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [each.id for each in targets if isinstance(each, ast.Name)]


def classes() -> tuple[list[ast.ClassDef], dict[str, str]]:
    """The asynchronous classes, and what imports the names that stand in their sources."""
    found: list[ast.ClassDef] = []
    known: dict[str, str] = {}
    for source, names in SOURCES.items():
        tree = ast.parse((CLIENT / source).read_text())
        module = "placet.client." + source.removesuffix(".py").replace("/", ".")
        known |= dict(imports(module, tree))
        by_name = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        found += [by_name[name] for name in names]
    return found, known


def module() -> str:
    """client/blocking.py, before it is formatted."""
    found, known = classes()
    body = "\n\n".join(map(blocking, found))
    made = {plain(node.name) for node in found}
    used = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)} - made
    lines = {known[name] for name in used if name in known}
    lines |= {
        "from collections.abc import Iterator",
        "from placet.client.portal import Blocking, BlockingClient, BlockingContext, Portal",
    }
    return HEAD + "\n".join(sorted(lines)) + "\n\n\n" + body


def page() -> str:
    """docs/sdk.md."""
    found, _ = classes()
    client = found[-1]
    parts = {part(m): m.name for m in members(client) if is_part(m)}
    docs = {node.name: (ast.get_docstring(node) or "").partition("\n\n")[0] for node in found}
    listed = [
        textwrap.fill(f"* `client.{name}`: {docs[kind]}", 100, subsequent_indent="  ")
        for kind, name in parts.items()
    ]
    text = [PAGE, *listed, "", section("Client", client)]
    for node in found[:-1]:
        title = f"client.{parts[node.name]}" if node.name in parts else plain(node.name)
        text.append(section(title, node))
    return "\n".join(text)


def section(title: str, node: ast.ClassDef) -> str:
    """A class: what it is, and each of its names."""
    lines = [f"## `{title}`", "", ast.get_docstring(node) or "", ""]
    for member in members(node):
        if is_part(member):
            continue
        shown = re.sub(r"^\((?:self|cls)(?:, )?", "(", member.signature)
        if "property" in member.decorators:
            shown = ": " + shown.removeprefix("() -> ")
        call = textwrap.fill(member.name + shown, 96, subsequent_indent="    ")
        lines += ["```text", call, "```", "", member.doc, ""]
    return "\n".join(lines)


def main() -> None:
    """Write both."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write into")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    (out / "blocking.py").write_text(module())
    (out / "sdk.md").write_text(re.sub(r"\n{3,}", "\n\n", page()).rstrip() + "\n")


if __name__ == "__main__":
    main()
