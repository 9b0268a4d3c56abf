# SPDX-License-Identifier: Apache-2.0
"""Jobs and results: receipts are verified before anything is opened, and offline again
afterwards."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from placet.client import (
    Bundle,
    Client,
    FileRefused,
    Keys,
    ReceiptFile,
    build_bundle,
    verify_by_log_key,
    verify_receipt,
)
from placet.client.trust.openings import Content, Opening
from placet.client.trust.verify import verify_answers
from placet.governance.documents import UNBOUNDED, Charged, Cost
from placet.governance.envelope import sign_payload
from placet.governance.jobs import requested_job
from placet.governance.log import NoteSigner
from placet.proto.v1 import blobs_pb2
from placet.refusals import (
    EnvelopeForged,
    KeyCommitmentMismatch,
    LogProofInvalid,
    ObjectRootMismatch,
    ReceiptInvalid,
    Refusal,
    Refused,
    SignatureInvalid,
    StreamHeaderMalformed,
)
from placet.sealing import StreamKey, context, seal_envelope
from tests.support.inside.relay import BrokenOff, Call

Answered = Callable[[str], ReceiptFile]


@pytest.fixture
def receipt(founded: Client, people: dict[str, Keys], tmp_path: Path) -> Answered:
    """The receipt of a job with its entry and proof, as they came."""

    def get(job: str) -> ReceiptFile:
        result = founded.jobs.result(job, people["analyst"], tmp_path / job)
        return ReceiptFile.from_bytes(result.receipt_file.read_bytes())

    return get


def test_a_result_is_verified_and_opened(
    founded: Client, released: str, people: dict[str, Keys], tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    result = founded.jobs.result(
        released,
        people["analyst"],
        tmp_path / "out",
        progress=lambda done, total: told.append((done, total)),
    )
    assert result.outputs["model"].read_bytes() == bytes(range(256)) * 5000
    assert result.outputs["report"].read_bytes() == b"fine"
    assert result.receipt.receipt.predicate.marks == ("SIMULATED", "UNWITNESSED")
    assert told[-1][0] == told[-1][1]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "model",
        "receipt.json",
        "report",
    ]
    offline = ReceiptFile.from_bytes(result.receipt_file.read_bytes()).verify(founded.log.charter)
    assert offline.digest == result.receipt.digest


def held(result: Any, keys: Keys, content: bytes, output: str = "") -> tuple[str, str]:
    file = ReceiptFile.from_bytes(result.receipt_file.read_bytes())
    opening = Opening.opened(file.opening, result.receipt.digest, keys.hpke)
    return opening.find(io.BytesIO(content), result.receipt, output)


def test_a_file_is_held_against_its_receipt(
    founded: Client, released: str, people: dict[str, Keys], tmp_path: Path
) -> None:
    """Also long after the host has gone; and the file tells nobody else anything."""
    result = founded.jobs.result(released, people["analyst"], tmp_path)
    model, report = (result.outputs[name].read_bytes() for name in ("model", "report"))
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in
               (("model", model), ("report", report))}  # fmt: skip
    for name, data in (("model", model), ("report", report)):
        found = held(result, people["analyst"], data)
        assert found == (name, "sha256:" + digests[name])
        assert held(result, people["analyst"], data, name) == found
    for other in (model[:-1], model + b"\0", model[:-1] + b"x", b"", report.upper()):
        with pytest.raises(FileRefused):
            held(result, people["analyst"], other)
    with pytest.raises(FileRefused, match="not the output report"):
        held(result, people["analyst"], model, "report")
    with pytest.raises(Refusal):
        held(result, people["alice"], model)
    file = ReceiptFile.from_bytes(result.receipt_file.read_bytes())
    for digest in digests.values():
        assert digest.encode() not in result.receipt_file.read_bytes()
        assert bytes.fromhex(digest) not in file.opening
    with pytest.raises(FileRefused, match="no sealed part"):
        Opening.opened(b"", result.receipt.digest, people["analyst"].hpke)
    assert replace(file, opening=b"").verify(founded.log.charter)  # as files of before are


def test_what_a_sealed_part_says_is_not_believed(
    founded: Client, released: str, people: dict[str, Keys], tmp_path: Path
) -> None:
    """Anybody can seal one to the recipient: what counts is the root that the receipt names."""
    keys = people["analyst"]
    result = founded.jobs.result(released, keys, tmp_path)
    file = ReceiptFile.from_bytes(result.receipt_file.read_bytes())
    true = Opening.opened(file.opening, result.receipt.digest, keys.hpke)

    def check(key: StreamKey, header: bytes) -> None:
        said = {"model": Content.of(header, io.BytesIO(b"another model"))}
        sealed = Opening(key, said).sealed(result.receipt.digest, keys.hpke.public)
        forged = replace(file, opening=sealed)
        result.receipt_file.write_bytes(forged.to_bytes())
        held(result, keys, b"another model")

    header = true.contents["model"].header
    with pytest.raises(ObjectRootMismatch):
        check(true.key, header)
    with pytest.raises(KeyCommitmentMismatch):
        check(StreamKey.generate(), header)
    with pytest.raises(StreamHeaderMalformed):
        check(true.key, b"")
    with pytest.raises(EnvelopeForged):
        Opening.opened(file.opening, "sha256:" + "0" * 64, keys.hpke)
    with pytest.raises(EnvelopeForged):
        info = context("placet/opening/v1", result.receipt.digest.encode())
        malformed = seal_envelope(b"{}", keys.hpke.public, info)
        Opening.opened(malformed, result.receipt.digest, keys.hpke)


def test_nothing_is_written_over_another_result(
    founded: Client, released: str, people: dict[str, Keys], tmp_path: Path
) -> None:
    folder, keys = tmp_path / "out", people["analyst"]
    result = founded.jobs.result(released, keys, folder)
    founded.jobs.result(released, keys, folder)  # the same again loses nothing
    result.outputs["model"].write_bytes(b"the only copy of another model")
    with pytest.raises(FileRefused) as refused:
        founded.jobs.result(released, keys, folder)
    assert str(result.outputs["model"]) in str(refused.value)
    assert result.outputs["model"].read_bytes() == b"the only copy of another model"
    other = replace(ReceiptFile.from_bytes(result.receipt_file.read_bytes()), receipt=b"{}")
    for text in (other.to_bytes(), b"notes of mine"):
        result.receipt_file.write_bytes(text)
        with pytest.raises(FileRefused):
            founded.jobs.result(released, keys, folder)
        assert result.receipt_file.read_bytes() == text
    founded.jobs.result(released, keys, folder, force=True)
    assert result.outputs["model"].read_bytes() == bytes(range(256)) * 5000
    assert sorted(p.name for p in folder.iterdir()) == ["model", "receipt.json", "report"]


def test_only_the_recipient_opens_it(
    founded: Client, released: str, people: dict[str, Keys], tmp_path: Path
) -> None:
    with pytest.raises(Refusal):
        founded.jobs.result(released, people["alice"], tmp_path, recipient="analyst")
    assert not list(tmp_path.glob("model*"))


def test_other_bytes_than_the_receipt_names_are_not_opened(
    founded: Client, released: str, people: dict[str, Keys], host: Any, tmp_path: Path
) -> None:

    async def lie(call: Call) -> Any:
        async for chunk in call.forward():
            data = bytearray(chunk.data)
            data[len(data) // 2] ^= 1
            yield blobs_pb2.BlobChunk(data=bytes(data))

    host.relay.lie("Blobs.Get", lie)
    with pytest.raises(ObjectRootMismatch):
        founded.jobs.result(released, people["analyst"], tmp_path / "out")
    assert not (tmp_path / "out" / "model").exists()


def test_nothing_released_is_a_refusal(
    founded: Client, people: dict[str, Keys], tmp_path: Path, submit: Callable[..., str]
) -> None:
    (tmp_path / "fails.py").write_text("def main(job):\n    raise ValueError\n")
    job = submit(build_bundle(tmp_path / "fails.py"))
    assert founded.runs.wait(job).state == "failed"
    with pytest.raises(Refused) as refused:
        founded.jobs.result(job, people["analyst"], tmp_path)
    assert refused.value.reason == "NOT_RELEASED"
    another = requested_job(founded.runs.proposal(job).digest, bytes(16))
    with pytest.raises(Refused) as refused:
        founded.jobs.result(another, people["analyst"], tmp_path)
    assert refused.value.reason == "RUN_NOT_FOUND"


def test_the_receipt_of_another_job_is_refused(
    founded: Client, released: str, people: dict[str, Keys], host: Any, tmp_path: Path
) -> None:
    another = released[:-1] + ("0" if released[-1] != "0" else "1")

    async def lie(call: Call) -> Any:
        call.request.id = released
        return await call.answer()

    host.relay.lie("Jobs.Result", lie)
    with pytest.raises(ReceiptInvalid, match="another job"):
        founded.jobs.result(another, people["analyst"], tmp_path)


def test_a_receipt_verifies_offline_in_every_part(
    founded: Client, released: str, receipt: Answered, host: Any
) -> None:
    answer = receipt(released)
    good = (answer.receipt, answer.proof, answer.entry, founded.council.verify())
    verified = verify_receipt(*good)
    assert verified.receipt.predicate.job == released
    payload = b"{}"
    forged = sign_payload(payload, "application/vnd.in-toto+json", Keys.generate("m").signing)
    with pytest.raises(Exception, match="field"):
        verify_receipt(forged, *good[1:])
    other = replace(
        founded.council.verify(),
        log=NoteSigner.generate("council.example/log").verifier_key.to_text(),
    )
    with pytest.raises(SignatureInvalid):
        verify_receipt(*good[:3], other)
    with pytest.raises(SignatureInvalid):
        verify_by_log_key(*good[:3], other.log)
    assert verify_by_log_key(*good[:3], founded.log.key) == verified
    stranger = replace(founded.council.verify().charter, digest="sha256:" + "c4" * 32)
    with pytest.raises(ReceiptInvalid, match="charter"):
        verify_receipt(*good[:3], replace(founded.council.verify(), charter=stranger))
    with pytest.raises(LogProofInvalid):
        verify_receipt(good[0], good[1], good[2] + b" ", *good[3:])
    with pytest.raises(LogProofInvalid):
        verify_receipt(good[0], good[1], host.entries[0], *good[3:])


OTHERS: list[tuple[str, Any]] = [
    ("program", "sha256:" + "00" * 32),
    ("purpose", "billing"),
    ("recipients", ("analyst", "friend")),
    ("privacy", Charged({"owner": Cost()}, declared=False)),
    ("privacy", Charged({"owner": UNBOUNDED}, declared=True)),
]


def test_a_receipt_that_does_not_answer_its_proposal(
    founded: Client, released: str, receipt: Answered
) -> None:
    answer = receipt(released)
    verified = verify_receipt(answer.receipt, answer.proof, answer.entry, founded.council.verify())
    said = verified.receipt.predicate
    proposal = founded.council.find(said.proposal).proposal
    assert verify_answers(verified, proposal) is verified
    for claim, other in OTHERS:
        fields: dict[str, Any] = {claim: other}
        lying = replace(verified.receipt, predicate=replace(said, **fields))
        with pytest.raises(ReceiptInvalid) as refused:
            verify_answers(replace(verified, receipt=lying), proposal)
        assert refused.value.details["claim"] == claim


def test_an_entry_that_is_not_this_release_is_refused(
    founded: Client, released: str, receipt: Answered
) -> None:
    first = receipt(released)
    ticket = founded.council.ticket(founded.runs.proposal(released))
    again = founded.runs.wait(founded.runs.start(ticket).id)
    second = receipt(again.id)
    with pytest.raises(ReceiptInvalid):
        verify_receipt(first.receipt, second.proof, second.entry, founded.council.verify())


WAITS = """
import pathlib, time
def main(job):
    job.progress(0.5)
    while not pathlib.Path({gate!r}).exists():
        time.sleep(0.01)
    for name in ("model", "report"):
        with job.output(name) as sink:
            sink.write(b"x")
