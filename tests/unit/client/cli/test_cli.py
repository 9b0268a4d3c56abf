# SPDX-License-Identifier: Apache-2.0
"""The command line: a council's whole day, exit codes, JSON, and help for every command."""

import hashlib
import json
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from placet.builds.measurement import measure
from placet.client import Client, EvidenceFile, Home, Keys, build_bundle
from placet.client.cli import app
from placet.client.connection.channel import fetch_certificate
from placet.client.data.objects import SealedObject
from placet.governance.codec import encode
from placet.proto.v1 import blobs_pb2
from placet.refusals import Refused
from tests.support.inside.relay import Call

Run = Callable[..., Any]

ENCLAVES = ("authority", "worker", "worker[onnx]")
COMMANDS = [
    "init",
    "keygen",
    "pass",
    "measure",
    "host",
    "dev",
    "status",
    "pin",
    "doctor",
    "top",
    "invite",
    "join",
    "share",
    "seal",
    "open",
    "put",
    "grant",
    "provision",
    "withdraw",
    "delete",
    "grants",
    "inbox",
    "timeline",
    "diff",
    "what-if",
    "log",
    "terms",
    "propose",
    "vote",
    "veto",
    "pause",
    "revoke",
    "proposals",
    "program",
    "ticket",
    "start",
    "runs",
    "watch",
    "cancel",
    "result",
    "run",
    "model",
    "predict",
    "token",
    "audit",
    "privacy",
    "charter",
    "config",
    "constitution",
    "federation",
    "federate",
    "verify",
    "collateral",
    "explain",
    "check",
]
GROUPS = {
    "dev": ("run",),
    "charter": ("draft", "sign", "submit"),
    "check": ("job", "federation", "constitution"),
    "constitution": ("draft", "show", "amend"),
    "federation": ("model", "vector"),
    "federate": ("join",),
    "verify": ("receipt", "update", "ticket", "evidence", "service"),
    "token": ("new",),
    "collateral": ("fetch",),
    "log": ("export",),
    "explain": ("rule", "constitution", "proposal", "grant", "refusal"),
}


def test_from_ticket_to_result(run: Run, approved: str, council: str, folder: Path) -> None:
    listed = run("proposals")
    assert [(p["digest"], p["ballots"]) for p in listed] == [(approved, 2)]
    shown = run("proposals", approved, text=True)
    assert "To learn." in shown
    assert run("ticket", approved, "-o", "ticket.json")["ballots"] == 2
    assert run("audit")["complete"] is True
    job = run("start", "ticket.json")
    assert job["state"] == "queued"
    ended = run("watch", job["id"])
    assert (ended["state"], ended["job"]["attempt"]) == ("finished", 1)
    assert [j["id"] for j in run("runs")] == [job["id"]]
    assert run("runs", job["id"])["job"] == ended["job"]
    assert run("runs", "--action", "serve") == []
    assert run("runs", "--action", "amend", code=2)["error"]["details"]["actual"] == "amend"
    result = run("result", job["id"], "--key", "analyst.key", "-o", "out")
    assert (folder / "out" / "model").read_bytes() == b"weights"
    assert result["marks"] == ["SIMULATED", "UNWITNESSED"]
    verified = run("verify", "receipt", "out/receipt.json")
    assert verified["digest"] == result["receipt"]
    assert "SIMULATED" in run("verify", "receipt", "out/receipt.json", "--log", council, text=True)
    run("verify", "receipt", "out/receipt.json", "--log", "no-key", code=2)
    held = ["verify", "receipt", "out/receipt.json", "--key", "analyst.key", "--file"]
    digest = "sha256:" + hashlib.sha256(b"weights").hexdigest()
    assert run(*held, "out/model")["file"] == {"output": "model", "sha256": digest}
    assert "is the output model, to the byte" in run(*held, "out/model", text=True)
    (folder / "other").write_bytes(b"weightz")
    assert "not an output" in run(*held, "other", code=2)["error"]["message"]
    assert (
        "not the output m" in run(*held, "out/model", "--output", "m", code=2)["error"]["message"]
    )


