# SPDX-License-Identifier: Apache-2.0
"""Ten clients of five organisations train one network on digits that none of them shows the others.
Then one of them lies, once against a mean and once against a median. Then with privacy, and epsilon
as it is spent.

    python examples/federation.py [--state FOLDER] [--plot FILE.png] [--rounds N] [--launcher
    gramine-direct]

Everything runs on this machine, in simulation, and is marked as that.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
from digits import network
from digits.clinics import CLIENTS, Clinics, initial
from digits.shares import Share, load_shares
from hospitals import add_launcher, build_of, launcher_options, running_host
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from placet.client import Client
from placet.client.federations import layout_of
from placet.governance.documents import Federate, Mean, Median
from placet.governance.privacy import epsilon_at

console = Console(highlight=False, width=110)
DELTA = "1e-5"
LIAR = "west-2"
LARGEST = 250
TERMS = Federate(
    model=None,
    layout=layout_of(network.new_state()),
    labels=("handwriting",),
    roster=CLIENTS,
    rounds=15,
    smallest_cohort=3,
    round_seconds=60,
    clip="5",
    noise=None,
    rule=Mean("mean"),
    largest_weight=LARGEST,
    rate="1",
    quarantine_rounds=2,
    attempts=2,
    deadline_seconds=60,
)


@dataclass
class Story:
    """One federation: what it is called, its terms, who lies, and what came of it."""

    title: str
    terms: Federate
    liar: str = ""
    accuracies: list[float] = field(default_factory=lambda: list[float]())
    epsilon: list[float] = field(default_factory=lambda: list[float]())


class Scene:
    """The host's address, everybody's keys, and everybody's digits."""

    def __init__(self, clinics: Clinics, address: str, pin: str) -> None:
        self.clinics = clinics
        self.shares, self.judging = load_shares(CLIENTS)
        self.homes = {name: clinics.home(name, address, pin) for name in CLIENTS}

    def play(self, client: Client, story: Story) -> None:
        """Start a federation, let ten clients take part in it, and judge each model as it comes
        out."""
        id = self.clinics.begin(
            client, story.terms, "To read handwriting better than each of us can alone."
        )
        with ThreadPoolExecutor(len(CLIENTS) + 1) as pool:
            parts = [pool.submit(self.take_part, name, id, story) for name in CLIENTS]
            parts.append(pool.submit(self.judge, id, story))
            for part in parts:
                part.result()

    def take_part(self, name: str, id: str, story: Story) -> None:
        """What a client does, at home: all that it takes."""
        keys, share = self.clinics.clients[name], self.shares[name]
        with Client.at_home(self.homes[name], simulated=True, keys=keys) as client:
            for round in client.federations.join(id, keys).rounds():
                state = round.model()
                trained, weight = train(state, share, round.number), len(share.labels)
                if name == story.liar:
                    trained, weight = lie(state, trained), LARGEST
                round.send(trained, min(weight, story.terms.largest_weight))

    def judge(self, id: str, story: Story) -> None:
        """Fetch each model as a client does, and judge it on digits that no training has seen."""
        keys = self.clinics.clients[CLIENTS[0]]
        with Client.at_home(self.homes[CLIENTS[0]], simulated=True, keys=keys) as client:
            federation = client.federations.join(id, keys)
            for status in client.runs.watch(id):
                for number in range(len(story.accuracies) + 1, status.federation.model_round + 1):
                    state = federation.receive(number).state
                    found = network.accuracy(state, self.judging.images, self.judging.labels)
                    story.accuracies.append(found)
                    spent = federation.charged().spent
                    story.epsilon.append(epsilon_at(spent, Fraction(DELTA)))
                    tell(story, number)
                if status.ended and status.state != "finished":
                    raise RuntimeError(f"{story.title}: {status.state}, {status.refusal}")


def train(state: network.State, share: Share, number: int) -> network.State:
    return network.train(state, share.images, share.labels, epochs=3, rate=0.3, seed=number)


def lie(state: network.State, trained: network.State) -> network.State:
    """The opposite of what training found, and far too much of it: as far as the clip lets it."""
    far = np.float32(1000)
    return {
        name: (array - far * (trained[name] - array)).astype(np.float32)
        for name, array in state.items()
    }


def tell(story: Story, number: int) -> None:
    spent = story.epsilon[-1]
    privacy = f", epsilon {spent:.2f} at delta {DELTA} spent" if story.terms.noise else ""
    console.print(
        f"   {story.title}: round {number}/{story.terms.rounds}: "
        f"{story.accuracies[-1]:.1%}{privacy}"
    )


