# SPDX-License-Identifier: Apache-2.0
"""A log as files: what an export writes, what it never writes over, and an audit of it without a
host, from a folder and over HTTP."""

import gzip
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from placet.auditing.tiles.paths import tile_paths
from placet.client import AnswerMalformed, Client, CouncilMemory, FileRefused, Home, HostUnreachable
from placet.client.log import export
from placet.client.log.export import write_log
from placet.client.log.places import open_place
from placet.client.log.published import audit_published, read_entries
from placet.governance.log import (
    Checkpoint,
    NoteSigner,
    Tree,
    VerifierKey,
    leaf_hash,
    sign_checkpoint,
    verify_checkpoint,
)
from placet.refusals import (
    DocumentNotFound,
    LogCheckpointInvalid,
    LogEntryInvalid,
    LogForked,
    LogTileMalformed,
    LogTruncated,
    Refusal,
)

SIGNER = NoteSigner("example.org/log", bytes(range(32)))
KEY = SIGNER.verifier_key


def made(size: int, salt: str = "") -> list[bytes]:
    return [b"entry %d%s" % (index, salt.encode()) for index in range(size)]


def note_of(entries: list[bytes], signer: NoteSigner = SIGNER) -> bytes:
    root = Tree(map(leaf_hash, entries)).root()
    return sign_checkpoint(Checkpoint(signer.verifier_key.name, len(entries), root), signer)


def write(folder: Path, entries: list[bytes], key: VerifierKey = KEY) -> int:
    return write_log(folder, key, note_of(entries), entries, {})


def files(folder: Path) -> dict[str, bytes]:
    found = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in found.items()}


@contextmanager
def serving(handler: Any) -> Generator[str]:
    """A plain web server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def answering(code: int, header: dict[str, str], body: bytes) -> Any:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            for name, value in header.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def published(founded: Client, propose: Callable[[], str], tmp_path: Path) -> Path:
    """The log of a council with a proposal, exported."""
    propose()
    done = founded.log.export(tmp_path / "log")
    assert (done.missing, done.size) == ((), founded.log.checkpoint().size)
    return tmp_path / "log"


# What an export writes.


def test_an_export_in_steps_has_the_files_of_the_whole(tmp_path: Path) -> None:
    sizes, before = (1, 255, 256, 257, 300, 700), 0
    for size in sizes:
        new = write(tmp_path / "steps", made(size))
        assert new == len(list(tile_paths(before, size)))
        before = size
    assert write(tmp_path / "steps", made(700)) == 0
    write(tmp_path / "whole", made(700))
    steps, whole = files(tmp_path / "steps"), files(tmp_path / "whole")
    assert whole.items() <= steps.items()
    # Partial tiles of earlier checkpoints stay until the full tile is there.
    assert set(steps) - set(whole) == {"tile/1/000.p/1"}
    assert whole["checkpoint"] == note_of(made(700))
    assert read_entries(open_place(str(tmp_path / "whole")), 700) == made(700)


def test_what_was_broken_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint is there only once all is there that it covers."""
    with monkeypatch.context() as patch:
        left = [3]

        def some(path: Path, data: bytes) -> None:
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt
            path.write_bytes(data)

        patch.setattr(export, "write_file", some)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path, made(600))
    assert "checkpoint" not in files(tmp_path)
    write(tmp_path, made(600))
    assert read_entries(open_place(str(tmp_path)), 600) == made(600)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    write(tmp_path, made(300))
    there = files(tmp_path)
    with pytest.raises(LogTruncated):
        write(tmp_path, made(299))
    with pytest.raises(LogForked):
        write(tmp_path, made(400, " of another history"))
    other = NoteSigner("example.org/log", bytes(32))
    with pytest.raises(FileRefused, match="another folder"):
        write_log(tmp_path, other.verifier_key, note_of(made(300), other), made(300), {})
    assert files(tmp_path) == there
    (tmp_path / "checkpoint").unlink()
    (tmp_path / "tile/0/000").write_bytes(b"something else")
    with pytest.raises(FileRefused, match="tile/0/000"):
        write(tmp_path, made(300))
    assert (tmp_path / "tile/0/000").read_bytes() == b"something else"


