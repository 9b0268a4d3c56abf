# SPDX-License-Identifier: Apache-2.0
"""The cast of the demo: three hospitals, a privacy office, a patients' council, a university, and
the host they all distrust."""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from shares import HOSPITALS, Rows

from placet.attestation import (
    SIMULATION_SIGNER,
    Policy,
)
from placet.builds.measurement import measurements
from placet.client import (
    Client,
    CouncilMemory,
    GrantTerms,
    Home,
    Keys,
    SealedObject,
    build_bundle,
    seal_file,
)
from placet.governance.documents import (
    Constitution,
    Evidence,
    Input,
    Job,
    Limits,
    Organisation,
    Output,
    Party,
    Recipient,
    Rule,
    Seat,
    When,
)
from placet.governance.rules import (
    Approvals,
    Independence,
    Lifetime,
    Organisations,
    Rationale,
    Role,
    Uses,
    Veto,
)
from placet.host import LauncherMissing, require_launcher

HERE = Path(__file__).resolve().parent
MANIFESTS = Path("build/gramine/simulated")
YEAR = 366 * 86400


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """How the enclaves are started. What runs on SGX itself has evidence that these councils'
    policies do not accept."""
    parser.add_argument("--launcher", choices=("native", "gramine-direct"), default="native")
    parser.add_argument("--manifests", type=Path, default=MANIFESTS, help="of Gramine")
    parser.add_argument("--enclave", type=Path, help="a build of the enclaves (make enclave)")


def launcher_options(arguments: argparse.Namespace) -> list[str]:
    """The host's options for what was asked for; ends where the launcher is not installed."""
    try:
        require_launcher(arguments.launcher)
    except LauncherMissing as error:
        sys.exit(f"demo: {error}")
    build = ["--enclave", str(arguments.enclave)] if arguments.enclave else []
    return ["--launcher", arguments.launcher, "--manifests", str(arguments.manifests), *build]


def build_of(options: Sequence[str]) -> Path | None:
    """The build of the enclaves that a host with these options runs; None: a development build."""
    named = list(options)
    return Path(named[named.index("--enclave") + 1]) if "--enclave" in named else None