def stories(terms: Federate) -> tuple[Story, ...]:
    """The private one first: once a ledger was charged for a model without noise, it has no bound
    any more."""
    equal = replace(terms, largest_weight=1)
    return (
        Story("all honest, mean with noise", replace(equal, clip="1", noise="1")),
        Story("all honest, mean", terms),
        Story("one lies, mean", terms, LIAR),
        Story("one lies, median", replace(equal, rule=Median("median")), LIAR),
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--state", type=Path, help="a new folder to keep everything in")
    arguments.add_argument("--plot", type=Path, default=Path("build/federation.png"))
    arguments.add_argument("--rounds", type=int, default=TERMS.rounds)
    add_launcher(arguments)
    given = arguments.parse_args()
    options = launcher_options(given)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="placet-federation-") as temporary:
        folder: Path = given.state or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        told = perform(folder, replace(TERMS, rounds=given.rounds), options)
    show(told)
    plot(told, given.plot)
    console.print(f"\n{time.monotonic() - started:.0f} seconds, everything SIMULATED.")
    check(told)
    print("demo-federation: ok")


def perform(folder: Path, terms: Federate, options: Sequence[str] = ()) -> tuple[Story, ...]:
    """Found the council, then play each story. `options` are the host's."""
    clinics = Clinics(folder, rounds=terms.rounds)
    clinics.build = build_of(options)
    with (
        running_host(folder, options=options) as (address, pin),
        clinics.connect(address, pin) as client,
    ):
        step(
            "Five clinics found a council; the university gives the network that training begins "
            "with."
        )
        clinics.found(client)
        sealed = clinics.give_network(client, dict(network.new_state()))
        terms = replace(terms, model=initial(sealed))
        scene, told = Scene(clinics, address, pin), stories(terms)
        for story in told:
            step(f"{story.title[0].upper()}{story.title[1:]}.")
            scene.play(client, story)
        report = client.log.audit()
        console.print(f"\n   log replayed: {report.checked} of {report.size} entries judged again")
        if not report.complete:
            raise RuntimeError("The audit is not complete.")
    return told


def step(text: str) -> None:
    console.print(f"\n[bold]{text}[/bold]")


def show(told: tuple[Story, ...]) -> None:
    """Every story's accuracy, beside what each client would have alone."""
    shares, judging = load_shares(CLIENTS)
    rounds = told[0].terms.rounds
    shown = sorted({1, (rounds + 1) // 2, rounds})
    table = Table("", *(f"round {number}" for number in shown), f"epsilon at {DELTA}")
    alone = [
        network.accuracy(
            network.train(network.new_state(), s.images, s.labels, epochs=45, rate=0.3, seed=0),
            judging.images,
            judging.labels,
        )
        for s in shares.values()
    ]
    table.add_row(
        "each client alone", *([""] * (len(shown) - 1)), f"{min(alone):.1%} to {max(alone):.1%}", ""
    )
    for story in told:
        accuracies = (f"{story.accuracies[number - 1]:.1%}" for number in shown)
        spent = f"{story.epsilon[-1]:.1f}" if story.terms.noise else "no bound"
        table.add_row(story.title, *accuracies, spent)
    step("Judged on digits that no training has seen:")
    console.print(table)


def plot(told: tuple[Story, ...], path: Path) -> None:
    """Accuracy by round, as PNG."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes: Any = cast("Any", figure).add_subplot()
    for story in told:
        numbers = range(1, len(story.accuracies) + 1)
        axes.plot(numbers, story.accuracies, marker="o", label=story.title)
    axes.set(
        xlabel="round", ylabel="accuracy", ylim=(0, 1), title="Ten clients, digits (SIMULATED)"
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    cast("Any", figure).savefig(path, dpi=120)
    console.print(f"\n   wrote {path}")


def check(told: tuple[Story, ...]) -> None:
    """What the stories are told for has to be so."""
    private, honest, mean, median = told
    last = {story.title: story.accuracies[-1] for story in told}
    holds = {
        "every round released a model": all(
            len(story.accuracies) == story.terms.rounds for story in told
        ),
        "epsilon is spent, and bounded": private.epsilon == sorted(private.epsilon)
        and 0 < private.epsilon[-1] < 100,
    }
    if honest.terms.rounds >= TERMS.rounds:
        margin = last[median.title] - last[mean.title]
        holds |= {
            "honest training gets somewhere": last[honest.title] > 0.9,
            "a median withstands a lie better than a mean": margin > 0.05,
            "noise leaves something to learn": last[private.title] > 0.6,
        }
    if failed := [what for what, holds_so in holds.items() if not holds_so]:
        raise SystemExit(f"demo-federation: failed: {'; '.join(failed)}")


if __name__ == "__main__":
    main()