def test_a_name_that_is_no_digest_leads_nowhere(tmp_path: Path) -> None:
    """The authority writes the entries; a path in one would be written to by whoever exports."""
    entries = made(1)
    evil = {"sha256:../../evil": b"x", "../evil": b"x", "": b"x"}
    write_log(tmp_path / "a/log", KEY, note_of(entries), entries, evil)
    assert {Path(name).name for name in files(tmp_path)} == {"checkpoint", "1"}


def test_documents_that_a_host_withholds_or_makes_up_are_missing(
    founded: Client, propose: Callable[[], str], host: Any, tmp_path: Path
) -> None:
    digest = propose()
    host.withhold(digest)
    done = founded.log.export(tmp_path / "log")
    assert done.missing == (digest,)
    report = audit_published(open_place(str(tmp_path / "log")), founded.log.charter)
    assert [one.missing for one in report.not_checked] == [(digest,)]


# A log of 15 entries as Tessera publishes it, and the key that its script names.
TESSERA = Path(__file__).parents[2] / "vectors" / "published" / "tessera"
TESSERA_KEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
TESSERA_SEED = "eca663f499017d2365c27c7a7679158d43cfec1330bdb259290afbd0d21777a0"


def test_the_log_of_another_software_is_read(tmp_path: Path) -> None:
    key = VerifierKey.from_text(TESSERA_KEY)
    note = (TESSERA / "checkpoint").read_bytes()
    checkpoint = verify_checkpoint(note, key)
    entries = read_entries(open_place(str(TESSERA)), checkpoint.size)
    assert (entries[0], entries[-1], len(entries)) == (b"one", b"fivten", 15)
    assert Tree(map(leaf_hash, entries)).root() == checkpoint.root


def test_an_export_is_to_the_byte_what_another_software_publishes(tmp_path: Path) -> None:
    signer = NoteSigner("example.com/log/testdata", bytes.fromhex(TESSERA_SEED))
    assert signer.verifier_key.to_text() == TESSERA_KEY
    entries = read_entries(open_place(str(TESSERA)), 15)
    write_log(tmp_path, signer.verifier_key, note_of(entries, signer), entries, {})
    assert files(tmp_path) == files(TESSERA)


# An audit of it.


def test_an_audit_needs_no_host(published: Path, founded: Client) -> None:
    report = audit_published(open_place(str(published)), founded.log.charter)
    assert report == founded.log.audit()
    assert report.complete


def test_it_goes_on_when_the_log_has_grown(
    published: Path, founded: Client, propose: Callable[[], str]
) -> None:
    digest = propose()
    done = founded.log.export(published)
    assert done.documents == 1 and done.files == 2
    assert (published / "documents" / digest.removeprefix("sha256:")).exists()
    report = audit_published(open_place(str(published)), founded.log.charter)
    assert report.complete and report.size == founded.log.checkpoint().size


def test_over_http(published: Path, founded: Client) -> None:
    expected = founded.log.audit()
    with serving(partial(Quiet, directory=str(published.parent))) as url:
        assert audit_published(open_place(f"{url}/log/"), founded.log.charter) == expected
        with pytest.raises(FileRefused, match="has no documents/"):
            audit_published(open_place(url), founded.log.charter)


@pytest.mark.parametrize("flipped", ["checkpoint", "tile/entries", "documents"])
def test_every_changed_file_is_found(published: Path, founded: Client, flipped: str) -> None:
    for path in sorted(published.rglob("*")):
        if not path.is_file() or not str(path.relative_to(published)).startswith(flipped):
            continue
        data = path.read_bytes()
        path.write_bytes(data[:60] + bytes([data[60] ^ 1]) + data[61:])
        with pytest.raises((LogCheckpointInvalid, LogForked, LogTileMalformed, Refusal)):
            audit_published(open_place(str(published)), founded.log.charter)
        path.write_bytes(data)
    assert audit_published(open_place(str(published)), founded.log.charter).complete