@contextlib.contextmanager
def running_host(
    folder: Path,
    listen: str = "127.0.0.1:0",
    options: Sequence[str] = (),
    *,
    cpu: Path | None = None,
) -> Generator[tuple[str, str]]:
    """A host as a process of its own, over `folder`/host and `cpu` (`folder`/cpu); gives its
    address and pin."""
    command = [sys.executable, "-m", "placet.host", "--listen", listen]
    command += ["--state", str(folder / "host"), "--cpu", str(cpu or folder / "cpu")]
    command += ["--origin", "demo.placet/log", "--max-workers", "3", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = dict(line.split() for line in (process.stdout.readline() for _ in range(2)))
            yield said["address"], said["pin"]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


class Members(ABC):
    """Some people's keys and homes in one place, which in real life they never are."""

    def __init__(self, folder: Path, seats: Iterable[str], *, uses: int) -> None:
        self.folder = folder
        self.build: Path | None = None  # of the enclaves; None: what is installed here
        self.uses = uses  # the most that a proposal may ask for
        self.seats = {name: Keys.generate(name) for name in seats}
        self.analyst = Keys.generate("analyst")
        self.memory = CouncilMemory(folder / "analyst" / "memory")
        for name, keys in {**self.seats, "analyst": self.analyst}.items():
            self.keep(name, keys)

    def wanted(self, role: str) -> dict[str, object]:
        """Which enclaves are wanted: those of the build, simulated, and no others."""
        return Policy(
            kinds=("simulation",),
            measurements=measurements(role, self.build),
            signers=(SIMULATION_SIGNER,),
            product="any",
            launched_for="any",
            platforms="any",
            smt="any",
            dynamic_platform="any",
            tcb_statuses=("UpToDate",),
            advisories="none",
            min_svn="any",
            min_snp_tcb="any",
            snp_bits_required="none",
            snp_bits_allowed="known",
            min_tcb_evaluation="any",
            max_collateral_age_seconds=30 * 86400,
        ).to_dict()

    def keep(self, name: str, keys: Keys) -> None:
        """Write keys into somebody's folder."""
        (self.folder / name).mkdir(parents=True, exist_ok=True)
        keys.save(self.folder / name / f"{keys.id}.key")

    @abstractmethod
    def constitution(self) -> Constitution:
        """What they agree on."""

    def connect(self, address: str, pin: str) -> Client:
        """A client with the analyst's memory of the log; waits until the authority answers."""
        client = Client.connect(address, pin, memory=self.memory, simulated=True, keys=self.analyst)
        deadline = time.monotonic() + 60
        while True:
            try:
                client.authority.evidence("sha256:" + "00" * 32)
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return client

    def found(self, client: Client) -> int:
        """Every seat checks the authority's evidence with a nonce of its own and signs; returns the
        log's size."""
        draft = client.founding.draft(self.constitution())
        for keys in self.seats.values():
            draft = client.founding.sign(draft, keys)
        return client.founding.found(draft).checkpoint.size

    def home(self, name: str, address: str, pin: str) -> Home:
        """Somebody's home folder, set up for the host."""
        home = Home(self.folder / name / "home")
        home.configure(address, pin, self.memory.charter)
        return home

    def give_model(
        self, client: Client, name: str, content: bytes, labels: tuple[str, ...]
    ) -> SealedObject:
        """Seal a model of the analyst's, hand it over, and provision its key under a grant that any
        proposal may use."""
        plain, sealed = (self.folder / "analyst" / f"{name}.{end}" for end in ("model", "sealed"))
        plain.write_bytes(content)
        made = seal_file(plain, sealed, self.analyst.hpke.public, kind="model", labels=labels)
        client.blobs.put(made.descriptor.id, sealed, owner=self.analyst.signing.public)
        terms = GrantTerms(
            purposes="any",
            programs="any",
            parameters="any",
            recipients="any",
            combine_with="any",
            evidence=None,
            witnesses="any",
            approvals=(),
            privacy="any",
            uses="any",
            expires=int(time.time()) + 30 * 86400,
            recoverable=False,
        )
        grant = client.grants.sign(self.analyst, made.descriptor, terms)
        client.grants.provision(self.analyst, grant, made.open_key(self.analyst.hpke))
        return made

    def vote(self, client: Client, proposal: str, *names: str) -> None:
        """These seats say placet."""
        for name in names:
            client.council.vote(
                self.seats[name],
                proposal,
                "placet",
                interests="none",
                rationale=f"{name.title()} has read the program and the grants.",
            )


class Council(Members):
    """The three hospitals and whom they answer to."""

    def __init__(self, folder: Path, *, uses: int = 3) -> None:
        super().__init__(folder, (*HOSPITALS, "privacy", "patients"), uses=uses)
        # One seat, two keys: a laptop and a phone, say. It has one vote all the same.
        self.phone = Keys.generate("north")
        self.owners = {name: Keys.generate(f"{name}-data") for name in HOSPITALS}
        self.objects: dict[str, SealedObject] = {}
        for name, keys in self.owners.items():
            self.keep(name, keys)

    def constitution(self) -> Constitution:
        """Three approvals of three organisations, a privacy officer among them; the patients have a
        veto."""
        now = int(time.time())
        roles = {"privacy": "privacy-officer", "patients": "patients-representative"}
        seats = tuple(
            Seat(
                id=name,
                organisation=name,
                role=roles.get(name, "hospital-board"),
                keys=(
                    keys.public.signing,
                    *((self.phone.public.signing,) if name == "north" else ()),
                ),
                term_start=now - 60,
                term_end=now + YEAR,
            )
            for name, keys in self.seats.items()
        )
        owners = (Party(k.id, name, (k.public.signing,)) for name, k in self.owners.items())
        analyst = Party("analyst", "university", (self.analyst.public.signing,))
        return Constitution(
            nonce=os.urandom(16).hex(),
            version=1,
            predecessor=None,
            name="Three hospitals",
            organisations=tuple(
                Organisation(name, title)
                for name, title in {
                    **{name: f"Hospital {name.title()}" for name in HOSPITALS},
                    "privacy": "Privacy office",
                    "patients": "Patients' council",
                    "university": "University",
                }.items()
            ),
            seats=seats,
            parties=(*owners, analyst),
            labels=("health",),
            rules=(self._rule(),),
            evidence=Evidence(authority=self.wanted("authority"), worker=self.wanted("worker")),
            limits=Limits(lease_seconds=6, join_seconds=600),
            witnesses="none",
            recovery="none",
        )

    def _rule(self) -> Rule:
        demands = (
            Approvals(3),
            Organisations(3),
            Role("privacy-officer", 1),
            Veto("patients-representative"),
            Independence("submitter"),
            Rationale(),
            Lifetime(7 * 86400),
            Uses(self.uses),
        )
        return Rule(
            "health-research",
            "Research on health data",
            When(("job",), ("research",), ("health",)),
            demands,
        )

    def seal_and_grant(self, client: Client, hospital: str, rows: Rows) -> str:
        """Seal a hospital's rows at home, hand over the ciphertext, and grant; the grant's
        digest."""
        keys, home = self.owners[hospital], self.folder / hospital
        plain, sealed = home / "patients.npy", home / "patients.sealed"
        np.save(plain, rows)
        made = seal_file(plain, sealed, keys.hpke.public, kind="dataset", labels=("health",))
        self.objects[hospital] = made
        (home / "patients.object.json").write_bytes(made.to_bytes())
        client.blobs.put(made.descriptor.id, sealed, owner=keys.signing.public)
        return self.grant(client, hospital)

    def grant(self, client: Client, hospital: str) -> str:
        """Grant the use of a hospital's sealed rows, and provision their key under the grant; its
        digest."""
        keys, made = self.owners[hospital], self.objects[hospital]
        terms = GrantTerms(
            purposes=("research",),
            programs="any",
            parameters="any",
            recipients=(self.analyst.hpke.public.to_text(),),
            combine_with=tuple(other.id for other in self.owners.values()),
            evidence=None,
            witnesses="any",
            approvals=(),
            privacy="any",
            uses="any",
            expires=int(time.time()) + 30 * 86400,
            recoverable=False,
        )
        grant = client.grants.sign(keys, made.descriptor, terms)
        return client.grants.provision(keys, grant, made.open_key(keys.hpke)).digest

    def propose(
        self,
        client: Client,
        program: str,
        parameters: Mapping[str, str | int | bool],
        output: str,
        *,
        hospitals: tuple[str, ...] = HOSPITALS,
        uses: int = 1,
        reason: str = "A model to read biopsies by, better than each of us has alone.",
    ) -> str:
        """Upload a program and propose a job over it; returns the proposal's digest."""
        bundle = build_bundle(HERE / program)
        client.blobs.put(bundle.blob, bundle.data, owner=self.analyst.signing.public)
        inputs = {h: Input(self.objects[h].descriptor, self.owners[h].id) for h in hospitals}
        job = Job(
            program=bundle.digest,
            inputs=inputs,
            parameters=dict(parameters),
            outputs={output: Output(64 * 1024)},
            recipients=(Recipient("analyst", self.analyst.hpke.public.to_text()),),
            privacy=None,
            attempts=2,
            deadline_seconds=60,
        )
        now = int(time.time())
        return client.council.propose(
            self.analyst,
            job,
            purpose="research",
            reason=reason,
            not_before=now - 60,
            not_after=now + 86400,
            uses=uses,
        ).digest
