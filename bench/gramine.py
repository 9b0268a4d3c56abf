# SPDX-License-Identifier: Apache-2.0
"""What the start of an enclave costs under gramine-direct with its computed list of files, over all
that is installed listed.

Everything listed: the venv, CPython's own library, and each folder of the system that a library
comes from, without byte code. A start is the enclave's own, with all that it imports, until it
finds that no host answers; of its seconds those of the processor are counted, so that a busy
machine matters less. Passes take turns; medians are shown. The peaks are what the manifests' sizes
are
judged by: those of an authority, and of a worker that trains the demo's model, with a real host.

    python bench/gramine.py [--passes N]

Without Gramine it says that it is skipped.
"""

import hashlib
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))

from _figures import Figure, arguments, tell
from hospitals import Council, running_host
from shares import HOSPITALS, load_shares

from placet.client import build_bundle

ROLES = ("authority", "worker")
BUILD = ROOT / "build" / "enclave" / "openssl"  # what `make gramine` takes
NOBODY = "127.0.0.1:9"  # where no host is
PARAMETERS = {"steps": 400, "learning_rate_percent": 30}
_PEAKS = (
    ("threads", "Threads", 1),
    ("resident_mib", "VmHWM", 1024),
    ("addresses_mib", "VmPeak", 1024),
)
_LIST = "sgx.trusted_files = [\n"


def run(passes: int) -> Iterator[Figure]:
    """The lines to print."""
    with tempfile.TemporaryDirectory(prefix="placet-bench-") as temporary:
        folder = Path(temporary)
        computed, whole = folder / "computed", folder / "whole"
        make = ["make", "--silent", "gramine", f"OUT={computed}", "ARGS=--simulated"]
        subprocess.run(make, cwd=ROOT, check=True, stdout=sys.stderr)
        list_everything(computed, whole)
        for role, peak in peaks_of(folder / "state", computed).items():
            yield {"name": f"gramine_{role}_peak", **peak}
        certificate = folder / "state" / "host" / "tls" / "cert.pem"
        for role in ROLES:
            pairs = [
                [start(folder / "start", role, one, certificate) for one in (computed, whole)]
                for _ in range(passes)
            ]
            ours, theirs = (statistics.median(one) for one in zip(*pairs, strict=True))
            yield {
                "name": f"gramine_{role}_start_over_everything_listed",
                "value": round(ours, 2),
                "unit": f"s ({files_of(computed, role)} files)",
                "against": round(theirs, 2),
                "against_unit": f"s ({files_of(whole, role)} files)",
                "ratio": round(ours / theirs, 3),
            }


def start(folder: Path, role: str, manifests: Path, certificate: Path) -> float:
    """Seconds of the processor that one start takes."""
    shutil.rmtree(folder, ignore_errors=True)
    launch = folder / "launch"
    launch.mkdir(parents=True)
    shutil.copyfile(certificate, launch / "cert.pem")
    words = ["--host", NOBODY, "--cert", "/launch/cert.pem", "--token", "0" * 64]
    words += ["--origin", "bench.placet/log"] if role == "authority" else []
    (launch / "arguments").write_text("".join(f"{word}\n" for word in words))
    bundle = build_bundle(ROOT / "examples" / "breast_cancer").data
    (launch / "bundle").write_bytes(bundle)
    digest = hashlib.sha256(bundle).hexdigest()
    text = (manifests / f"{role}.manifest").read_text().replace("0" * 64, digest)
    (folder / "enclave.manifest").write_text(text)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["gramine-direct", "enclave"]
    # Its standard input stays open: it would end with whoever launched it.
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        process.wait(timeout=300)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = (launch / "log").read_text()
    assert "AUTHORITY_UNAVAILABLE" in said, said
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def list_everything(computed: Path, whole: Path) -> None:
    """The same manifests with all the files that are installed beside those that are computed."""
    whole.mkdir()
    for path in computed.glob("*.rendered"):
        text = path.read_text()
        mounts = tomllib.loads(text)["fs"]["mounts"]
        found = {f"file:{file}" for folder in folders_of(mounts) for file in files_in(folder)}
        more = "".join(f'  "{uri}",\n' for uri in sorted(found) if f'"{uri}"' not in text)
        rendered = whole / path.name
        rendered.write_text(text.replace(_LIST, _LIST + more))
        command = ["gramine-manifest", str(rendered), str(rendered.with_suffix(""))]
        subprocess.run(command, check=True)


