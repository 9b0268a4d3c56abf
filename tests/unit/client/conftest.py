# SPDX-License-Identifier: Apache-2.0
"""A host with its authority in this process, and a relay before it that can lie; a council; and
people with keys."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from placet.client import (
    Bundle,
    Client,
    GrantTerms,
    Home,
    Keys,
    SealedObject,
    build_bundle,
    seal_file,
)
from placet.governance.documents import (
    Card,
    Constitution,
    Job,
    Limits,
    Output,
    Party,
    Recipient,
    Rule,
    Seat,
    Serve,
    When,
)
from placet.governance.documents.serving import Rations, Raw, Roster
from placet.governance.documents.work.parts import Input
from placet.governance.rules import Approvals, Lifetime, Organisations, Role, Uses, Veto
from tests.support import documents
from tests.support.inside.enclaves import in_threads
from tests.support.inside.hosted import Hosted, hosted
from tests.support.inside.questions import Questions
from tests.support.live import Loop
from tests.support.machines.machine import Machine
from tests.support.nets import linear

DAY = 86400
PROGRAM = """
def main(job):
    with job.output("model") as sink:
        sink.write(bytes(range(256)) * 5000)
    with job.output("report") as sink:
        sink.write(b"fine")
"""


@pytest.fixture(scope="session")
def inside() -> Iterator[tuple[Loop, Machine]]:
    """Where hosts of these tests run, and the machine of their enclaves."""
    with in_threads():
        loop, machine = Loop(), Machine(os.urandom(32))
        yield loop, machine
        loop.close()
        machine.close()


@pytest.fixture
def host(
    inside: tuple[Loop, Machine], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hosted]:
    """A host of a test's own; nobody has founded its log."""
    loop, machine = inside
    manager = hosted(tmp_path_factory.mktemp("host"), loop, machine)
    yield loop.run(manager.__aenter__())
    loop.run(manager.__aexit__(None, None, None))


@pytest.fixture
def served(host: Hosted) -> tuple[str, str]:
    """Address and pin of the host."""
    return host.address, host.pin


@pytest.fixture
def home(tmp_path: Path, served: tuple[str, str]) -> Home:
    """A home folder configured for the host."""
    found = Home(tmp_path / "home")
    found.configure(*served)
    return found


@pytest.fixture
def client(home: Home, people: dict[str, Keys]) -> Iterator[Client]:
    """A client of that home, the analyst's."""
    with Client.at_home(home, simulated=True, keys=people["analyst"]) as connected:
        yield connected


@pytest.fixture(scope="session")
def people() -> dict[str, Keys]:
    """Keys by principal."""
    return {id: Keys.generate(id) for id in ("alice", "bob", "analyst", "owner")}


@pytest.fixture
def constitution(people: dict[str, Keys]) -> Constitution:
    """Two seats of two organisations, an owner and an analyst; a job takes both seats."""
    start, end = int(time.time()) - DAY, int(time.time()) + 365 * DAY
    seats = tuple(
        Seat(id, organisation, role, (people[id].signing.public,), start, end)
        for id, organisation, role in (("alice", "north", "member"), ("bob", "south", "guardian"))
    )
    parties = tuple(Party(id, "north", (people[id].signing.public,)) for id in ("analyst", "owner"))
    demands = (
        Approvals(2),
        Organisations(2),
        Role("guardian", 1),
        Veto("guardian"),
        Lifetime(30 * DAY),
        Uses(10),
    )
    rules = (Rule("all", "Everything", When("any", "any", "any"), demands),)
    return documents.constitution(seats, parties, rules=rules, limits=Limits(60, 600))


@pytest.fixture
def founded(client: Client, constitution: Constitution, people: dict[str, Keys]) -> Client:
    """The client, once the council has been founded with it."""
    draft = client.founding.draft(constitution)
    for seat in ("alice", "bob"):
        draft = client.founding.sign(draft, people[seat])
    client.founding.found(draft)
    return client


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The program of the job."""
    path = tmp_path_factory.mktemp("program") / "main.py"
    path.write_text(PROGRAM)
    return build_bundle(path)


@pytest.fixture
def job(people: dict[str, Keys], program: Bundle) -> Job:
    """A job without inputs for the analyst."""
    return documents.job(
        Recipient("analyst", people["analyst"].hpke.public.to_text()),
        program=program.digest,
        parameters={"epochs": 5, "shuffle": True},
        outputs={"model": Output(2_000_000), "report": Output(100)},
        attempts=1,
    )


@pytest.fixture
def propose(founded: Client, people: dict[str, Keys], job: Job) -> Callable[..., str]:
    """Propose the job, or another; returns the proposal's digest."""

    def run(proposed: Job = job) -> str:
        now = int(time.time())
        return founded.council.propose(
            people["analyst"],
            proposed,
            purpose="research",
            reason="To learn.",
            not_before=now - 10,
            not_after=now + DAY,
            uses=3,
        ).digest

    return run


