# SPDX-License-Identifier: Apache-2.0
"""The unit for confidential machines names options, folders, devices and a user that are there."""

import re
import shlex
import subprocess
import sys
from configparser import ConfigParser, SectionProxy
from pathlib import Path

import pytest

from placet.attestation.machine import sev_guest, tsm

ROOT = Path(__file__).resolve().parents[2]
MACHINE = ROOT / "deploy" / "machine"
DOCKERFILE = (MACHINE / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def service() -> SectionProxy:
    """The unit's section [Service]; a setting given twice is an error."""
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((MACHINE / "placet-host.service").read_text().replace("\\\n", " "))
    return parser["Service"]


@pytest.fixture(scope="module")
def command(service: SectionProxy) -> list[str]:
    """What the unit starts."""
    return shlex.split(service["ExecStart"])


@pytest.fixture(scope="module")
def options(command: list[str]) -> dict[str, str]:
    """Its options, each with its value."""
    words = command[2:]
    assert len(words) % 2 == 0
    return dict(zip(words[::2], words[1::2], strict=True))


def test_it_starts_a_host_with_options_that_there_are(
    command: list[str], options: dict[str, str]
) -> None:
    client = [sys.executable, "-m", "placet.client", "host", "--help"]
    text = subprocess.run(client, check=True, capture_output=True, text=True, timeout=60).stdout
    assert command[:2] == ["/opt/placet/host/bin/placet", "host"]
    assert options.keys() <= set(re.findall(r"^  (--[a-z-]+)", text, re.MULTILINE))
    [choices] = set(re.findall(r"--launcher \{([^}]*)\}", text))
    assert options["--launcher"] == "machine"
    assert "machine" in choices.split(",")


def test_its_paths_are_those_that_the_image_and_systemd_make(
    service: SectionProxy, options: dict[str, str]
) -> None:
    state = Path("/var/lib") / service["StateDirectory"]
    assert Path(options["--state"]).parent == Path(options["--collateral"]).parent == state
    assert Path(options["--cpu"]).parent == Path("/run") / service["RuntimeDirectory"]
    assert "python3 -m venv /opt/placet/host" in DOCKERFILE
    assert options["--enclave"] == "/opt/placet/enclave"
    assert f"make enclave AEAD=ipsec-mb ENCLAVE={options['--enclave']}" in DOCKERFILE
    assert f"COPY --from=build {options['--enclave']}/ {options['--enclave']}/" in DOCKERFILE
    assert f"> {service['EnvironmentFile']}" in DOCKERFILE
    for option in ("--origin", "--name"):
        assert f"{options[option].strip('${}')}=%s" in DOCKERFILE
    assert re.search(rf"useradd .* {service['User']} ", DOCKERFILE)


def test_what_the_image_copies_is_here() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    sources = [name for line in copied for name in line.split()]
    assert {"requirements/host.txt", "deploy/sbom.py"} <= set(sources)
    assert [name for name in sources if not (ROOT / name).exists()] == []


def test_it_can_reach_the_hardware_and_little_else(service: SectionProxy) -> None:
    assert service["ReadWritePaths"] == tsm.FOLDER
    assert service["DeviceAllow"] == f"{sev_guest.DEVICE} rw"
    assert "PrivateDevices" not in service  # it would hide the device
    assert service["AmbientCapabilities"] == service["CapabilityBoundingSet"] == "CAP_DAC_OVERRIDE"
    assert service["User"] not in ("", "root")
    assert service["ProtectSystem"] == "strict"
    assert service["LimitCORE"] == service["MemorySwapMax"] == "0"
    assert [one.split(":")[0] for one in service["TemporaryFileSystem"].split()] == [
        "/tmp",
        "/var/tmp",
    ]
    for name in ("NoNewPrivileges", "ProtectHome", "ProtectKernelModules", "RestrictNamespaces"):
        assert service.getboolean(name), name


def test_systemd_reads_it(service: SectionProxy, tmp_path: Path) -> None:
    """The interpreter is the image's, so here another program stands for it."""
    unit = (MACHINE / "placet-host.service").read_text()
    here = tmp_path / "placet-host.service"
    here.write_text(unit.replace("/opt/placet/host/bin/placet", sys.executable))
    try:
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(here)],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
    except FileNotFoundError:
        pytest.skip("systemd-analyze is missing (Debian: systemd)")
    assert "placet-host.service" not in done.stderr