def test_a_program_is_read_before_the_vote(
    run: Run, proposal: str, folder: Path, host: Any
) -> None:
    """The files that are unpacked are all that an enclave would run; other bytes of the host's are
    refused."""
    told = run("program", proposal[7:19], "-o", "read")
    assert (folder / "read" / "main.py").read_bytes() == (folder / "program/main.py").read_bytes()
    assert build_bundle(folder / "read").digest == told["program"]
    run("program", proposal, "-o", "read", code=2)
    size = (folder / "program/main.py").stat().st_size
    assert told["files"] == {"main.py": size}
    listed = run("program", told["program"])  # by its own digest, and nothing is written
    assert (listed["files"], listed["folder"]) == (told["files"], None)
    assert f"{size} bytes  main.py" in run("program", proposal, text=True)

    async def other(call: Call) -> Any:
        async for chunk in call.forward():
            data = bytearray(chunk.data)
            data[600] ^= 1
            yield blobs_pb2.BlobChunk(data=bytes(data))

    host.relay.lie("Blobs.Get", other)
    refused = run("program", proposal, "-o", "again", code=1)
    assert refused["error"]["reason"] == "ANSWER_MALFORMED"
    assert not (folder / "again").exists()


def test_an_output_is_not_called_as_the_receipt(run: Run, proposal: str, folder: Path) -> None:
    text = (folder / "job.toml").read_text()
    (folder / "job.toml").write_text(text.replace("[outputs.model]", '[outputs."receipt.json"]'))
    refused = run("propose", "job.toml", "--key", "analyst.key", code=1)
    assert refused["error"]["details"]["actual"] == "receipt.json"


def test_verify_ticket_offline(run: Run, approved: str, client: Client, folder: Path) -> None:
    run("ticket", approved, "-o", "ticket.json")
    payload = client.council.verify().newest
    (folder / "c.json").write_bytes(encode(payload.document))
    good = ["verify", "ticket", "ticket.json", "--constitution", "c.json"]
    assert run(*good)["valid"] is True
    late = run(*good, "--at", "2090-01-01T00:00:00Z", code=1)
    assert {r["reason"] for r in late["refusals"]} >= {"TICKET_EXPIRED"}
    refused = run("verify", "ticket", "ticket.json", "--constitution", "constitution.toml", code=2)
    assert refused["error"]["reason"] == "USAGE"


def test_verify_evidence_offline(run: Run, council: str) -> None:
    run("status", "--evidence", "evidence.json")
    found = run("verify", "evidence", "evidence.json", "--constitution", "constitution.toml")
    assert (found["kind"], found["simulated"], found["log"]) == ("simulation", True, council)
    assert found["accepted"]
    assert {"genuine", "report_data", "measurement"} <= {c["name"] for c in found["checks"]}


def test_evidence_by_a_policy(run: Run, council: str, folder: Path, client: Client) -> None:
    run("status", "--evidence", "evidence.json")
    wanted = client.council.verify().newest.document.evidence.authority
    (folder / "policy.toml").write_text(toml(wanted))
    line = ["verify", "evidence", "evidence.json", "--policy", "policy.toml"]
    assert run(*line)["accepted"] is True
    shown = run(*line, text=True)
    assert "SIMULATED" in shown and "Not checked: Freshness" in shown
    # Everything that is wrong is shown, not only what is wrong first.
    (folder / "policy.toml").write_text(toml({**wanted, "kinds": ["sgx"], "min_svn": 9}))
    found = run(*line, code=1)
    assert [c["name"] for c in found["checks"] if not c["passed"]] == ["kind", "svn"]
    assert "NOT what is wanted" in run(*line, code=1, text=True)
    # Evidence alone speaks for nobody.
    held = EvidenceFile.from_bytes((folder / "evidence.json").read_bytes())
    (folder / "alone.json").write_bytes(held.evidence)
    alone = run("verify", "evidence", "alone.json", "--policy", "policy.toml", code=1)
    assert "Whom it speaks for" in alone["not_checked"][0]
    other = replace(held, nonce=bytes(32))
    (folder / "other.json").write_bytes(other.to_bytes())
    found = run("verify", "evidence", "other.json", "--constitution", "constitution.toml", code=1)
    assert [c["name"] for c in found["checks"] if not c["passed"]] == ["report_data"]
    run("verify", "evidence", "evidence.json", code=2)
    run(*line, "--constitution", "constitution.toml", code=2)
    run(*line, "--at", "2090-01-01T00:00:00Z", code=1)


