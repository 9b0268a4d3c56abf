# SPDX-License-Identifier: Apache-2.0
"""TOML to documents: the templates are complete, and whatever is wrong is named."""

from pathlib import Path

import pytest

from placet.attestation import SIMULATION_SIGNER
from placet.client import FileRefused, Keys, seal_file
from placet.client.drafts.job import load_constitution, load_grant, load_job
from placet.client.drafts.templates import constitution_template, template
from placet.governance.documents import Between, Budget, Declared
from placet.governance.rules import Role
from placet.refusals import ConstitutionInvalid, DocumentMalformed

MEASURED = {"a build": {"authority": "aa" * 32, "worker": "bb" * 32, "worker[onnx]": "cc" * 32}}
NOW = 1_800_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The templates with everything that they refer to."""
    for id in ("alice", "bob", "analyst"):
        Keys.generate(id).save(tmp_path / f"{id}.key")
    constitution = constitution_template(MEASURED, SIMULATION_SIGNER)
    (tmp_path / "constitution.toml").write_text(constitution)
    (tmp_path / "grant.toml").write_text(template("grant"))
    (tmp_path / "job.toml").write_text(template("job"))
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "main.py").write_text("def main(job):\n    pass\n")
    (tmp_path / "train").write_bytes(b"rows")
    owner = Keys.load(tmp_path / "alice.key")
    made = seal_file(
        tmp_path / "train",
        tmp_path / "train.sealed",
        owner.hpke.public,
        kind="dataset",
        labels=("health",),
    )
    (tmp_path / "train.object.json").write_bytes(made.to_bytes())
    return tmp_path


def edit(path: Path, old: str, new: str) -> Path:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_the_constitution_template(folder: Path) -> None:
    found = load_constitution(folder / "constitution.toml")
    assert [s.id for s in found.seats] == ["alice", "bob"]
    alice = Keys.load(folder / "alice.key").public
    assert found.seats[0].keys == (alice.signing,)
    assert found.seats[0].term_start == 1767225600
    assert found.evidence.authority["measurements"] == ["aa" * 32]
    assert found.evidence.worker["measurements"] == ["bb" * 32, "cc" * 32]
    assert Role("data-protection", 1) in found.rules[0].demands
    assert (found.version, found.predecessor) == (1, None)
    again = load_constitution(folder / "constitution.toml")
    assert again.nonce != found.nonce
    after = load_constitution(
        folder / "constitution.toml", version=2, predecessor="sha256:" + "00" * 32
    )
    assert after.version == 2


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00", "term_start"),
        ("2026-01-01T00:00:00Z", "2026-01-01", "term_start"),
        ("lease_seconds = 300", "lease_seconds = 300.5", "limits.lease_seconds"),
        ("lease_seconds = 300", "lease_secs = 300", "limits.lease_secs"),
        ('"approvals", at_least = 2', '"approvals"', "rules[0].demands[0].at_least"),
        ('advisories = "none"', "advisories = []", "evidence"),
        ('kinds = ["simulation"]', 'kinds = "any"', "evidence"),
        ('id = "bob"', 'id = "Bob"', "seat.id"),
        ('name = "EXAMPLE COUNCIL"', "name =", "TOML"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, old: str, new: str, names: str) -> None:
    path = edit(folder / "constitution.toml", old, new)
    with pytest.raises((FileRefused, DocumentMalformed)) as refused:
        load_constitution(path)
    assert names in str(refused.value)


def test_a_contradiction_is_refused(folder: Path) -> None:
    path = edit(folder / "constitution.toml", 'organisation = "hospital-b"', 'organisation = "x"')
    with pytest.raises(ConstitutionInvalid):
        load_constitution(path)


def test_the_job_template(folder: Path) -> None:
    draft = load_job(folder / "job.toml", NOW)
    assert (draft.not_before, draft.not_after) == (NOW, NOW + 604800)
    assert draft.body.program == draft.bundle.digest
    assert draft.body.inputs["train"].owner == "hospital-a"
    assert draft.body.inputs["train"].object.labels == ("health",)
    analyst = Keys.load(folder / "analyst.key").public
    assert draft.body.recipients[0].hpke == analyst.hpke
    assert draft.body.parameters == {"epochs": 5}
    assert (draft.uses, draft.body.attempts, draft.body.deadline_seconds) == (1, 2, 3600)


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("attempts = 2", "atempts = 2", "atempts"),
        ("epochs = 5", "epochs = 0.5", "parameters.epochs"),
        ("deadline_seconds = 3600", "", "deadline_seconds"),
        ("max_bytes = 1048576", 'max_bytes = "1 MiB"', "outputs.model.max_bytes"),
        ('program = "program"', 'program = "none"', "none"),
        ("valid_for_seconds = 604800", "", "valid_for_seconds"),
        ("# privacy = { epsilon", "privacy = { eps", "privacy.eps"),
        ("# privacy =", 'privacy = "none" #', "privacy"),
        ('# privacy = { epsilon = "0.5"', "privacy = { epsilon = 0.5", "privacy.epsilon"),
    ],
)
def test_what_is_wrong_in_a_job_is_named(folder: Path, old: str, new: str, names: str) -> None:
    path = edit(folder / "job.toml", old, new)
    with pytest.raises((FileRefused, DocumentMalformed)) as refused:
        load_job(path, NOW)
    assert names in str(refused.value)


def test_privacy_terms_and_budgets(folder: Path) -> None:
    assert load_job(folder / "job.toml", NOW).body.privacy is None
    path = edit(folder / "job.toml", "# privacy =", "privacy =")
    assert load_job(path, NOW).body.privacy == Declared("0.5", "1e-7")
    assert load_grant(folder / "grant.toml").terms.privacy == "any"
    budget = 'privacy = { epsilon = "3", delta = "1e-6" }'
    path = edit(folder / "grant.toml", 'privacy = "any"\n', budget + "\n")
    assert load_grant(path).terms.privacy == Budget("3", "1e-6")


def test_a_job_with_its_own_window(folder: Path) -> None:
    path = edit(
        folder / "job.toml",
        "valid_for_seconds = 604800",
        "not_before = 2027-01-01T00:00:00Z\nnot_after = 2027-01-02T00:00:00+01:00",
    )
    draft = load_job(path, NOW)
    assert draft.not_after - draft.not_before == 23 * 3600


def test_the_grant_template(folder: Path) -> None:
    draft = load_grant(folder / "grant.toml")
    assert draft.terms.programs == (load_job(folder / "job.toml", NOW).bundle.digest,)
    assert draft.terms.parameters == {"epochs": Between(1, 50)}
    assert draft.terms.evidence is None
    assert draft.terms.recipients == (Keys.load(folder / "analyst.key").public.hpke.to_text(),)


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("uses = 3", "", "uses"),
        ("uses = 3", "use = 3", "use"),
        ('evidence = "constitution"', "", "evidence"),
        ('purposes = ["research"]', "purposes = []", "purposes"),
        ('privacy = "any"\n', 'privacy = "some"\n', "privacy"),
        ('privacy = "any"\n', 'privacy = { epsilon = "3" }\n', "privacy.delta"),
        ('privacy = "any"\n', 'privacy = { epsilon = "3.0", delta = "0.1" }\n', "written as 3"),
    ],
)
def test_what_is_wrong_in_a_grant_is_named(folder: Path, old: str, new: str, names: str) -> None:
    path = edit(folder / "grant.toml", old, new)
    with pytest.raises((FileRefused, DocumentMalformed)) as refused:
        load_grant(path)
    assert names in str(refused.value)