@pytest.fixture
def submit(
    founded: Client, people: dict[str, Keys], job: Job, propose: Callable[..., str]
) -> Callable[..., str]:
    """Propose the job with a program, by default its own; vote, and have it run; returns its
    id."""

    def run(bundle: Bundle) -> str:
        founded.blobs.put(bundle.blob, bundle.data)
        digest = propose(replace(job, program=bundle.digest))
        for seat in ("alice", "bob"):
            founded.council.vote(people[seat], digest, "placet")
        return founded.runs.start(founded.council.ticket(digest)).id

    return run


@pytest.fixture
def released(founded: Client, submit: Callable[..., str], program: Bundle) -> str:
    """The id of a job that was approved, has run, and was released."""
    job = submit(program)
    assert founded.runs.wait(job).state == "finished"
    return job


@pytest.fixture(scope="session")
def sealed_model(
    people: dict[str, Keys], tmp_path_factory: pytest.TempPathFactory
) -> tuple[SealedObject, Path]:
    """A model that multiplies rows of four numbers with WEIGHTS, as its owner has sealed it."""
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(linear())
    owner, sealed = people["owner"].hpke.public, path.with_suffix(".sealed")
    return seal_file(path, sealed, owner, kind="model", labels=()), sealed


@pytest.fixture
def give(founded: Client, people: dict[str, Keys]) -> Callable[[SealedObject, Path], None]:
    """Put an object of the owner's and grant everything, once."""
    given = set[str]()

    def run(made: SealedObject, sealed: Path) -> None:
        if made.descriptor.id in given:
            return
        given.add(made.descriptor.id)
        anything: Any = "any"
        terms = GrantTerms(
            anything, anything, anything, anything, anything, None, "any", (), "any", "any",
            int(time.time()) + 300 * DAY, False,
        )  # fmt: skip
        founded.blobs.put(made.descriptor.id, sealed)
        grant = founded.grants.sign(people["owner"], made.descriptor, terms)
        founded.grants.provision(people["owner"], grant, made.open_key(people["owner"].hpke))

    return run


@pytest.fixture
def terms(sealed_model: tuple[SealedObject, Path]) -> Serve:
    """A model of four numbers a row, for the analyst and the owner."""
    now = int(time.time())
    return documents.serve(
        Input(sealed_model[0].descriptor, "owner"),
        Roster("roster", ("analyst", "owner")),
        card=Card("Triage", ("health",), "", None, now + 30 * DAY),
        rations=Rations(10_000, 100_000, 10_000, 100),
        answers={"probabilities": Raw("raw")},
        largest_request=4,
        review=now + 10 * DAY,
        deadline_seconds=DAY,
    )


@pytest.fixture
def questions(host: Hosted) -> Questions:
    """What passes the relay of questions; workers are described by it."""
    return Questions(host)


@pytest.fixture
def serve(
    founded: Client,
    home: Home,
    people: dict[str, Keys],
    terms: Serve,
    sealed_model: tuple[SealedObject, Path],
    give: Callable[[SealedObject, Path], None],
) -> Callable[..., str]:
    """Propose a service, vote, and serve with one worker that is ready; returns its id."""

    def run(model: tuple[SealedObject, Path] = sealed_model, **changes: Any) -> str:
        now = int(time.time())
        give(*model)
        digest = founded.council.propose(
            people["owner"],
            replace(terms, model=Input(model[0].descriptor, "owner"), **changes),
            purpose="care",
            reason="To answer.",
            not_before=now - 10,
            not_after=now + DAY,
            uses=10,
        ).digest
        for seat in ("alice", "bob"):
            founded.council.vote(people[seat], digest, "placet")
        with Client.at_home(home, keys=people["owner"]) as owner:
            owner.runs.start(founded.council.ticket(digest))
        assert next(told for told in founded.runs.watch(digest) if told.settled).state == "running"
        return digest

    return run