def folders_of(mounts: list[dict[str, str]]) -> set[Path]:
    """What is mounted as a folder, and the folders that the system's libraries come from."""
    absolute = {one["path"]: Path(one["uri"][5:]) for one in mounts if ":/" in one.get("uri", "")}
    folders = {path for path in absolute.values() if path.is_dir()}
    homes = {path.parent for name, path in absolute.items() if name.startswith("/libraries/")}
    # CPython's own library lies beside libpython.
    return folders | {home for home in homes if not any(f.is_relative_to(home) for f in folders)}


def files_in(folder: Path) -> Iterator[Path]:
    """Without byte code, and without what the machine's own CPython has installed for others."""
    others = {"__pycache__", *(["site-packages"] if folder.name.startswith("python3") else [])}
    for parent, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if name not in others]
        yield from (path for path in (Path(parent, name) for name in names) if path.is_file())


def files_of(manifests: Path, role: str) -> int:
    """How many files a manifest lists."""
    return (manifests / f"{role}.manifest").read_text().count("[[sgx.trusted_files]]")


def peaks_of(folder: Path, manifests: Path) -> dict[str, dict[str, int]]:
    """The peaks of each role while a council trains its first model."""
    folder.mkdir()
    peaks: dict[str, dict[str, int]] = {}
    council = Council(folder)
    council.build = BUILD
    options = ["--launcher", "gramine-direct", "--manifests", str(manifests)]
    options += ["--enclave", str(BUILD)]
    ended = threading.Event()
    watch = threading.Thread(target=keep_peaks, args=(folder, peaks, ended))
    watch.start()
    try:
        with (
            running_host(folder, options=options) as (address, pin),
            council.connect(address, pin) as client,
        ):
            council.found(client)
            for hospital in HOSPITALS:
                council.seal_and_grant(client, hospital, load_shares().training[hospital])
            proposal = council.propose(client, "breast_cancer", PARAMETERS, "model")
            council.vote(client, proposal, "north", "south", "privacy")
            job = client.runs.wait(client.runs.start(client.council.ticket(proposal)).id)
            assert job.state == "finished", job
    finally:
        ended.set()
        watch.join()
    return peaks


def keep_peaks(folder: Path, peaks: dict[str, dict[str, int]], ended: threading.Event) -> None:
    """Watch the enclaves that run below a folder: a manifest's folder is where its process is."""
    while not ended.wait(0.02):
        for process in Path("/proc").glob("[0-9]*"):
            try:
                place = (process / "cwd").resolve()
                if not place.is_relative_to(folder / "host" / "tmp"):
                    continue
                status = (process / "status").read_text()
            except OSError:
                continue  # it has ended
            peak = peaks.setdefault("authority" if place.name == "authority" else "worker", {})
            for name, field, unit in _PEAKS:
                found = re.search(rf"^{field}:\s+(\d+)", status, re.MULTILINE)
                peak[name] = max(peak.get(name, 0), int(found[1]) // unit if found else 0)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--passes", type=int, default=3)
    options = parser.parse_args()
    if missing := [n for n in ("gramine-direct", "gramine-manifest") if shutil.which(n) is None]:
        print(f"bench/gramine.py: skipped: {missing[0]} is not installed.", file=sys.stderr)
        return
    tell(run(1 if options.small else options.passes))


if __name__ == "__main__":
    main()
