# SPDX-License-Identifier: Apache-2.0
"""Builds have names, what was changed or is missing has no measurement, a release is signed."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from placet.attestation import SIMULATION_SIGNER
from placet.builds.measurement import (
    COMPONENTS,
    ENVIRONMENTS,
    LOCKS,
    installed_at,
    measure,
)
from placet.client import Keys
from placet.client.cli import app
from placet.client.drafts.job import load_constitution
from placet.client.drafts.templates import constitution_template
from placet.client.errors import FileRefused
from placet.client.trust.builds import (
    RELEASE_KEYS,
    Build,
    Release,
    named_measurements,
    read_build,
    verify_release,
)
from placet.governance.codec import decode, encode
from placet.governance.envelope import sign
from placet.refusals import (
    DocumentMalformed,
    KernelMissing,
    Refusal,
    SignatureInvalid,
)

COMMIT = "0123456789ab" + "c" * 28
MADE = Build(
    version="0.1.0",
    commit=COMMIT,
    architecture="x86_64",
    python="3.11",
    aead="openssl",
    compiler="ziglang 0.17.1",
    locks=dict.fromkeys(LOCKS, "11" * 32),
    measurements={enclave: f"2{place}" * 32 for place, enclave in enumerate(LOCKS)},
)
NAME = "Placet 0.1.0, commit 0123456789ab, CPython 3.11, x86_64, AES-GCM by openssl"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A build made of what is installed here."""
    out = tmp_path / "enclave"
    for name in set(ENVIRONMENTS.values()):
        packages = out / name / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
        for component in COMPONENTS:
            shutil.copytree(installed_at() / component, packages / "placet" / component)
        keep_one_kernel(packages / "placet" / "enclave")
    found = {enclave: measure(enclave, out) for enclave in LOCKS}
    (out / "build.json").write_bytes(encode(replace(MADE, measurements=found)))
    return out


def keep_one_kernel(enclave: Path) -> None:
    """A checkout that several interpreters use has several."""
    for path in enclave.glob("_kernel.*.so"):
        if f"cpython-3{sys.version_info[1]}" not in path.name:
            path.unlink()


def cli(*arguments: str) -> tuple[int, Any]:
    done = CliRunner().invoke(app, [*arguments, "--json"])
    return done.exit_code, json.loads(done.stdout or done.stderr)


def test_a_build_is_measured_again_before_it_is_named(folder: Path) -> None:
    build = read_build(folder)
    assert build.name == NAME
    assert build.measurements == {enclave: measure(enclave) for enclave in LOCKS}
    assert named_measurements(str(folder)) == {NAME: build.measurements}
    assert cli("measure", "--enclave", str(folder)) == (
        0,
        [{"build": NAME, "measurements": build.measurements}],
    )


@pytest.mark.parametrize("environment", ["venv", "venv-onnx"])
def test_a_build_that_was_changed_is_refused(folder: Path, environment: str) -> None:
    (changed,) = (folder / environment).glob("lib/*/site-packages/placet/sealing/__init__.py")
    changed.write_text(changed.read_text() + "\n")
    with pytest.raises(FileRefused, match="changed after it was made"):
        read_build(folder)


def test_what_is_no_build_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="no build"):
        read_build(tmp_path)
    (folder / "build.json").write_text('{"commit": "of my own"}')
    with pytest.raises(FileRefused, match="describes no build"):
        read_build(folder)
    (folder / "build.json").write_bytes(encode(MADE))
    for kernel in folder.glob("venv/lib/*/site-packages/placet/enclave/_kernel.*"):
        if kernel.suffix == ".so":
            kernel.unlink()
    with pytest.raises(KernelMissing, match="kernel"):
        read_build(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("commit", COMMIT[1:]),
        ("commit", f"{COMMIT} "),
        ("version", "0.1.0\nmeasurements = []"),
        ("architecture", ""),
        ("python", "3.11\u202e"),
        ("compiler", "\x1b[2J"),
        ("aead", "rot13"),
        ("locks", dict.fromkeys(LOCKS, "AA" * 32)),
        ("measurements", {"authority": "22" * 32}),
        ("measurements", {**MADE.measurements, "client": "22" * 32}),
    ],
)
def test_what_a_build_says_of_itself_is_one_line_of_known_form(field: str, value: Any) -> None:
    assert decode(Build, encode(MADE)) == MADE
    with pytest.raises(DocumentMalformed, match=field):
        replace(MADE, **{field: value})


def test_the_two_ciphers_and_changed_sources_have_names_of_their_own() -> None:
    assert replace(MADE, aead="ipsec-mb").name == NAME.replace("openssl", "ipsec-mb")
    assert "0123456789ab+changes," in replace(MADE, commit=f"{COMMIT}+changes").name


def test_a_release_is_believed_by_its_signature_alone() -> None:
    keys, other = Keys.generate("release"), Keys.generate("release")
    release = Release("0.1.0", (MADE, replace(MADE, aead="ipsec-mb")))
    envelope = sign(release, keys.signing)
    assert verify_release(envelope, [keys.public.signing.text]) == release
    for known in ([], [other.public.signing.text], RELEASE_KEYS):
        with pytest.raises(SignatureInvalid):
            verify_release(envelope, known)
    for changed in (envelope.replace(b"payload", b"load"), envelope[:-1], b""):
        with pytest.raises(Refusal):
            verify_release(changed, [keys.public.signing.text])


@pytest.mark.parametrize(
    "builds",
    [
        (),
        (MADE, MADE),
        (MADE, replace(MADE, aead="ipsec-mb", commit="f" * 40)),
        (replace(MADE, version="0.2.0"),),
        (replace(MADE, commit=f"{COMMIT}+changes"),),
        (replace(MADE, commit="none"),),
    ],
)
def test_a_release_is_of_one_commit(builds: tuple[Build, ...]) -> None:
    with pytest.raises(DocumentMalformed):
        Release("0.1.0", builds)


def test_where_nothing_is_released_nothing_is_invented(tmp_path: Path) -> None:
    assert (RELEASE_KEYS, (installed_at() / "client" / "release.json").exists()) == ((), False)
    for arguments in (("measure",), ("init", "--templates", str(tmp_path / "t"))):
        done = CliRunner().invoke(app, [*arguments, "--enclave", "release"])
        assert done.exit_code == 2
        assert "This is no release of Placet: no measurements are released with it." in done.stderr
    assert not (tmp_path / "t").exists()


def test_a_template_names_the_builds_of_its_measurements(folder: Path, tmp_path: Path) -> None:
    names: Callable[[], str] = (tmp_path / "t" / "constitution.toml").read_text
    done = CliRunner().invoke(
        app, ["init", "--templates", str(tmp_path / "t"), "--enclave", str(folder)]
    )
    assert done.exit_code == 0
    for enclave in LOCKS:
        assert f'  # {enclave}: {NAME}\n  "{measure(enclave)}",\n' in names()


def test_a_template_without_a_build_is_no_constitution(tmp_path: Path) -> None:
    measured = {"a build": MADE.measurements}
    for id in ("alice", "bob", "analyst"):
        Keys.generate(id).save(tmp_path / f"{id}.key")
    (tmp_path / "whole.toml").write_text(constitution_template(measured, SIMULATION_SIGNER))
    (tmp_path / "bare.toml").write_text(constitution_template({}, SIMULATION_SIGNER))
    assert load_constitution(tmp_path / "whole.toml")
    with pytest.raises(FileRefused, match="evidence policy for authority") as refusal:
        load_constitution(tmp_path / "bare.toml")
    assert "measurement must be" in str(refusal.value)
