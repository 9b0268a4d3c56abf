# SPDX-License-Identifier: Apache-2.0
"""Enclaves as installed: what is in their lock is all that they import, and without the kernel they
refuse to start."""

import io
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.council import bundle_of

COMPONENTS = ("attestation", "enclave", "governance", "proto", "refusals", "sealing")

# Prints every module that an enclave may have loaded, with its file. What serves models needs
# onnxruntime: another lock.
_CLOSURE = """
import importlib, json, pkgutil, sys
import placet.enclave
for found in pkgutil.walk_packages(placet.enclave.__path__, "placet.enclave."):
    if not found.name.endswith("__main__") and "worker.inference" not in found.name:
        importlib.import_module(found.name)
print(json.dumps({n: getattr(m, "__file__", None) for n, m in sys.modules.items()}))
"""


def test_both_enclaves_run_a_job_from_their_lock_alone(
    start: Callable[..., Any], python: str, tmp_path: Path
) -> None:
    for name in ("venv", "venv-onnx"):
        (tmp_path / name).symlink_to(Path(python).parents[1])
    running = start(enclave=tmp_path)
    sink = io.BytesIO()
    np.save(sink, np.arange(10.0))
    data, _ = running(running.live.provision(sink.getvalue()))
    program = """
def main(job):
    with job.output("out") as sink: sink.write(str(job.inputs["data"].array().sum()).encode())
"""
    outcome = running(running.live.run(program, {"data": data}))
    assert outcome.results == {"out": b"45.0"}


def test_the_import_closure_is_the_lock(python: str) -> None:
    done = subprocess.run(
        [python, "-I", "-c", _CLOSURE], capture_output=True, text=True, check=True, timeout=60
    )
    modules: dict[str, str | None] = json.loads(done.stdout)
    folder = Path(python).parent.parent
    installed = {
        Path(file).relative_to(folder).parts[3]
        for file in modules.values()
        if file and Path(file).is_relative_to(folder)
    }
    allowed = {"google", "grpc", "cryptography", "numpy", "dcap_qvl", "securesystemslib", "placet"}
    allowed |= {"_cffi_backend", "cffi", "pycparser", "typing_extensions"}
    assert {name.split(".")[0] for name in installed} <= allowed
    assert {n.split(".")[1] for n in modules if n.startswith("placet.")} <= set(COMPONENTS)
    foreign = [
        n
        for n, f in modules.items()
        if f and not Path(f).is_relative_to(folder) and "site-packages" in f
    ]
    assert foreign == []


