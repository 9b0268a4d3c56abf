# SPDX-License-Identifier: Apache-2.0
"""Services on the command line: from a file to answers."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from placet.client import Client, Home, Keys, Token, ticket_to_bytes
from placet.client.cli import app
from placet.client.data.objects import SealedObject, seal_file
from placet.client.drafts.serve import load_serve
from placet.client.drafts.templates import template
from placet.governance.codec import encode
from placet.governance.documents import Serve
from placet.governance.documents.work.parts import Input
from placet.governance.envelope import digest_of
from tests.support.inside.questions import Questions
from tests.support.nets import linear

Run = Callable[..., Any]
Start = Callable[..., str]
ROWS = np.arange(40, dtype="f4").reshape(10, 4)
WEIGHTS = np.arange(12, dtype="f4").reshape(4, 3)


@pytest.fixture
def run(
    home: Home, tmp_path: Path, people: dict[str, Keys], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run a command line in a folder of its own; checks the exit code and returns the JSON that it
    wrote."""
    monkeypatch.chdir(tmp_path)
    for name in ("PLACET_HOME", "PLACET_KEY", "PLACET_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    for id, keys in people.items():
        keys.save(tmp_path / f"{id}.key")
    home.use_key(tmp_path / "owner.key")

    def line(*arguments: str, code: int = 0, text: bool = False) -> Any:
        given = ["--home", str(home.folder), *arguments, *([] if text else ["--json"])]
        result = CliRunner().invoke(app, given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        if text:
            return result.output
        return json.loads(result.stdout or result.stderr.splitlines()[-1])

    return line


@pytest.fixture
def draft(tmp_path: Path, people: dict[str, Keys]) -> Path:
    """serve.toml as `placet init` writes it, for a model that was sealed."""
    (tmp_path / "model.onnx").write_bytes(linear())
    owner = people["owner"].hpke.public
    sealed = seal_file(
        tmp_path / "model.onnx", tmp_path / "model.sealed", owner, kind="model", labels=()
    )
    (tmp_path / "model.object.json").write_bytes(sealed.to_bytes())
    path = tmp_path / "serve.toml"
    text = template("serve").replace('owner = "hospital-a"', 'owner = "owner"')
    path.write_text(text.replace("uses = 100", "uses = 10"))  # what the rules allow
    return path


Give = Callable[[SealedObject, Path], None]


def give_model(give: Give, folder: Path) -> None:
    """Put and grant the model of the draft."""
    give(SealedObject.load(folder / "model.object.json"), folder / "model.sealed")


def test_from_a_file_to_answers(
    run: Run, founded: Client, questions: Questions, draft: Path, give: Give, tmp_path: Path
) -> None:
    give_model(give, tmp_path)
    draft.write_text(draft.read_text().replace('"top-class"', '"raw"'))
    service = run("propose", "serve.toml", "--key", "owner.key")["proposal"]
    for seat in ("alice", "bob"):
        run("vote", service, "placet", "--key", f"{seat}.key", "--yes")
    review = founded.council.find(service).document.serve.review
    assert [b.document.expires for b in founded.council.ballots(service)] == [review, review]
    assert "serve the model" in run("explain", "proposal", service, text=True)
    assert run("runs") == [] and "No runs." in run("status", text=True)
    told = run("start", service[7:19], "--workers", "2", "--watch")
    assert (told["id"], told["state"], told["serve"]["ready"]) == (service, "running", 2)
    assert [s["id"] for s in run("runs", "--action", "serve")] == [service]
    assert [s["state"] for s in run("status")["runs"]] == ["running"]
    assert "2 of 2 worker(s) ready" in run("runs", text=True)
    verified = run("verify", "service", service)
    assert verified["simulated"] and all(check["passed"] for check in verified["checks"])
    assert "serves" in run("verify", "service", service, text=True)
    np.save(tmp_path / "rows.npy", ROWS)
    asked = (
        "predict",
        "--simulated",
        service,
        "--input",
        "rows.npy",
        "--output",
        "out.npy",
        "--key",
        "analyst.key",
    )
    told = run(*asked, code=2)  # nobody is there to be shown the card
    assert "--yes" in told["error"]["message"] and not questions.sent
    shown = run(*asked, "--yes", text=True)
    assert "WHAT THE MODEL IS FOR" in shown and "SIMULATED" in shown
    assert np.array_equal(np.load(tmp_path / "out.npy"), ROWS @ WEIGHTS)
    sent = questions.sent
    assert run(*asked, code=2)["error"]["reason"] == "FILE_REFUSED"  # answers cost a ration
    assert questions.sent == sent
    assert run(*asked, "--force") == {  # once is enough
        "service": service, "files": ["out.npy"], "rows": 10, "marks": ["SIMULATED"],
    }  # fmt: skip
    run("start", service, "--workers", "0")
    assert run("watch", service)["state"] == "finished"


def test_rows_in_every_format(run: Run, serve: Start, tmp_path: Path) -> None:
    service = serve()
    (tmp_path / "a.csv").write_text("a,b,c,d\n" + "\n".join("0.0,1,2,3" for _ in range(5)) + "\n")
    (tmp_path / "a.json").write_text("[[0, 1, 2, 3], [0, 1, 2, 3]]")
    np.savez(tmp_path / "a.npz", x=ROWS)
    asked = ("predict", service, "--key", "owner.key", "--yes", "--simulated")
    run(*asked, "-i", "a.csv", "-o", "b.json")
    assert json.loads((tmp_path / "b.json").read_text()) == [[42.0, 48.0, 54.0]] * 5
    run(*asked, "-i", "a.json", "-o", "b.csv")
    assert (tmp_path / "b.csv").read_text() == "42.0,48.0,54.0\n" * 2
    run(*asked, "-i", "a.npz", "-o", "b.npz")
    with np.load(tmp_path / "b.npz") as file:
        assert np.array_equal(file["answers"], ROWS @ WEIGHTS)
    (tmp_path / "rows").write_text("0,1,2,3\n")
    given = ("-i", "rows", "-o", "answers", "--format", "csv")
    assert "--heading" in run(*asked, *given, code=2)["error"]["message"]
    run(*asked, *given, "--no-heading")
    assert (tmp_path / "answers").read_text() == "42.0,48.0,54.0\n"


def test_answers_that_were_paid_for_are_kept(
    run: Run, serve: Start, questions: Questions, tmp_path: Path
) -> None:
    service = serve()
    np.save(tmp_path / "rows.npy", ROWS)
    asked = ("predict", service, "--key", "owner.key", "--yes", "--simulated", "-i", "rows.npy")
    told = run("model", service)["left"]
    questions.refusals = [None, "ANSWERS_USED_UP"]
    shown = run(*asked, "-o", "out.npy", code=1, text=True)
    assert "out.npy.part has the answers so far" in " ".join(shown.split())
    assert not (tmp_path / "out.npy").exists()
    run(*asked, "-o", "out.npy")
    assert np.array_equal(np.load(tmp_path / "out.npy"), ROWS @ WEIGHTS)
    assert not (tmp_path / "out.npy.part").exists()
    left = run("model", service)["left"]
    assert left["total"] < told["total"] and left["users"]["owner"] > 0
    assert "Left to be drawn" in run("model", service, text=True)


NO_ROWS = [
    ("a.csv", "0,1,2\n"),
    ("a.csv", "0.0,1,2,3\n0.0,1,x,3\n"),
    ("a.csv", "0.0,1,,3\n0.0,1,2,3\n"),
    ("a.csv", "0.0,1,2,3\n0,1,2\n"),
    ("a.csv", "a,b,c,d\n"),
    ("a.csv", "0;1;2;3\n0;1;2;3\n"),
    ("a.csv", "0.0,1,2,3\n" * 10_001),
    ("a.csv", ""),
    ("a.json", "[[1, 2, 3, 4]"),
    ("a.json", '{"y": [[1, 2, 3, 4]]}'),
    ("a.npy", "no array"),
    ("a.npz", "no arrays"),
    ("a.txt", "0.0,1,2,3\n"),
    ("missing.csv", None),
]


def test_files_that_hold_no_rows_are_refused(
    run: Run, serve: Start, questions: Questions, tmp_path: Path
) -> None:
    service = serve()
    asked = ("predict", service, "--key", "owner.key", "--yes", "--simulated")
    for number, (name, text) in enumerate(NO_ROWS):
        file = f"{number}-{name}"
        if text is not None:
            (tmp_path / file).write_text(text)
        run(*asked, "-i", file, "-o", "b.csv", code=2)
    assert not questions.sent and not (tmp_path / "b.csv").exists()


def test_a_token_is_made_and_asks(
    run: Run, founded: Client, questions: Questions, draft: Path, give: Give, tmp_path: Path
) -> None:
    give_model(give, tmp_path)
    made = run("token", "new", "ward-3")
    path = tmp_path / "ward-3.token"
    assert path.stat().st_mode & 0o777 == 0o600
    assert Token.load(path).digest == made["digest"]
    assert path.read_text().strip() not in run("token", "new", "ward-4", text=True)
    run("token", "new", "ward-3", code=2)
    text = draft.read_text().replace('"top-class"', '"raw"')
    text = text.replace(
        'who = "roster"\nusers = ["analyst"]',
        f'who = "tokens"\ntokens = {{ ward-3 = "{made["digest"]}" }}',
    )
    draft.write_text(text)
    service = run("propose", "serve.toml", "--key", "owner.key")["proposal"]
    for seat in ("alice", "bob"):
        run("vote", service, "placet", "--key", f"{seat}.key", "--yes")
    (tmp_path / "ticket.json").write_bytes(ticket_to_bytes(founded.council.ticket(service)))
    run("start", "ticket.json", "--watch")
    (tmp_path / "a.csv").write_text("0.0,1,2,3\n")
    asked = ("predict", service, "--yes", "--simulated", "-i", "a.csv", "-o", "b.csv")
    run(*asked, "--token", "ward-3.token")
    assert [user for user, _, _ in questions.asked] == ["ward-3"]
    assert run(*asked, "--token", "ward-4.token", code=1)["error"]["reason"] == "USER_NOT_ALLOWED"
    run(*asked, code=2)
    path.chmod(0o644)
    assert run(*asked, "--token", "ward-3.token", code=2)["error"]["reason"] == "KEY_FILE_REFUSED"


def test_model_says_where_it_came_from(
    run: Run, founded: Client, people: dict[str, Keys], terms: Serve, released: str, host: Any,
    home: Home, tmp_path: Path,
) -> None:  # fmt: skip
    receipt = founded.jobs.result(released, people["analyst"], tmp_path / "out").receipt
    digest, output = receipt.digest, receipt.receipt.predicate.outputs["model"]
    card, now = replace(terms.card, receipt=digest), int(time.time())
    for model, said in (
        (terms.model, "The owner says that it was made"),
        (Input(output, "owner"), f"is the output model of the job {released}"),
    ):
        service = founded.council.propose(
            people["owner"],
            replace(terms, card=card, model=model),
            purpose="care",
            reason="To answer.",
            not_before=now - 10,
            not_after=now + 1000,
        ).digest
        assert said in run("model", service)["origin"][0]
    host.withhold(digest)
    (home.folder / "documents" / digest.removeprefix("sha256:")).unlink()  # what the home has kept
    assert "DOCUMENT_NOT_FOUND" in run("model", service)["origin"][0]


def test_model_without_a_worker_and_after_its_time(
    run: Run, serve: Start, questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = serve()
    told = run("model", service)
    assert [f["name"] for f in told["inputs"]] == ["x"] and not told["warnings"]
    assert "(rows, 4)" in run("model", service, text=True)
    questions.away = True
    late = time.time() + 40 * 86400
    monkeypatch.setattr("placet.client.cli.service.time.time", lambda: late)
    told = run("model", service)
    assert told["inputs"] == [] and len(told["warnings"]) == 2
    assert "No worker is ready" in run("model", service, text=True)


def test_what_does_not_hold_is_told_with_what_did(
    run: Run, founded: Client, serve: Start, questions: Questions
) -> None:
    service = serve()
    founded.services.verify(service)
    assert questions.told is not None
    questions.forged = {"offer": questions.told.lease}
    assert run("verify", "service", service, code=1)["error"]["details"]["claim"] == "offer"
    shown = run("verify", "service", service, code=1, text=True)
    assert "OFFER_INVALID" in shown and "worker measurement" in shown


NOW = 1_800_000_000
DRAFTS: list[tuple[str, str, str]] = [
    ('action = "serve"', 'action = "job"', "action"),
    ('purpose = "care"', "", "purpose"),
    ("tranche = 1000", "tranche = 20000", "rations"),
    ('\nwho = "roster"', '\nwho = "everybody"', "users"),
    ('= "top-class"', '= "everything"', "answers"),
    (
        "review_after_seconds = 1296000",
        "review_after_seconds = 1\nreview = 2027-01-31T12:00:00Z",
        "review",
    ),
    ("not_finite", "not_finnite", "not_finnite"),
    ('object = "model.object.json"', 'object = "missing.json"', "missing.json"),
]


@pytest.mark.parametrize(("old", "new", "claim"), DRAFTS)
def test_a_draft_that_is_wrong_says_where(draft: Path, old: str, new: str, claim: str) -> None:
    text = draft.read_text()
    assert old in text
    draft.write_text(text.replace(old, new, 1))
    with pytest.raises(Exception, match=claim) as refused:
        load_serve(draft, NOW)
    assert getattr(refused.value, "reason", "") in ("FILE_REFUSED", "DOCUMENT_MALFORMED")


def test_terms_are_written_before_they_are_proposed(
    run: Run, founded: Client, draft: Path, tmp_path: Path
) -> None:
    refused = run("terms", "serve.toml", code=2)
    assert refused["error"]["details"]["claim"] == "not_before"
    fixed = draft.read_text().replace("\npurpose", f"\nnot_before = {NOW}\npurpose", 1)
    draft.write_text(fixed)
    written = run("terms", "serve.toml", "-o", "terms.json")
    data = (tmp_path / "terms.json").read_bytes()
    assert written == {"terms": digest_of(data), "file": "terms.json"}
    service = run("propose", "serve.toml", "--key", "owner.key")["proposal"]
    assert encode(founded.council.find(service).document.serve) == data


def test_the_usual_numbers_may_be_left_out(draft: Path) -> None:
    full = load_serve(draft, NOW)
    usual = ("uses", "deadline", "largest", "batch", "not_finite", "labels", "minute", "tranche")
    kept = [line for line in draft.read_text().splitlines() if not line.startswith(usual)]
    draft.write_text("\n".join(line for line in kept if not line.startswith("review")))
    short = load_serve(draft, NOW)
    assert (short.uses, full.uses) == (100, 10)
    assert short.body.largest_request == full.body.largest_request
    assert short.body.review == short.not_after == NOW + 30 * 86400
    assert (short.body.rations.minute, short.body.rations.tranche) == (10000, 1000)
    assert full.body.card.retire_by == full.not_after and full.body.review == NOW + 15 * 86400
