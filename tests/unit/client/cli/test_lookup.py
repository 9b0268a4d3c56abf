# SPDX-License-Identifier: Apache-2.0
"""What people look up in the log by commands, and that a host cannot hide the rest by withholding
a document."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from placet.client import Client, Home

Run = Callable[..., Any]


def test_grants_and_what_became_of_them(
    run: Run, approved: str, folder: Path, home: Home, host: Any
) -> None:
    """A grant is live, then used, then withdrawn; the analyst has granted nothing."""
    (granted,) = run("grants", "owner")
    assert (granted["stands"], granted["left"], granted["used_by"]) == ("live", 2, [])
    assert run("grants") == []
    assert [one["digest"] for one in run("grants", "--all")] == [granted["digest"]]
    assert "no seat or party nobody" in run("grants", "nobody", code=2)["error"]["message"]

    run("watch", run("start", approved)["id"])
    (used,) = run("grants", "owner")
    assert (used["left"], used["used"]) == (1, 1)
    assert used["used_by"][0]["proposal"] == approved
    assert "1 of 2" in run("grants", "owner", text=True)
    told = run("explain", "grant", granted["digest"][7:19], text=True)
    assert "Of 2 uses 1 are taken, and 1 are left." in told
    assert "analyst used it for the purpose research 1 time" in told

    run("withdraw", "rows.grant.json", "--key", "owner.key", "--yes")
    assert run("grants", "owner")[0]["stands"] == "withdrawn"
    assert "owner withdrew it" in run("explain", "grant", granted["digest"], text=True)
    assert "It may be used for" in run("explain", "grant", "rows.grant.json", text=True)
    assert "No grant of the log" in run("explain", "grant", "00ff", code=2)["error"]["message"]


def test_a_grant_that_the_host_withholds_is_listed_by_its_entry(
    run: Run, approved: str, home: Home, host: Any
) -> None:
    (granted,) = run("grants", "owner")
    host.withhold(granted["digest"])
    for document in home.folder.rglob(f"*{granted['digest'][7:]}*"):
        document.unlink()
    (withheld,) = run("grants", "owner")
    assert (withheld["digest"], withheld["stands"]) == (granted["digest"], None)
    assert "withheld" in run("grants", "owner", text=True)


def test_the_inbox_of_a_seat_and_of_a_proposer(run: Run, proposal: str, folder: Path) -> None:
    assert [one["waits"] for one in run("inbox", "alice")] == ["ballot"]
    assert run("inbox") == []
    for seat in ("alice", "bob"):
        run("vote", proposal, "placet", "--key", f"{seat}.key", "--yes")
    assert run("inbox", "alice") == []
    (waits,) = run("inbox")
    assert (waits["waits"], waits["digest"]) == ("start", proposal)
    assert "can be started" in run("inbox", text=True)
    assert "Nothing waits for alice." in run("inbox", "alice", text=True)


def test_the_timeline_of_an_owner(run: Run, proposal: str, home: Home, host: Any) -> None:
    told = run("timeline")
    assert [event["did"] for event in told] == ["charter", "grant", "proposal"]
    assert told[-1]["data"][0]["owner"] == "owner"
    assert "analyst made the proposal" in run("timeline", "--of", "owner", text=True)
    assert run("timeline", "--of", "bob") == []
    assert run("timeline", "--since", "2099-01-01T00:00:00Z") == []
    assert run("timeline", "--since", "yesterday", code=2)["error"]["reason"] == "USAGE"
    host.withhold(proposal)
    for document in home.folder.rglob(f"*{proposal[7:]}*"):
        document.unlink()
    assert run("timeline")[-1]["purpose"] == ""


def test_two_constitutions_are_compared(run: Run, council: str, folder: Path) -> None:
    assert run("diff", "now", "constitution.toml") == {"powers": [], "changes": [], "ends": []}
    text = (folder / "constitution.toml").read_text()
    (folder / "next.toml").write_text(text.replace('name = "', 'name = "Next ', 1))
    (changed,) = run("diff", "constitution.toml", "next.toml")["changes"]
    assert "Next" in changed
    assert "The two say the same." in run("diff", "now", "now", text=True)
    assert "No constitution" in run("diff", "00ff", "now", code=2)["error"]["message"]


def test_votes_are_supposed_and_nothing_is_signed(run: Run, proposal: str) -> None:
    refused = run("what-if", proposal[7:19], code=1)
    assert not refused["passes"]
    assert {one["reason"] for one in refused["refusals"]} == {"RULE_NOT_MET"}
    assert run("what-if", proposal, "alice", "bob")["passes"]
    told = run("what-if", proposal, "alice", "bob", text=True)
    assert "It would be let through." in told
    against = run("what-if", proposal, "alice", "bob=non placet", code=1)
    assert "RULE_NOT_MET" in {one["reason"] for one in against["refusals"]}
    late = run("what-if", proposal, "alice", "bob", "--at", "2099-01-01T00:00:00Z", code=1)
    assert {one["reason"] for one in late["refusals"]} >= {"TICKET_EXPIRED", "RULE_NOT_MET"}
    assert run("what-if", proposal, "nobody", code=1)["error"]["reason"] == "SEAT_UNKNOWN"
    assert "named twice" in run("what-if", proposal, "bob", "bob", code=2)["error"]["message"]
    assert run("proposals", proposal)["ballots"] == []


def test_a_log_is_exported_and_audited_without_its_host(
    run: Run, approved: str, council: str, folder: Path, client: Client, home: Home
) -> None:
    done = run("log", "export", "published")
    assert done["missing"] == [] and done["documents"] > 3
    assert run("log", "export", "published")["files"] == 0
    assert "placet audit --from published" in run("log", "export", "published", text=True)
    charter = client.log.charter
    home.configure("127.0.0.1:1", "sha256:" + "0" * 64)
    found = run("audit", "--from", "published")
    assert found["complete"] and found["report"]["log"] == council
    (folder / "published" / "documents" / approved.removeprefix("sha256:")).unlink()
    assert "NOT CHECKED" in run("audit", "--from", "published", text=True, code=4)
    other = ["--charter", "sha256:" + "0" * 64]
    assert (
        "has no documents/"
        in run("audit", "--from", "published", *other, code=2)["error"]["message"]
    )
    refused = run("audit", "--charter", charter, code=2)["error"]
    assert refused["message"] == "--charter and --ca go with --from."