"""


def test_a_job_is_followed_through_a_broken_connection(
    founded: Client,
    submit: Callable[..., str],
    host: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("placet.enclave.worker.program._PROGRESS_SECONDS", 0.0)
    gate, watched = tmp_path / "gate", list[int]()

    async def breaking(call: Call) -> Any:
        watched.append(1)
        async for told in call.forward():
            yield told
            if len(watched) == 1:
                raise BrokenOff

    host.relay.lie("Runs.Watch", breaking)
    (tmp_path / "waits.py").write_text(WAITS.format(gate=str(gate)))
    job, states = submit(build_bundle(tmp_path / "waits.py")), list[tuple[str, int]]()
    for told in founded.runs.watch(job):
        states.append((told.state, told.progress))
        if states[-1] == ("running", 50):
            gate.touch()
    assert len(watched) == 2
    assert states[0] == ("queued", 0)
    assert states[-2:] == [("running", 50), ("finished", 100)]
    assert founded.runs.wait(job).ended


def test_the_same_request_is_the_same_job(
    founded: Client, propose: Callable[[], str], people: dict[str, Keys], program: Bundle
) -> None:
    founded.blobs.put(program.blob, program.data)
    digest = propose()
    with pytest.raises(Refused) as refused:
        founded.runs.start(founded.council.ticket(digest))
    assert refused.value.reason == "RULE_NOT_MET"
    for seat in ("alice", "bob"):
        founded.council.vote(people[seat], digest, "placet")
    ticket = founded.council.ticket(digest)
    first = founded.runs.start(ticket, request_id=b"r" * 16)
    assert founded.runs.start(ticket, request_id=b"r" * 16).id == first.id
    assert founded.runs.start(ticket).id != first.id
    assert (
        [job.id for job in founded.runs.list()][1] == first.id == requested_job(digest, b"r" * 16)
    )
    with pytest.raises(Refused) as refused:
        founded.runs.get("job-7")
    assert refused.value.reason == "RUN_NOT_FOUND"