def test_another_council_is_not_audited(published: Path) -> None:
    with pytest.raises(FileRefused, match="has no documents/"):
        audit_published(open_place(str(published)), "sha256:" + "0" * 64)


def test_it_has_the_history_that_the_home_has_seen(
    published: Path, founded: Client, home: Home, propose: Callable[[], str], host: Any
) -> None:
    """An older export is no fork; another history of the log's own key is one, be it longer or
    shorter than what was seen."""
    propose()
    founded.log.ledger()
    charter, place = founded.log.charter, open_place(str(published))
    size = audit_published(place, charter, home.memory()).size
    assert size == founded.log.checkpoint().size - 1
    for more in (1, 5):
        lie = [*host.entries[: size - 2], *(b'{"kind":"another"}' for _ in range(more))]
        for path in sorted(published.glob("tile/entries/*/*")) + [published / "checkpoint"]:
            path.unlink()
        for path in sorted(published.glob("tile/*/*/*")):
            path.unlink()
        write_log(published, host.signer.verifier_key, note_of(lie, host.signer), lie, {})
        with pytest.raises(LogForked):
            audit_published(place, charter, home.memory())
        with pytest.raises(LogEntryInvalid):
            audit_published(place, charter, CouncilMemory())


# What a web server may answer.


def test_an_answer_may_be_zipped_without_being_asked_for() -> None:
    zipped = {"Content-Encoding": "gzip"}
    with serving(answering(200, zipped, gzip.compress(b"x" * 1000))) as url:
        assert open_place(url).find("checkpoint", 1000) == b"x" * 1000
        with pytest.raises(AnswerMalformed, match="more than 999"):
            open_place(url).find("checkpoint", 999)
    short = gzip.compress(b"x" * 1000)[:-9]
    with serving(answering(200, zipped, short)) as url, pytest.raises(HostUnreachable):
        open_place(url).find("checkpoint", 1000)
    with serving(answering(200, zipped, b"no gzip")) as url, pytest.raises(HostUnreachable):
        open_place(url).find("checkpoint", 1000)


def test_what_a_web_server_may_not_answer() -> None:
    with serving(answering(200, {}, bytes(1001))) as url, pytest.raises(AnswerMalformed):
        open_place(url).find("checkpoint", 1000)
    elsewhere = answering(302, {"Location": "/elsewhere"}, b"")
    with serving(elsewhere) as url, pytest.raises(AnswerMalformed, match="302"):
        open_place(url).find("checkpoint", 1000)
    with serving(answering(404, {}, b"nothing")) as url:
        assert open_place(url).find("checkpoint", 1000) is None
    with pytest.raises(HostUnreachable):
        open_place("http://127.0.0.1:1").find("checkpoint", 1000)
    with pytest.raises(FileRefused, match="neither"):
        open_place("ftp://127.0.0.1")


def test_an_answer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte would come in time; the whole has a time too."""
    monkeypatch.setattr("placet.client.connection.web._LONGEST_SECONDS", 0.5)
    stop = threading.Event()

    class Dripping(Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            while not stop.wait(0.05):
                try:
                    self.wfile.write(b"x")
                except OSError:
                    return

    try:
        with serving(Dripping) as url, pytest.raises(HostUnreachable, match="TimeoutError"):
            open_place(url).find("checkpoint", 10_000)
    finally:
        stop.set()


def test_a_charter_that_is_not_there_is_said(tmp_path: Path) -> None:
    write(tmp_path, made(3))
    with pytest.raises((FileRefused, DocumentNotFound), match="documents/"):
        audit_published(open_place(str(tmp_path)), "sha256:" + "1" * 64)
