# SPDX-License-Identifier: Apache-2.0
"""The Gramine manifests as they are rendered: keys that are known, nothing that is forbidden, the
program in it."""

import hashlib
import importlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from placet.client import build_bundle
from placet.governance.codec import encode
from placet.governance.documents import Card, Input, Rations, Raw, Roster, Serve
from placet.sealing import ObjectDescriptor
from tests.support.policies import policy

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "deploy" / "gramine"
RENDER = [sys.executable, str(TOOLS / "render.py"), "--python", sys.executable]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all manifests, for SGX."""
    folder = tmp_path_factory.mktemp("gramine")
    command = [*RENDER, "--onnx-python", sys.executable, "--out", str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder


def tool(name: str) -> Any:
    """A module of deploy/gramine."""
    sys.path.insert(0, str(TOOLS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(TOOLS))


@pytest.fixture(scope="module")
def check() -> Any:
    """The module deploy/gramine/check.py."""
    return tool("check")


def text_of(folder: Path, name: str) -> str:
    return (folder / f"{name}.manifest.rendered").read_text()


def test_nothing_of_the_command_line_comes_from_the_host(rendered: Path) -> None:
    for role in ("authority", "worker"):
        manifest = tomllib.loads(text_of(rendered, role))
        argv = manifest["loader"]["argv"]
        assert argv[0] == str(Path(sys.prefix) / "bin" / "python")
        assert argv[1:7] == ["-I", "-B", "-X", "pycache_prefix=/none", "-m", "placet.enclave"]
        assert argv[7] == role
        assert "--simulated" not in argv
        assert {"--host", "--token", "--cert", "--origin"}.isdisjoint(argv)
        assert manifest["sgx"]["remote_attestation"] == "dcap"
        assert manifest["sgx"]["debug"] is False
        assert "mrsigner" not in text_of(rendered, role).lower()


def test_the_roles_have_different_manifests(rendered: Path) -> None:
    assert "federation/round.py" in text_of(rendered, "federation")
    assert "federation/round.py" not in text_of(rendered, "worker")
    for name in ("authority", "worker", "federation", "worker-onnx"):
        serves = name == "worker-onnx"
        assert ("/onnxruntime/" in text_of(rendered, name)) == serves
        assert ("inference/task.py" in text_of(rendered, name)) == serves
    one, other = (tomllib.loads(text_of(rendered, role)) for role in ("authority", "worker"))
    assert one["sgx"]["isvprodid"] != other["sgx"]["isvprodid"]


def test_every_listed_file_is_there_and_within_a_mount(rendered: Path) -> None:
    for role in ("authority", "worker"):
        manifest = tomllib.loads(text_of(rendered, role))
        listed = [one for one in manifest["sgx"]["trusted_files"] if isinstance(one, str)]
        assert len(listed) == len(set(listed)) > 300
        mounted = [m["uri"] for m in manifest["fs"]["mounts"] if "uri" in m]
        for uri in listed:
            assert any(uri == mount or uri.startswith(mount + "/") for mount in mounted), uri
            assert "{{" in uri or Path(uri.removeprefix("file:")).is_file()
        # Only sources: a compiled module would be what no council can read.
        assert not [uri for uri in listed if uri.endswith(".pyc")]


def test_the_demo_refuses_a_launcher_that_is_not_there() -> None:
    if shutil.which("gramine-direct"):
        pytest.skip("gramine-direct is installed")
    demo = [sys.executable, str(ROOT / "examples" / "demo.py"), "--launcher", "gramine-direct"]
    done = subprocess.run(demo, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("demo: gramine-direct is not installed on this machine.")


def test_what_a_constitution_lists_is_read_from_the_signature() -> None:
    render, program, hashed = tool("render"), "cd" * 32, bytes(range(32))
    signature = bytes(960) + hashed + bytes(1808 - 992)
    wanted = {"authority": hashed.hex(), f"worker-{program}": f"{hashed.hex()}=sha256:{program}"}
    for name, expected in wanted.items():
        line = render.constitution_line(name, signature)
        assert line == f'[evidence.{name.partition("-")[0]}] measurements: "{expected}"'
        # A policy takes it as it stands.
        text = line.partition(": ")[2].strip('"')
        assert policy(measurements=[text])
    with pytest.raises(SystemExit):
        render.constitution_line("authority", signature[:-1])


def test_the_list_is_a_small_part_of_what_is_installed(rendered: Path) -> None:
    packages = sum(path.is_file() for path in Path(sys.prefix, "lib").rglob("*"))
    assert text_of(rendered, "worker").count('"file:') < packages / 4


def test_a_program_is_part_of_its_worker(tmp_path: Path) -> None:
    program, bundle = tmp_path / "program", tmp_path / "bundle.tar"
    program.mkdir()
    source = "import colorsys, helper, numpy.fft\ndef main(job): import wave\n"
    (program / "main.py").write_text(source)
    (program / "helper.py").touch()
    bundle.write_bytes(build_bundle(program).data)
    digest = hashlib.sha256(bundle.read_bytes()).hexdigest()
    command = [*RENDER, "--out", str(tmp_path), "--program", str(bundle)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    text = text_of(tmp_path, f"worker-{digest}")
    assert {"uri": "file:launch/bundle", "sha256": digest} in tomllib.loads(text)["sgx"][
        "trusted_files"
    ]
    for name in ("colorsys.py", "wave.py", "numpy/fft/_pocketfft.py"):
        assert f'/{name}",' in text
    assert not (tmp_path / "authority.manifest.rendered").exists()


def service_terms() -> bytes:
    """What `placet terms` writes of a service."""
    model = ObjectDescriptor("a" * 32, "model", (), "b" * 64, 65536, 1, 8, "sha256:" + "c" * 64)
    terms = Serve(
        model=Input(model, "owner"),
        card=Card("A model", (), "", None, 2**40),
        users=Roster("roster", ("ada",)),
        rations=Rations(100, 1000, 100, 10),
        answers={"scores": Raw("raw")},
        not_finite="refuse",
        largest_request=16,
        largest_question=1024 * 1024,
        samples={},
        batch="shared",
        batch_rows=64,
        privacy=None,
        review=2**40,
        deadline_seconds=3600,
    )
    return encode(terms)


def test_the_worker_of_a_service_is_made_for_its_terms_with_its_own_lock(tmp_path: Path) -> None:
    terms = tmp_path / "terms.json"
    terms.write_bytes(service_terms())
    command = [*RENDER, "--out", str(tmp_path), "--program", str(terms)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (refused.returncode, "--onnx-python" in refused.stderr) == (1, True)
    subprocess.run(
        [*command, "--onnx-python", sys.executable], check=True, capture_output=True, timeout=120
    )
    digest = hashlib.sha256(terms.read_bytes()).hexdigest()
    text = text_of(tmp_path, f"worker-{digest}")
    assert digest in text
    assert "/onnxruntime/" in text
    for other in (service_terms() + b"\n", b'{"action": "serve"}'):
        terms.write_bytes(other)
        refused = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert (refused.returncode, "These are no terms" in refused.stderr) == (1, True)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("loader.insecure__use_cmdline_argv = true", "insecure"),
        ("loader.insecure__use_host_env = true", "insecure"),
        ('fs.insecure__keys.default = "ffeeddccbbaa99887766554433221100"', "insecure"),
        ("sys.insecure__allow_eventfd = true", "insecure"),
        ('sgx.file_check_policy = "allow_all_but_log"', "file_check_policy"),
        ("loader.env.PLACET = { passthrough = true }", "environment"),
        ('sys.debug__mock_syscalls = [{ name = "eventfd2", return = -38 }]', "debugging"),
        ("sys.experimental__enable_flock = true", "experimental"),
        ('sgx.profile.enable = "all"', "tells the host"),
        ("sgx.edmm_enable = true", "not among the keys"),
        ('loader.env.PYTHONPATH = "/launch"', "not among the keys"),
    ],
)
def test_forbidden_and_unknown_keys_are_refused(
    rendered: Path, check: Any, line: str, word: str
) -> None:
    text = text_of(rendered, "worker")
    assert check.check_manifest(text)
    with pytest.raises(check.ManifestRefused, match=word):
        check.check_manifest(f"{line}\n{text}")


@pytest.mark.parametrize(
    ("pattern", "changed"),
    [
        (r"sgx\.debug = false", "sgx.debug = true"),
        (r"sgx\.debug = false", "sgx.debug = 0"),
        (r'remote_attestation = "dcap"', 'remote_attestation = "none"'),
        (r"disallow_subprocesses = true", "disallow_subprocesses = false"),
        (r'loader\.argv = \["/', 'loader.argv = ["'),
        (r'"file:launch/cert\.pem"', '"file:/etc/"'),
        (r'"file:launch/cert\.pem"', '"file:launch/bundle"'),
        (r'  "file:[^"]+pyvenv\.cfg",\n', '  "file:/usr/lib/",\n'),
        (r'sha256 = "0{64}"', 'sha256 = "no digest"'),
        (r'type = "tmpfs"', 'type = "encrypted", uri = "file:x", key_name = "_sgx_mrsigner"'),
        (r"sgx\.isvsvn = 1\n", ""),
        (r"sgx\.isvsvn = 1\n", "sgx.isvsvn = 1\nsgx.isvsvn = 2\n"),
    ],
)
def test_other_values_are_refused(rendered: Path, check: Any, pattern: str, changed: str) -> None:
    text, count = re.subn(pattern, changed, text_of(rendered, "worker"))
    assert count == 1
    with pytest.raises(check.ManifestRefused):
        check.check_manifest(text)
