# SPDX-License-Identifier: Apache-2.0
"""Drafts that are judged at home, before anybody votes on them: by `placet check`, and by
`propose`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from placet.client import Home
from placet.client.drafts.templates import template

Run = Callable[..., Any]
PAST = "not_before = 2026-01-01T00:00:00Z\nnot_after = 2026-01-02T00:00:00Z"
JOB = """
program = "program"
purpose = "research"
reason = "To learn."
valid_for_seconds = 3600
uses = 2
deadline_seconds = 60
[inputs.rows]
object = "rows.object.json"
owner = "owner"
[outputs.model]
max_bytes = 1000
[[recipients]]
id = "analyst"
key = "analyst.pub.json"
"""


def edited(folder: Path, name: str, *pairs: tuple[str, str]) -> str:
    """A file with other words, under another name."""
    text = (folder / name).read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    (folder / f"other-{name}").write_text(text)
    return f"other-{name}"


def reasons(told: Any, which: str) -> list[str]:
    return [refusal["reason"] for refusal in told[which]]


def test_a_job_that_would_be_let_through(run: Run, proposal: str, folder: Path) -> None:
    told = run("check", "job", "job.toml")
    assert (told["refused"], told["lacking"], told["remarks"]) == ([], [], [])
    assert told["log"] == 4  # charter, boot, grant, proposal
    assert "Nothing that is known now would be refused" in run(
        "check", "job", "job.toml", text=True
    )


@pytest.mark.parametrize(
    ("pair", "reason", "claim"),
    [
        (("uses = 2", "uses = 16"), "RULE_NOT_MET", "uses"),
        (('purpose = "research"', 'purpose = "sale"'), "NO_RULE", "rules"),
        (
            ("valid_for_seconds = 3600", "valid_for_seconds = 2592001"),
            "RULE_NOT_MET",
            "seconds of ticket lifetime",
        ),
        (
            ("valid_for_seconds = 3600", PAST),
            "TICKET_EXPIRED",
            "not_after",
        ),
    ],
)
def test_what_no_vote_changes_is_said_and_not_proposed(
    run: Run, proposal: str, folder: Path, pair: tuple[str, str], reason: str, claim: str
) -> None:
    """It had been voted on first."""
    draft = edited(folder, "job.toml", pair)
    told = run("check", "job", draft, code=1)
    assert reasons(told, "refused") == [reason]
    assert told["refused"][0]["details"]["claim"] == claim
    before = len(run("proposals"))
    refused = run("propose", draft, "--key", "analyst.key", code=1, text=True)
    assert reason in refused
    assert len(run("proposals")) == before
    run("propose", draft, "--key", "analyst.key", "--yes")
    assert len(run("proposals")) == before + 1


def test_labels_that_nobody_listed_and_none_at_all(run: Run, proposal: str, folder: Path) -> None:
    sealing = ("seal", "rows", "--owner", "owner.pub.json", "-o", "rows.sealed", "--force")
    run(*sealing, "--label", "helath")
    told = run("check", "job", "job.toml", code=1)
    assert reasons(told, "refused") == ["NO_RULE"]
    assert "does not list the label helath. It lists health." in told["refused"][0]["message"]


def test_data_without_a_label_is_asked_about(run: Run, folder: Path) -> None:
    """A rule for any label lets it through, and rules for labelled data say nothing of it."""
    rule = 'labels = ["health"]\n\n[[rules]]'
    text = (folder / "constitution.toml").read_text()
    assert rule in text
    (folder / "constitution.toml").write_text(text.replace(rule, 'labels = "any"\n\n[[rules]]'))
    _found(run)
    _draft_job(run, folder)
    told = run("check", "job", "job.toml", code=1)
    assert (reasons(told, "refused"), reasons(told, "lacking")) == ([], ["GRANT_MISSING"])
    assert any("carries a label" in remark for remark in told["remarks"])
    refused = run("propose", "job.toml", "--key", "analyst.key", code=2)["error"]
    assert "carries a label" in refused["message"]
    run("propose", "job.toml", "--key", "analyst.key", "--yes")


def test_grants_that_lack_something_are_said_by_the_check(
    run: Run, proposal: str, folder: Path
) -> None:
    run("withdraw", "rows.grant.json", "--key", "owner.key", "--yes")
    told = run("check", "job", "job.toml", code=1)
    assert reasons(told, "lacking") == ["GRANT_WITHDRAWN"]
    assert told["refused"] == []


def test_what_a_grant_does_not_reach_for_is_remarked(run: Run, proposal: str, folder: Path) -> None:
    told = run("check", "job", edited(folder, "job.toml", ("uses = 2", "uses = 3")))
    assert told["remarks"] == [
        "The grant of owner for the input rows has 2 uses left, and 3 uses are asked for."
    ]


def test_who_proposes_matters_and_is_asked_for(
    run: Run, proposal: str, folder: Path, home: Home
) -> None:
    told = run("check", "job", "job.toml", "--as", "nobody", code=1)
    assert reasons(told, "refused") == ["SIGNER_UNKNOWN"]
    kept = [line for line in home.config.read_text().splitlines() if not line.startswith("key")]
    home.config.write_text("\n".join(kept))
    assert "--as" in run("check", "job", "job.toml", code=2)["error"]["message"]


def test_a_check_goes_by_the_kept_log_where_the_host_is_away(
    run: Run, proposal: str, folder: Path, home: Home, host: Any
) -> None:
    run("check", "job", "job.toml")
    text = home.config.read_text()
    address = home.host()[0]
    home.config.write_text(text.replace(address, "127.0.0.1:1"))
    draft = edited(folder, "job.toml", ("uses = 2", "uses = 16"))
    told = run("check", "job", draft, code=1)
    assert (reasons(told, "refused"), told["log"]) == (["RULE_NOT_MET"], 4)


def test_a_program_that_evidence_does_not_allow(run: Run, folder: Path) -> None:
    """The worker could never have had a lease."""
    text = (folder / "constitution.toml").read_text()
    worker = text.index("[evidence.worker]")
    listed = f'launched_for = ["sha256:{"00" * 32}"]'
    text = text[:worker] + text[worker:].replace('launched_for = "any"', listed, 1)
    (folder / "constitution.toml").write_text(text)
    _found(run)
    _draft_job(run, folder, "--label", "health")
    told = run("check", "job", "job.toml", code=1)
    assert reasons(told, "refused") == ["APPRAISAL_REFUSED"]
    assert told["refused"][0]["details"]["claim"] == "launched_for"


def test_a_federation_is_judged_with_its_roster_and_its_terms(
    run: Run, council: str, folder: Path
) -> None:
    text = template("federation").replace(
        '["hospital-a", "hospital-b", "hospital-c"]', '["alice", "bob", "owner"]'
    )
    layout = '[layout]\ntensors = [{ name = "w", shape = [100, 100] }]\n'
    text = text.replace('[layout]\nlike = "model.safetensors"\n', layout)
    (folder / "federation.toml").write_text(text)
    told = run("check", "federation", "federation.toml", code=1)
    assert reasons(told, "refused") == ["COHORT_TOO_SMALL"]
    draft = edited(
        folder,
        "federation.toml",
        ("smallest_cohort = 3", "smallest_cohort = 2"),
        ('noise = "none"', 'noise = "1.1"'),
        ("largest_weight = 10000", "largest_weight = 1"),
        ("round_seconds = 3600", "round_seconds = 86400"),
    )
    told = run("check", "federation", draft)
    assert any("noise of a round is about 36.7 long" in remark for remark in told["remarks"])
    assert any("may take longer than the window" in remark for remark in told["remarks"])
    refused = run("check", "job", draft, code=2)
    assert refused["error"]["details"]["actual"] == "federate"


def test_terms_are_looked_at_without_a_council(run: Run, folder: Path) -> None:
    (folder / "federation.toml").write_text(
        template("federation")
        .replace(
            '[layout]\nlike = "model.safetensors"\n',
            '[layout]\ntensors = [{ name = "w", shape = [100, 100] }]\n',
        )
        .replace("round_seconds = 3600", "round_seconds = 86400")
    )
    told = run("check", "federation", "federation.toml")
    assert (told["log"], told["refused"]) == (None, [])
    assert any("longer than the window" in remark for remark in told["remarks"])


def test_an_amendment_names_its_predecessor_when_it_is_drafted(
    run: Run, proposal: str, folder: Path
) -> None:
    """It had been refused after the vote, when it was to be put in force."""
    drafting = ("constitution", "draft", "constitution.toml")
    refused = run(*drafting, code=1)["error"]
    current = run("constitution", "show")
    assert refused["reason"] == "CONSTITUTION_NOT_SUCCESSOR"
    assert refused["details"]["expected"].startswith("sha256:")
    assert "--amends" in refused["message"]
    run(*drafting, "--founds", "-o", "new.json")
    proposing = ("--key", "alice.key", "--not-after", "2099-01-01T00:00:00Z")
    refused = run("propose", "--amend", "new.json", *proposing, code=1, text=True)
    assert "CONSTITUTION_NOT_SUCCESSOR" in refused
    edit = edited(folder, "constitution.toml", ("EXAMPLE", "ANOTHER"))
    run("constitution", "draft", edit, "--amends", "-o", "next.json")
    told = run("check", "constitution", "next.json", "--as", "alice")
    assert told["changes"] == [
        'The name of the constitution was "EXAMPLE COUNCIL", and is "ANOTHER COUNCIL".'
    ]
    assert (told["refused"], current["name"]) == ([], "EXAMPLE COUNCIL")
    told = run("check", "constitution", "new.json", "--as", "alice", code=1)
    assert reasons(told, "refused") == ["CONSTITUTION_NOT_SUCCESSOR"]


def test_a_constitution_is_checked_for_what_it_ends(run: Run, proposal: str, folder: Path) -> None:
    told = run(
        "check",
        "constitution",
        edited(
            folder,
            "constitution.toml",
            ('actions = ["amend"]', 'actions = ["serve"]'),
            ("at_most = 15", "at_most = 16"),
        ),
        "--as",
        "alice",
    )
    assert any("No rule lets it be amended" in remark for remark in told["remarks"])
    assert any("would suspend the grant" in remark for remark in told["remarks"])
    assert told["changes"]


def test_a_first_constitution_is_checked_by_itself(run: Run, folder: Path) -> None:
    over = ("term_end = 2036-01-01T00:00:00Z", "term_end = 2026-01-02T00:00:00Z")
    draft = edited(folder, "constitution.toml", over)
    told = run("check", "constitution", draft)
    assert told["log"] is None
    assert any("alice is not in office" in remark for remark in told["remarks"])
    assert any("cannot meet rule amend" in remark for remark in told["remarks"])


def _found(run: Run) -> None:
    run("charter", "draft", "constitution.toml", "-o", "charter.json")
    for seat in ("alice", "bob"):
        run("charter", "sign", "charter.json", "--key", f"{seat}.key", "--yes")
    run("charter", "submit", "charter.json")


def _draft_job(run: Run, folder: Path, *label: str) -> None:
    """A job over an object that nobody has granted yet."""
    (folder / "rows").write_bytes(bytes(1000))
    (folder / "job.toml").write_text(JOB)
    run("seal", "rows", "--owner", "owner.pub.json", *label)
