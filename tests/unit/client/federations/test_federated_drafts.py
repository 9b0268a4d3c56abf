# SPDX-License-Identifier: Apache-2.0
"""Federations in TOML: the template is complete, layouts come from files or tables, and whatever is
wrong is named."""

from pathlib import Path

import numpy as np
import pytest

from placet.auditing.explain_federation import explain_federation
from placet.client import FileRefused, Keys, seal_file
from placet.client.drafts.federation import FederationDraft, load_federation
from placet.client.drafts.job import JobDraft
from placet.client.drafts.templates import template
from placet.client.drafts.work import load_work
from placet.client.federations.adapters import save_state
from placet.governance.documents import Krum, Mean, Tensor, TrimmedMean
from placet.refusals import DocumentMalformed

NOW = 1_800_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The template, with the model that it refers to."""
    state = {"w": np.ones((2, 3), np.float32), "b": np.ones(3, np.float32)}
    save_state(tmp_path / "model.safetensors", state)
    (tmp_path / "federation.toml").write_text(template("federation"))
    return tmp_path / "federation.toml"


def edit(path: Path, old: str, new: str) -> Path:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_the_template(path: Path) -> None:
    found = load_federation(path, NOW)
    assert (found.purpose, found.not_before, found.not_after) == ("research", NOW, NOW + 604800)
    body = found.body
    assert found.uses == body.rounds == 15
    assert body.layout.tensors == (Tensor("b", (3,)), Tensor("w", (2, 3)))
    assert (body.layout.encoding, body.layout.segment_bytes) == ("float32", 65536)
    assert (body.rule, body.noise, body.model) == (Mean("mean"), None, None)
    assert body.roster == ("hospital-a", "hospital-b", "hospital-c")


def test_an_initial_model(path: Path) -> None:
    owner = Keys.generate("hospital-a").hpke.public
    plain = path.with_name("model.f32")
    plain.write_bytes(bytes(36))
    made = seal_file(plain, path.with_name("model.sealed"), owner, kind="model", labels=())
    path.with_name("model.object.json").write_bytes(made.to_bytes())
    for line in ("[model]", 'object = "model.object.json"', 'owner = "hospital-a"'):
        edit(path, "# " + line, line)
    model = load_federation(path, NOW).body.model
    assert model is not None
    assert (model.object, model.owner) == (made.descriptor, "hospital-a")


def test_rules_noise_and_tables(path: Path) -> None:
    edit(path, 'rule = "mean" ', 'rule = { rule = "trimmed-mean", trimmed_percent = 34 }')
    edit(path, "largest_weight = 10000", "largest_weight = 1")
    assert load_federation(path, NOW).body.rule == TrimmedMean("trimmed-mean", 34)
    edit(
        path,
        '{ rule = "trimmed-mean", trimmed_percent = 34 }',
        '{ rule = "krum", byzantine = 1, selected = 1 }',
    )
    with pytest.raises(DocumentMalformed, match="smallest_cohort"):
        load_federation(path, NOW)
    roster = ", ".join(f'"client-{n}"' for n in range(5))
    edit(path, '"hospital-a", "hospital-b", "hospital-c"', roster)
    edit(path, "smallest_cohort = 3", "smallest_cohort = 5")
    assert load_federation(path, NOW).body.rule == Krum("krum", 1, 1)
    edit(path, '{ rule = "krum", byzantine = 1, selected = 1 }', '"mean"')
    edit(path, 'noise = "none"', 'noise = "1.1"')
    edit(path, 'like = "model.safetensors"', "")
    edit(path, "segment_bytes = 65536", 'tensors = [{ name = "w", shape = [7] }]')
    body = load_federation(path, NOW).body
    assert (body.noise, body.layout.elements, body.layout.segment_bytes) == ("1.1", 7, 65536)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("rounds = 15", "", "rounds"),
        ("rounds = 15", "rounds = 15\nround = 3", "round"),
        ('clip = "1"', "clip = 1.0", "clip"),
        ('noise = "none"', "", "noise"),
        ('noise = "none"', 'noise = "1"', "rule"),
        ("segment_bytes = 65536", "segment_bytes = 65537", "segment_bytes"),
        ('encoding = "float32"', 'encoding = "float64"', "encoding"),
        ('like = "model.safetensors"', 'like = "other.safetensors"', "other.safetensors"),
        ('like = "model.safetensors"', "", "layout"),
        ('like = "model.safetensors"', 'like = "model.safetensors"\nextra = 1', "extra"),
        ('action = "federate"', 'action = "job"', "action"),
        ("smallest_cohort = 3", "smallest_cohort = 1", "smallest_cohort"),
    ],
)
def test_what_is_wrong_is_named(path: Path, old: str, new: str, named: str) -> None:
    edit(path, old, new)
    with pytest.raises((FileRefused, DocumentMalformed), match=named):
        load_federation(path, NOW)


def test_the_file_says_what_it_is(path: Path) -> None:
    assert isinstance(load_work(path, NOW), FederationDraft)
    program = path.with_name("program")
    program.mkdir()
    (program / "main.py").write_text("def main(job):\n    pass\n")
    job = path.with_name("job.toml")
    text = template("job").split("[inputs.train]")[0] + (
        "[outputs.model]\nmax_bytes = 9\n[[recipients]]\nid = 'analyst'\nkey = 'analyst.pub.json'\n"
    )
    Keys.generate("analyst").save(path.with_name("analyst.key"))
    for written in (text, text.replace('action = "job"\n', "")):
        job.write_text(written)
        assert isinstance(load_work(job, NOW), JobDraft)


def test_noise_on_a_running_variance_is_refused_without_a_rule(path: Path) -> None:
    state = {"w": np.ones((2, 3), np.float32), "n.running_var": np.ones(3, np.float32)}
    save_state(path.with_name("model.safetensors"), state)
    load_federation(path, NOW)  # without noise it is averaged as it is
    edit(path, 'noise = "none"', 'noise = "1.1"')
    edit(path, "largest_weight = 10000", "largest_weight = 1")
    with pytest.raises(FileRefused, match=r"""\[buffers\]: "n.running_var" = "home" """.strip()):
        load_federation(path, NOW)
    edit(path, "# [buffers]", '[buffers]\n"n.running_var" = "home"')
    terms = load_federation(path, NOW).body
    assert [tensor.name for tensor in terms.layout.tensors] == ["w"]
    assert "n.running_var" in " ".join(explain_federation(terms))
    edit(path, '"n.running_var" = "home"', '"n.running_var" = "mean-without-noise"')
    told = " ".join(explain_federation(load_federation(path, NOW).body))
    assert "costs privacy without bound: no epsilon holds for it" in told
    edit(path, '"n.running_var" = "mean', '"n.running_vra" = "home"\n"n.running_var" = "mean')
    with pytest.raises(FileRefused, match="no such array"):
        load_federation(path, NOW)
