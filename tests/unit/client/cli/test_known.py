# SPDX-License-Identifier: Apache-2.0
"""A draft names what the home and its log have: objects that were granted, keys of members."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from placet.client import Home, Keys, UsageRefused
from placet.client.cli.starting._job import JobWords
from placet.governance.codec import parse_object
from tests.support.inside.hosted import Hosted
from tests.unit.client.cli.conftest import JOB, Run

NAMED = JOB.replace('object = "rows.object.json"\n', "").replace('\nkey = "analyst.pub.json"', "")


def propose(run: Run, text: str, code: int = 0) -> Any:
    Path("named.toml").write_text(text)
    return run("propose", "named.toml", "--key", "analyst.key", code=code)


def test_a_job_by_names(
    run: Run, proposal: str, home: Home, folder: Path, people: dict[str, Keys]
) -> None:
    refused = propose(run, NAMED, code=2)["error"]["message"]
    assert refused.startswith("This home has no public keys of 'analyst'.")
    home.members.mkdir()
    known = home.members / "analyst.pub.json"
    known.write_bytes(people["analyst"].public.to_bytes())
    told = propose(run, NAMED)
    assert told["lacking"] == []
    shown = run("explain", "proposal", told["proposal"], text=True)
    assert "rows" in shown
    described = parse_object((folder / "rows.object.json").read_bytes())["descriptor"]
    digest = run("seal", "rows", "--owner", "owner.pub.json", "-o", "again.sealed")["digest"]
    assert described["id"]
    refused = propose(run, NAMED.replace("owner =", f'object = "{digest}"\nowner ='), code=2)
    assert "0 objects" in refused["error"]["message"]
    refused = propose(run, NAMED.replace('owner = "owner"', 'owner = "analyst"'), code=2)
    assert "0 objects" in refused["error"]["message"]
    known.write_bytes(Keys.generate("analyst").public.to_bytes())
    assert "other keys of analyst" in propose(run, NAMED, code=2)["error"]["message"]


def test_two_objects_of_an_owner_are_told_apart(
    run: Run, proposal: str, home: Home, folder: Path, people: dict[str, Keys]
) -> None:
    home.members.mkdir()
    (home.members / "analyst.pub.json").write_bytes(people["analyst"].public.to_bytes())
    (folder / "more").write_bytes(b"more")
    terms = "--purpose research --program any --parameter any --recipient analyst"
    terms += " --combine-with any --uses any --expires 2099-01-01T00:00:00Z --privacy any"
    words = ("share", "more", "--key", "owner.key", "--label", "health", *terms.split())
    said = run(*words, "--witnesses", "any", "--yes", code=1, text=True)
    assert "EVIDENCE_SIMULATED" in said
    rest = "placet provision more.grant.json --object more.object.json --key owner.key"
    assert rest in " ".join(said.split())
    refused = run(*words, "--witnesses", "any", "--yes", "--simulated", code=2)
    assert "more.sealed exists" in refused["error"]["message"]
    for name in ("sealed", "object.json", "grant.json"):
        (folder / f"more.{name}").unlink()
    told = run(*words, "--witnesses", "any", "--yes", "--simulated")
    refused = propose(run, NAMED, code=2)["error"]["message"]
    assert "2 objects" in refused and told["object"] in refused
    one = NAMED.replace("owner =", f'object = "{told["object"][:20]}"\nowner =')
    assert propose(run, one)["lacking"] == []


def test_a_grant_that_the_host_made_up_describes_nothing(
    run: Run, proposal: str, home: Home, host: Hosted, people: dict[str, Keys]
) -> None:
    home.members.mkdir()
    (home.members / "analyst.pub.json").write_bytes(people["analyst"].public.to_bytes())
    other = host.document(proposal)

    async def lie(call: Any) -> Any:
        answer = await call.answer()
        answer.document = other
        return answer

    host.relay.lie("Log.GetDocument", lie)
    propose(run, NAMED, code=1)


def test_an_amendment_needs_no_file_of_the_draft(
    run: Run, proposal: str, folder: Path, host: Hosted
) -> None:
    text = (folder / "constitution.toml").read_text().replace("EXAMPLE", "ANOTHER")
    (folder / "next.toml").write_text(text)
    run("constitution", "draft", "next.toml", "--amends", "-o", "next.json")
    refused = run("constitution", "amend", proposal, "--key", "alice.key", code=2)
    assert "has no draft" in refused["error"]["message"]
    soon = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    amendment = run("propose", "--amend", "next.json", "--key", "alice.key", "--not-after", soon)
    for seat in ("alice", "bob"):
        run("vote", amendment["proposal"], "placet", "--key", f"{seat}.key", "--yes")
    (folder / "next.json").unlink()
    amend = ("constitution", "amend", amendment["proposal"], "--key", "alice.key")

    async def lie(call: Any) -> Any:
        async for answer in call.forward():
            answer.data = bytes(len(answer.data))
            yield answer

    host.relay.lie("Blobs.Get", lie)
    refused = run(*amend, code=1)
    assert "another draft" in refused["error"]["message"]
    host.honest()
    run(*amend)
    assert run("constitution", "show")["name"] == "ANOTHER COUNCIL"


def test_no_input_lies_in_the_folder_that_the_host_reads(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.mkdir()
    (program / "main.py").write_text("def main(job): ...\n")
    (program / "rows.csv").write_text("1\n")
    (tmp_path / "rows.csv").write_text("1\n")
    JobWords.of(program, [f"rows={tmp_path / 'rows.csv'}"], [], [], "trial")
    with pytest.raises(UsageRefused, match="the host reads all of that folder"):
        JobWords.of(program, [f"rows={program / 'rows.csv'}"], [], [], "trial")


def test_a_share_that_is_refused_leaves_nothing(run: Run, proposal: str, folder: Path) -> None:
    (folder / "more").write_bytes(b"rows")
    terms = "--purpose any --program any --parameter none --recipient any --combine-with any "
    terms += "--witnesses any --privacy any --uses 3 --expires 2099-01-01T00:00:00Z --simulated"
    words = ("share", "more", "--key", "owner.key", *terms.split(), "--yes")
    refused = run(*words, "--label", "helth", code=1)["error"]
    assert (refused["reason"], refused["details"]["actual"]) == ("DOCUMENT_MALFORMED", "helth")
    assert list(folder.glob("more*")) == [folder / "more"]
