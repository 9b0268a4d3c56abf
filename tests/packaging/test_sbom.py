# SPDX-License-Identifier: Apache-2.0
"""The SBOM of each enclave: the lock, no more and no less, the measured files, and the library of
the kernel."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from placet.builds.measurement import LOCKS, measure, measured_files
from placet.enclave import _kernel

ROOT = Path(__file__).resolve().parents[2]
FILES = dict(zip(LOCKS, ("authority", "worker", "worker-onnx"), strict=True))

SBOM = dict[str, Any]


def write(folder: Path, cwd: Path = ROOT) -> None:
    command = [sys.executable, "-P", str(ROOT / "deploy" / "sbom.py"), "--out", str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=60, cwd=cwd)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all documents."""
    made = tmp_path_factory.mktemp("sbom")
    write(made)
    return made


@pytest.fixture(params=LOCKS)
def sbom(request: pytest.FixtureRequest, folder: Path) -> tuple[str, SBOM]:
    """An enclave and its document."""
    return request.param, json.loads((folder / f"{FILES[request.param]}.cdx.json").read_text())


def of_type(sbom: SBOM, kind: str) -> list[SBOM]:
    return [one for one in sbom["components"] if one["type"] == kind]


def test_its_shape(sbom: tuple[str, SBOM]) -> None:
    enclave, document = sbom
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    root = document["metadata"]["component"]
    assert root["name"] == f"placet-{enclave}"
    assert root["properties"] == [{"name": "placet:measurement", "value": measure(enclave)}]
    references = [one["bom-ref"] for one in document["components"]]
    assert len({root["bom-ref"], *references}) == len(references) + 1
    assert document["dependencies"] == [{"ref": root["bom-ref"], "dependsOn": references}]


def test_its_packages_are_exactly_the_lock(sbom: tuple[str, SBOM]) -> None:
    listed = {
        one["purl"]: {h["content"] for h in one["externalReferences"][0]["hashes"]}
        for one in of_type(sbom[1], "library")
        if "purl" in one
    }
    locked: dict[str, set[str]] = {}
    lock = measured_files(sbom[0])[LOCKS[sbom[0]]].read_text()
    for line in lock.splitlines():
        if pin := re.match(r"([a-z0-9-]+)==([^ ;]+)", line):
            locked[f"pkg:pypi/{pin[1]}@{pin[2]}"] = set()
        elif found := re.search(r"--hash=sha256:([0-9a-f]{64})", line):
            locked[list(locked)[-1]].add(found[1])
    assert locked
    assert all(locked.values())
    assert listed == locked
    assert any("pkg:pypi/onnxruntime@" in one for one in listed) == ("onnx" in sbom[0])


def test_its_files_are_exactly_the_measured_ones(sbom: tuple[str, SBOM]) -> None:
    listed = {one["name"]: one["hashes"] for one in of_type(sbom[1], "file")}
    assert listed == {
        name: [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}]
        for name, path in measured_files(sbom[0]).items()
    }
    assert Path(_kernel.__file__).name in {name.rpartition("/")[2] for name in listed}


def test_it_names_the_library_that_opens_segments(sbom: tuple[str, SBOM]) -> None:
    [native] = [one for one in of_type(sbom[1], "library") if "purl" not in one]
    assert native["name"] == {"ipsec-mb": "libIPSec_MB", "openssl": "libcrypto"}[_kernel.AEAD]
    linked = subprocess.run(
        ["ldd", str(_kernel.__file__)], check=True, capture_output=True, text=True, timeout=30
    )
    [path] = re.findall(rf"{native['name']}\.so\S* => (/\S+)", linked.stdout)
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert native["hashes"] == [{"alg": "SHA-256", "content": digest}]


def test_another_run_elsewhere_writes_the_same(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "again", cwd=tmp_path)
    for path in folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
