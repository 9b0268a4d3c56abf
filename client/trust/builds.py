# SPDX-License-Identifier: Apache-2.0
"""Builds of the enclaves: the name, what it was made of, and the measurements in simulation.

    FOLDER        what `make enclave` made: build.json, whose measurements are taken again
    release       what is released with this client: release.json, signed by one of RELEASE_KEYS
    development   what is installed beside this client, made by whatever compiler was here

A measurement that is written down without its build's name could be that of any of them.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from placet.builds.measurement import LOCKS, installed_at, measure
from placet.client.errors import FileRefused
from placet.client.files import read_file
from placet.governance.codec import decode, malformed
from placet.governance.envelope import verify_signed
from placet.governance.keys import PublicKey
from placet.refusals import DocumentMalformed, DocumentTooLarge

DEVELOPMENT = "development"
RELEASE = "release"
# Who signs releases, as `placet keygen` prints the key. Nobody yet: there is no release.
RELEASE_KEYS: tuple[str, ...] = ()
AEADS = ("openssl", "ipsec-mb")

_DESCRIPTION = "build.json"
_RELEASE_FILE = Path(__file__).parents[1] / "release.json"
_MAX_FILE = 256 * 1024
_CHANGED = "+changes"
_COMMIT_DIGITS = 40
_COMMIT = re.compile(rf"[0-9a-f]{{{_COMMIT_DIGITS}}}({re.escape(_CHANGED)})?|none")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Build:
    """What a build was made of; `locks` and `measurements` are by enclave, 64 hexadecimal digits.

    `commit` is of the sources, "+changes" at its end if they differ from it; "none" outside of a
    repository. Raises `DocumentMalformed`.
    """

    version: str
    commit: str
    architecture: str
    python: str
    aead: str
    compiler: str
    locks: dict[str, str]
    measurements: dict[str, str]

    def __post_init__(self) -> None:
        if not _COMMIT.fullmatch(self.commit):
            raise malformed("commit", "40 hexadecimal digits", "something else")
        for name in ("version", "architecture", "python", "compiler"):
            if not _WORD.fullmatch(getattr(self, name)):
                raise malformed(name, "a word of at most 64 characters", "something else")
        if self.aead not in AEADS:
            raise malformed("aead", " or ".join(AEADS), "something else")
        for name in ("locks", "measurements"):
            found: dict[str, str] = getattr(self, name)
            if found.keys() != LOCKS.keys() or not all(map(_DIGEST.fullmatch, found.values())):
                raise malformed(name, "64 hexadecimal digits for each enclave", "something else")

    @property
    def platform(self) -> tuple[str, str, str]:
        """What builds of one commit differ in."""
        return self.architecture, self.python, self.aead

    @property
    def name(self) -> str:
        """The words for it, on one line."""
        place = f"CPython {self.python}, {self.architecture}, AES-GCM by {self.aead}"
        commit, changes, _ = self.commit.partition(_CHANGED)
        return f"Placet {self.version}, commit {commit[:12]}{changes}, {place}"


@dataclass(frozen=True, slots=True)
class Release:
    """The builds of one commit, one for each platform. Raises `DocumentMalformed`."""

    KIND: ClassVar[str] = "release"

    version: str
    builds: tuple[Build, ...]

    def __post_init__(self) -> None:
        sources = {(build.version, build.commit) for build in self.builds}
        if len(sources) != 1 or self.builds[0].version != self.version:
            raise malformed("builds", "builds of one version and commit", f"{len(sources)} of them")
        if len(self.builds[0].commit) != _COMMIT_DIGITS:
            raise malformed("commit", "a commit without changes", self.builds[0].commit)
        if len({build.platform for build in self.builds}) != len(self.builds):
            raise malformed("builds", "one for each platform", "two for one")


def verify_release(envelope: bytes, keys: Iterable[str] = RELEASE_KEYS) -> Release:
    """Return the release in an envelope that one of these keys has signed.

    Raises `SignatureInvalid`, `DocumentMalformed`, `DocumentTooLarge` or `PayloadType`.
    """
    accepted = [PublicKey(key) for key in keys]
    return verify_signed(envelope, Release, lambda _: accepted).document


def read_build(folder: Path) -> Build:
    """Return the description of a build, each of whose measurements has been taken again.

    Raises `FileRefused` or MeasurementFailed.
    """
    path = folder / _DESCRIPTION
    if not path.is_file():
        raise FileRefused(
            f"{folder} is no build of the enclaves. Make one (make enclave), or name another."
        )
    try:
        build = decode(Build, read_file(path, _MAX_FILE))
    except (DocumentMalformed, DocumentTooLarge) as refusal:
        raise FileRefused(f"{path} describes no build. {refusal}") from None
    for enclave, said in build.measurements.items():
        if (found := measure(enclave, folder)) != said:
            raise FileRefused(
                f"The build in {folder} was changed after it was made. Make it again.",
                claim=enclave,
                expected=said,
                actual=found,
            )
    return build


def released() -> Release:
    """Return the release that ships with this client.

    Raises `FileRefused`, or as `verify_release` does.
    """
    if not _RELEASE_FILE.exists():
        raise FileRefused(
            "This is no release of Placet: no measurements are released with it. Make a build "
            "(make enclave), and name its folder."
        )
    return verify_release(read_file(_RELEASE_FILE, _MAX_FILE))


def named_measurements(which: str) -> dict[str, Mapping[str, str]]:
    """Return the measurements of each build, by its name; `which` is as in the module's list.

    Raises `FileRefused`, MeasurementFailed (without a kernel KernelMissing), or as
    `verify_release` does.
    """
    if which == RELEASE:
        return {build.name: build.measurements for build in released().builds}
    if which == DEVELOPMENT:
        place = json.dumps(str(installed_at()))
        return {f"development build in {place}": {one: measure(one) for one in LOCKS}}
    build = read_build(Path(which))
    return {build.name: build.measurements}