def toml(values: dict[str, Any]) -> str:
    """The few kinds of values of a policy, as TOML: its literals are JSON's here."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def test_stops(run: Run, approved: str, folder: Path) -> None:
    refused = run("veto", approved, "--key", "alice.key", "--yes", code=1)
    assert refused["error"]["reason"] == "NOT_PERMITTED"
    pause = ("pause", approved, "--key", "alice.key", "--reason", "Wait.")
    assert "for good" in run(*pause, code=2)["error"]["message"]
    assert run(*pause, "--yes")["action"] == "pause"
    assert "stopped already (pause)" in run(*pause, "--yes", text=True)
    withdraw = ("withdraw", "rows.grant.json", "--key", "owner.key")
    assert "for ever" in run(*withdraw, code=2)["error"]["message"]
    assert run(*withdraw, "--yes")["index"] > 0
    assert run(*withdraw)["index"] is None
    assert "nothing was sent" in run(*withdraw, text=True)
    deleting = ("delete", "rows.object.json", "--key", "owner.key")
    assert "forget" in run(*deleting, code=2)["error"]["message"]
    run("ticket", approved, "-o", "ticket.json")
    refused = run("start", "ticket.json", code=1)
    assert refused["error"]["reason"] == "STOPPED"
    (folder / "refusal.json").write_text(json.dumps(refused))
    assert "STOPPED" in run("explain", "refusal", "refusal.json", text=True)
    assert "demands more" in run("explain", "refusal", "RULE_NOT_MET", text=True)
    assert run("explain", "refusal", "NONSENSE", code=2)["error"]["reason"] == "USAGE"
    (folder / "empty.json").touch()
    assert "2> FILE" in run("explain", "refusal", "empty.json", code=2)["error"]["message"]


def test_revoking_a_seat(run: Run, council: str) -> None:
    line = ["revoke", "seat", "bob", "--key", "alice.key"]
    assert run(*line, code=2)["error"]["reason"] == "USAGE"  # nobody to ask
    assert run(*line, "--yes")["action"] == "revoke-seat"
    refused = run("revoke", "member", "bob", "--key", "alice.key", "--yes", code=2)
    assert refused["error"]["details"]["actual"] == "member"


@pytest.mark.parametrize("digits", [64, 96], ids=["sgx", "tdx, snp"])
def test_revoking_a_measurement(run: Run, council: str, digits: int) -> None:
    measurement = "ab" * (digits // 2)
    policy = f"{measurement}=sha256:{'cd' * 32}"  # as a policy may have it
    for written in (measurement, measurement.upper(), policy):
        line = ["revoke", "measurement", written, "--key", "alice.key", "--yes"]
        found = run(*line)
        assert (found["action"], found["target"]) == ("revoke-measurement", measurement)


@pytest.mark.parametrize("written", ["", "xy" * 32, "ab" * 31, "ab" * 33, "sha256:" + "ab" * 32])
def test_a_measurement_that_is_none_is_refused_before_anybody_is_asked(
    run: Run, council: str, written: str
) -> None:
    refused = run("revoke", "measurement", written, "--key", "alice.key", code=1)["error"]
    assert refused["reason"] == "DOCUMENT_MALFORMED"
    assert refused["details"]["claim"] == "target"
    assert "64 or 96" in refused["message"]


def test_what_is_not_sealed_is_not_put(
    run: Run, council: str, folder: Path, client: Client
) -> None:
    (folder / "rows").write_bytes(b"some rows")
    made = run("seal", "rows", "--owner", "owner.pub.json")
    refused = run("put", "rows", "--object", made["object"], code=2)
    assert refused["error"]["reason"] == "FILE_REFUSED"
    id = SealedObject.load(folder / made["object"]).descriptor.id
    with pytest.raises(Refused, match="blob"):
        client.blobs.stat(id)


def test_a_signed_draft_is_not_overwritten(run: Run, folder: Path) -> None:
    draft = ["charter", "draft", "constitution.toml", "-o", "charter.json"]
    run(*draft)
    run(*draft)
    run("charter", "sign", "charter.json", "--key", "alice.key", "--yes")
    signed = (folder / "charter.json").read_bytes()
    assert "alice" in run(*draft, code=2)["error"]["message"]
    assert (folder / "charter.json").read_bytes() == signed


def test_an_audit_with_parts_not_checked_exits_with_4(
    run: Run, approved: str, host: Any, client: Client
) -> None:
    host.withhold(client.council.ballots(approved)[0].digest)
    assert run("audit", code=4)["complete"] is False


def test_what_an_owner_was_charged(
    run: Run, approved: str, host: Any, client: Client, folder: Path
) -> None:
    nothing = {"cost": [0, 0, 0], "epsilon": 0}
    shown = run("privacy", "owner", "--delta", "1e-5")
    assert shown == {
        "owner": "owner", "delta": "1e-5", "complete": True,
        "spent": nothing, "reserved": nothing, "charged": nothing,
    }  # fmt: skip
    assert "epsilon 0" in run("privacy", "owner", text=True)
    assert "knows no nobody" in run("privacy", "nobody", code=2)["error"]["message"]
    assert (
        run("privacy", "owner", "--delta", "2", code=1)["error"]["reason"] == "DOCUMENT_MALFORMED"
    )
    host.withhold(client.council.ballots(approved)[0].digest)
    assert run("privacy", "owner", code=4)["complete"] is False


def test_a_budget_by_flags(run: Run, proposal: str) -> None:
    terms = (
        "--purpose any --program any --parameter any --recipient any --combine-with any --uses any"
    )
    more = "--expires 2099-01-01T00:00:00Z --witnesses any --key owner.key -o grant.json"
    line = ["grant", "--object", "rows.object.json", *terms.split(), *more.split(), "--privacy"]
    assert run(*line, "3,1e-6")["terms"]["privacy"] == {"epsilon": "3", "delta": "1e-6"}
    assert run(*line, "none")["terms"]["privacy"] == "none"
    assert run(*line, "3", code=1)["error"]["reason"] == "DOCUMENT_MALFORMED"
    assert run(*line, "3,0", code=1)["error"]["details"]["claim"] == "privacy.delta"


def test_explanations(run: Run, approved: str, folder: Path) -> None:
    assert "amend" in run("explain", "rule", "amend", text=True)
    assert run("explain", "rule", "none", code=2)["error"]["reason"] == "USAGE"
    local = run("explain", "constitution", "--constitution", "constitution.toml")
    assert local["sentences"] == run("explain", "constitution")["sentences"]
    assert run("explain", "proposal", approved)["sentences"]
    run("ticket", approved, "-o", "ticket.json")
    assert run("explain", "proposal", "ticket.json")["sentences"]
    assert run("constitution", "show")["name"] == "EXAMPLE COUNCIL"


def test_seal_and_open(run: Run, folder: Path) -> None:
    (folder / "rows").write_bytes(b"some rows")
    made = run("seal", "rows", "--owner", "owner.pub.json", "--label", "health")
    assert made["sealed"] == "rows.sealed"
    arguments = ["open", "rows.sealed", "--object", made["object"], "-o", "back"]
    assert run(*arguments, "--key", "owner.key")["bytes"] == 9
    assert (folder / "back").read_bytes() == b"some rows"
    assert (folder / "back").stat().st_mode & 0o777 == 0o600
    refused = run(*arguments, "--key", "alice.key", code=1)
    assert refused["error"]["reason"].startswith("ENVELOPE")


def test_a_second_seal_does_not_lose_the_key_of_the_first(run: Run, folder: Path) -> None:
    (folder / "rows").write_bytes(b"some rows")
    sealing = ["seal", "rows", "--owner", "owner.pub.json"]
    made = run(*sealing)
    kept = {name: (folder / made[name]).read_bytes() for name in ("sealed", "object")}
    assert run(*sealing, code=2)["error"]["reason"] == "FILE_REFUSED"
    assert kept == {name: (folder / made[name]).read_bytes() for name in kept}
    run("open", "rows.sealed", "--object", made["object"], "-o", "rows", "--key", "owner.key")
    (folder / "rows").write_bytes(b"newer rows")
    opening = ["open", "rows.sealed", "--object", made["object"], "--key", "owner.key"]
    assert run(*opening, "-o", "rows", code=2)["error"]["reason"] == "FILE_REFUSED"
    assert (folder / "rows").read_bytes() == b"newer rows"
    told = run(*sealing, "--force", text=True)
    assert f"the key of object {made['digest']}" in " ".join(told.split())
    run(*opening, "-o", "rows", "--force")


def test_what_grants_lack_is_said_when_a_proposal_is_made(
    run: Run, proposal: str, folder: Path
) -> None:
    """It had shown at the first start, after everybody had voted."""
    seal = ("seal", "rows", "--owner", "owner.pub.json", "--label", "health", "-o", "rows.sealed")
    run(*seal, "--force")  # an object of its own, which nobody has granted
    told = run("propose", "job.toml", "--key", "analyst.key")
    assert [lack["reason"] for lack in told["lacking"]] == ["GRANT_MISSING"]
    assert told["lacking"][0]["details"]["claim"] == "inputs.rows"
    shown = run("propose", "job.toml", "--key", "analyst.key", text=True)
    assert "As things stand, a start would be refused (GRANT_MISSING)" in " ".join(shown.split())


def test_keygen(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run("keygen", "carol")
    assert made["encrypted"] is False
    assert (tmp_path / "carol.key").stat().st_mode & 0o777 == 0o600
    assert run("keygen", "carol", code=2)["error"]["reason"] == "KEY_FILE_REFUSED"
    assert run("keygen", "../carol", code=2)["error"]["reason"] == "USAGE"
    text = run("keygen", "dave", "--passphrase", text=True, input="secret\nsecret\n")
    assert "secret" not in text.replace("Passphrase", "")
    assert Keys.load(tmp_path / "dave.key", "secret").id == "dave"
    monkeypatch.setenv("PLACET_PASSPHRASE", "other")
    assert run("keygen", "erin", "--passphrase")["encrypted"] is True


def test_init(run: Run, served: tuple[str, str], home: Home, tmp_path: Path) -> None:
    output = run("init", "--host", served[0], "--yes", "--templates", "t", text=True)
    assert served[1] not in output  # it is in the file; --yes asks nothing
    assert home.host() == served
    text = (tmp_path / "t" / "constitution.toml").read_text()
    assert not any(measure(enclave) in text for enclave in ENCLAVES)  # nobody has chosen a build
    (tmp_path / "t" / "job.toml").write_text("mine")
    run("init", "--templates", "t", text=True)
    assert (tmp_path / "t" / "job.toml").read_text() == "mine"
    run("init", code=2, text=True)
    run("init", "--host", served[0], code=2, text=True)  # nobody to ask


def test_init_with_a_ca(run: Run, served: tuple[str, str], home: Home, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text(fetch_certificate(served[0]))  # signed by itself
    run("init", "--ca", "ca.pem", code=2, text=True)
    run("init", "--ca", "ca.pem", "--host", served[0], "--pin", served[1], code=2, text=True)
    charter = "sha256:" + "ab" * 32
    run("init", "--ca", "ca.pem", "--host", served[0], "--charter", charter, text=True)
    assert home.host() == (served[0], "") and home.ca() == ca.read_bytes()
    assert "link" not in run("charter", "show")
    assert "--ca FILE --charter sha256:abab" in run("charter", "show", text=True)


def test_measure_and_pin_and_status(run: Run, served: tuple[str, str], council: str) -> None:
    (found,) = run("measure")
    assert found["measurements"] == {enclave: measure(enclave) for enclave in ENCLAVES}
    assert found["build"].startswith("development build in ")
    assert run("pin", served[0])["pin"] == served[1]
    assert run("pin", "nowhere", code=2)["error"]["reason"] == "USAGE"
    status = run("status")
    assert (status["log"], status["marks"]) == (council, ["SIMULATED", "UNWITNESSED"])
    assert "UNWITNESSED" in run("status", text=True)


def test_a_host_that_does_not_answer_exits_with_3(run: Run, home: Home) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        home.configure(f"127.0.0.1:{taken.getsockname()[1]}", "sha256:" + "00" * 32)
        assert run("status", code=3)["error"]["reason"] == "HOST_UNREACHABLE"
        assert "HOST_UNREACHABLE" in run("runs", code=3, text=True)


def test_a_host_with_another_certificate_exits_with_3(
    run: Run, home: Home, served: tuple[str, str]
) -> None:
    home.configure(served[0], "sha256:" + "00" * 32)
    assert run("status", code=3)["error"]["reason"] == "HOST_PIN_MISMATCH"


def test_no_host_configured_exits_with_2(run: Run, home: Home) -> None:
    home.config.unlink()
    assert run("status", code=2)["error"]["reason"] == "SETTING_MISSING"


def test_usage_exits_with_2(run: Run, folder: Path) -> None:
    run("vote", code=2, text=True)
    run("nonsense", code=2, text=True)
    run("run", "program", code=2, text=True)
    refused = run("vote", "sha256:" + "0" * 64, "yes", "--key", "alice.key", code=2)
    assert refused["error"]["details"]["actual"] == "yes"
    missing = run("grant", "--object", "x", "--key", "owner.key", "-o", "g", code=2)
    assert "--purpose" in missing["error"]["message"]


def test_a_program_runs_locally(run: Run, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program = """
def main(job):
    with job.output("copy") as output:
        output.write(job.inputs["rows"].read() * job.parameters["times"])
