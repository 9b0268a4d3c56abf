# SPDX-License-Identifier: Apache-2.0
"""A council in one folder: all keys, the home, and the host's state. In real life they never lie
together."""

import time
from collections.abc import Callable
from pathlib import Path

from placet.client.cli.starting._steps import Steps, near
from placet.client.drafts.council import dev_constitution, dev_values, ids_of
from placet.client.errors import SettingMissing
from placet.client.files import write_file
from placet.client.home import Home
from placet.client.installing import install
from placet.client.keys import PublicKeys
from placet.client.trust.builds import DEVELOPMENT, named_measurements
from placet.governance.codec import decode, encode
from placet.governance.documents import Constitution
from placet.refusals import KernelMissing

_HOME_SAYS = "export PLACET_HOME={}"


class DevCouncil:
    """The council of a folder; nothing is made before `prepare`."""

    def __init__(self, folder: Path) -> None:
        from placet.client.cli import app  # the whole command, of which this is a part

        self.folder = folder
        self.home = Home(folder.absolute() / "home")
        self.steps = Steps(app, self.home.folder)

    @property
    def begun(self) -> bool:
        """Whether its constitution is written already."""
        return self._file.exists()

    @property
    def _file(self) -> Path:
        return self.folder / "constitution.json"

    @property
    def constitution(self) -> Constitution:
        """The constitution that it was founded with."""
        return decode(Constitution, self._file.read_bytes())

    @property
    def submitter(self) -> str:
        """Who owns data and submits in `placet dev run`: the first party, or else the first
        seat."""
        found = self.constitution
        return (found.parties or found.seats)[0].id

    def key_of(self, id: str) -> Path:
        """The key file of a seat or party."""
        return self.folder.absolute() / "keys" / f"{id}.key"

    def prepare(self, source: Path | None) -> None:
        """Keys, and the constitution that the file asks for; unless they are there. Raises
        `FileRefused`, `DocumentMalformed`, `ConstitutionInvalid` or `SettingMissing`."""
        if self.begun:
            return
        values = dev_values(source)
        try:
            builds = named_measurements(DEVELOPMENT)
        except KernelMissing:
            raise SettingMissing(
                "The enclaves are not installed, or were without a C compiler. Run: "
                f"{install('host', 'enclave')}"
            ) from None
        self.steps.title("Keys of everybody, which in real life never lie together.")
        for id in ids_of(values):
            path = self.key_of(id)
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                self.steps("keygen", id, "--out", near(path), quiet=True)
        texts = {id: self.public_of(id).signing.text for id in ids_of(values)}
        document = dev_constitution(values, texts, builds, int(time.time()))
        write_file(self._file, encode(document))

    def public_of(self, id: str) -> PublicKeys:
        """The public keys of a seat or party."""
        return PublicKeys.load(self.key_of(id).with_name(f"{id}.pub.json"))

    def found(self, address: str, pin: str, ready: Callable[[], None]) -> None:
        """Set up the home for this host, and found the council unless it is."""
        self.home.configure(address, pin)
        ready()
        draft = self.folder / "charter.json"
        if self.home.memory().newest() is None:
            self.steps.title("A host, and a council that is founded at it.")
            typed = f"placet host --state {near(self.folder / 'host')} "
            self.steps.show(typed + f"--cpu {near(self.folder / 'cpu')} --listen {address} &")
            self.steps.show(_HOME_SAYS.format(near(self.home.folder)))
            self.steps("init", "--host", address, "--pin", pin, quiet=True)
            if not draft.exists():
                self.steps("charter", "draft", near(self._file), "--out", near(draft), quiet=True)
            for seat in self.constitution.seats:
                signer = near(self.key_of(seat.id))
                self.steps("charter", "sign", near(draft), "--key", signer, "--yes", quiet=True)
            self.steps("charter", "submit", near(draft), quiet=True)
        self.home.use_key(self.key_of(self.submitter))