def test_an_enclave_without_its_kernel_says_why_it_does_not_start(
    python: str, tmp_path: Path
) -> None:
    bare = tmp_path / "placet"
    installed = next(Path(python).parents[1].glob("lib/*/site-packages/placet"))
    shutil.copytree(installed, bare)
    for compiled in (bare / "enclave").glob("_kernel*.so"):
        compiled.unlink()
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = ['placet.enclave', "
        "*sys.argv[1:]];import runpy; runpy.run_module('placet.enclave', run_name='__main__')"
    )
    arguments = [
        "authority",
        "--host",
        "127.0.0.1:1",
        "--cert",
        "x",
        "--token",
        "t",
        "--origin",
        "o",
    ]
    done = subprocess.run(
        [python, "-I", "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 78
    assert "KERNEL_MISSING" in done.stderr
    assert "python3-dev" in done.stderr


def enclave(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-I", "-m", "placet.enclave", *arguments],
        check=False,
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_bundle_that_is_none_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "cert").write_text("x")
    (tmp_path / "bundle").write_bytes(b"junk")
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "placet.enclave", "worker", "--host", "127.0.0.1:1", "--cert",
         str(tmp_path / "cert"), "--token", "t", "--bundle", str(tmp_path / "bundle"),
         "--scratch", str(tmp_path), "--simulated"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stderr is not None
        assert "PROGRAM_MALFORMED" in process.stderr.read()
        assert process.wait(60) == 78


def test_a_fault_shows_its_kind_and_place_and_not_its_words(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "placet.enclave", "authority", "--host", "h:1", "--cert",
         str(tmp_path / "secret-name"), "--token", "t", "--origin", "o", "--simulated"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stderr is not None
        text = process.stderr.read()
        assert process.wait(60) == 1
    assert "fault kind=FileNotFoundError" in text
    assert "secret-name" not in text


def test_an_enclave_ends_with_whoever_launched_it(tmp_path: Path) -> None:
    # A port that takes connections and never answers, so that the enclave waits.
    with socket.create_server(("127.0.0.1", 0)) as server:
        (tmp_path / "cert").write_text("x")
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "placet.enclave", "authority", "--host",
             f"127.0.0.1:{server.getsockname()[1]}", "--cert", str(tmp_path / "cert"),
             "--token", "t", "--origin", "o", "--simulated"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with process:
            assert process.stdin is not None
            process.stdin.close()
            assert process.stdout is not None
            process.stdout.close()
            assert process.wait(60) == 75


def test_a_program_runs_on_a_plain_sample(tmp_path: Path) -> None:
    main = """
def main(job):
    print("words", flush=True)
    with job.output("out") as sink:
        sink.write(job.inputs["data"].read()[: job.parameters["n"]])
"""
    (tmp_path / "bundle").write_bytes(bundle_of({"main.py": main}))
    (tmp_path / "data").write_bytes(b"abcdef")
    arguments = [
        "local",
        "--bundle",
        str(tmp_path / "bundle"),
        "--input",
        f"data={tmp_path / 'data'}",
    ]
    arguments += ["--parameter", "n=3", "--output-dir", str(tmp_path / "outputs")]
    done = enclave(*arguments, "--output", "out=10")
    assert (done.returncode, done.stderr) == (0, "")
    assert "words" in done.stdout
    assert (tmp_path / "outputs" / "out").read_bytes() == b"abc"
    done = enclave(*arguments, "--output", "out=2")
    assert done.returncode == 70
    assert "at most 2 bytes" in done.stderr


def test_a_traceback_of_a_sample_run_shows_the_program_s_lines(tmp_path: Path) -> None:
    main = "def main(job):\n    raise ValueError('mine')\n"
    (tmp_path / "bundle").write_bytes(bundle_of({"main.py": main}))
    arguments = ["local", "--bundle", str(tmp_path / "bundle"), "--output-dir", str(tmp_path)]
    done = enclave(*arguments)
    assert done.returncode == 70
    assert "raise ValueError('mine')" in done.stderr


def attached(*arguments: str) -> tuple[int, str]:
    """Exit code and log of an enclave whose launcher stays: its standard input is not closed."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "placet.enclave", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        text = process.stderr.read()
        return process.wait(60), text


def test_without_attestation_nothing_starts_and_nothing_is_simulated(tmp_path: Path) -> None:
    (tmp_path / "cert").write_text("x")
    words = ["--host", "127.0.0.1:1", "--cert", str(tmp_path / "cert"), "--token", "t"]
    code, text = attached("authority", *words, "--origin", "o")
    assert code == 78
    assert "ATTESTER_UNAVAILABLE" in text
    assert "no attestation" in text


def test_a_launch_file_says_what_the_host_may_choose_and_no_more(tmp_path: Path) -> None:
    file = tmp_path / "arguments"

    def start(*words: str) -> tuple[int, str]:
        file.write_text("\n".join(words))
        return attached("authority", "--launch", str(file), "--simulated")

    words = ("--host", "h:1", "--cert", str(tmp_path / "absent"), "--token", "t", "--origin", "o")
    code, text = start(*words)  # it is read as far as --cert
    assert (code, "fault kind=FileNotFoundError" in text) == (1, True)
    code, text = start(*words[:-2])
    assert (code, "--origin is missing" in text) == (2, True)
    for word in ("--simulated", "--collateral=x", "--launch=x", "--bundle=x", "--sim", "local"):
        code, text = start(*words, word)
        assert (code, "unrecognized arguments" in text) == (2, True)
    assert attached("authority", "--launch", str(tmp_path / "none"), "--simulated")[0] == 1