"""
    (folder / "program" / "main.py").write_text(program)
    (folder / "rows").write_bytes(b"ab")
    line = ["run", "--local", "program", "--input", "rows=rows", "--output-dir", "out"]
    run(*line, "--parameter", "times=2", "--output", "copy=10", text=True)
    assert (folder / "out" / "copy").read_bytes() == b"abab"
    run(*line, "--parameter", "times=2", code=1, text=True)
    assert "outputs are declared" in capfd.readouterr().err
    for wrong in (["--input", "rows"], ["--input", "rows=none"], ["--output", "copy=x"]):
        run("run", "--local", "program", *wrong, code=2, text=True)
    assert "fault" not in capfd.readouterr().err


def test_an_ambiguous_start_of_a_digest_is_refused(run: Run, approved: str, folder: Path) -> None:
    refused = run("vote", "0000ffff", "placet", "--key", "alice.key", "--yes", code=2)
    assert "No proposal of the log begins" in refused["error"]["message"]


def test_the_start_of_a_digest_signs_nothing_where_nobody_can_be_asked(
    run: Run, approved: str, host: Any
) -> None:
    """Another proposal may begin alike: whoever is not shown which one it is names it in full."""
    size = len(host.entries)
    for command in (["veto"], ["pause"], ["cancel"], ["vote", "--yes"]):
        vote = ["non placet"] if "vote" in command else []
        refused = run(*command, approved[7:19], *vote, "--key", "bob.key", code=2)
        assert approved in refused["error"]["message"]
    assert len(host.entries) == size
    assert "job by analyst" in run("veto", approved, "--key", "bob.key", "--yes", text=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    if name == "host":
        return
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output
    for sub in GROUPS.get(name, ()):
        assert sub in result.output
        inner = CliRunner().invoke(app, [name, sub, "--help"])
        assert inner.exit_code == 0


def test_every_command_is_listed_here() -> None:
    listed = {str(command.name or "") for command in app.registered_commands}
    unnamed = {
        command.callback.__name__.replace("_", "-")
        for command in app.registered_commands
        if command.name is None and command.callback is not None
    }
    groups = {str(group.name) for group in app.registered_groups}
    assert (listed | unnamed | groups) - {""} == set(COMMANDS)


def test_help_tells_the_exit_codes() -> None:
    output = CliRunner().invoke(app, ["--help"]).output
    assert "3 host unreachable" in " ".join(output.split())
