# SPDX-License-Identifier: Apache-2.0
"""Every reason of the wire has one class, a code, a text and a remedy of its own, and is explained.

The classes are generated from the contract; `make check` compares them with it.
"""

import importlib
import json
import pkgutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import grpc
import pytest
from typer.testing import CliRunner

from placet.client.cli import app
from placet.host.calls.refusals import code_of
from placet.proto.refusals import error_of, public_text, refusal_of
from placet.proto.v1 import common_pb2 as pb
from placet.refusals import CohortTooSmall, Refusal, Refused, SegmentForged, Vetoed

REASONS = [value.name.removeprefix("REASON_") for value in pb.Reason.DESCRIPTOR.values][1:]
COMPONENTS = ("attestation", "auditing", "client", "enclave", "governance", "host", "sealing")


def all_classes() -> list[type[Refusal]]:
    """Whatever any component defines. What an operator has to install apart is left out."""
    for component in COMPONENTS:
        package = importlib.import_module(f"placet.{component}")
        for module in pkgutil.walk_packages(package.__path__, f"placet.{component}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    return list(_below(Refusal))


def _below(cls: type[Refusal]) -> Iterator[type[Refusal]]:
    for narrower in cls.__subclasses__():
        if narrower.__module__.startswith("placet."):
            yield narrower
            yield from _below(narrower)


def test_every_reason_has_one_class_and_every_class_one_reason() -> None:
    # A class below another one that has a reason is a narrower case of the same reason.
    first = [cls for cls in all_classes() if cls.reason and not getattr(cls.__base__, "reason", "")]
    counted = Counter(cls.reason for cls in first)
    assert set(counted.values()) == {1}
    own = {cls.reason for cls in first if cls.__module__ == "placet.client.errors"}
    assert set(counted) == set(REASONS) | own
    assert not own & set(REASONS)
    named = {cls for cls in all_classes() if not cls.reason}
    assert named <= {Refused, *(cls for cls in named if cls.__subclasses__())}


def test_every_reason_has_a_code_a_text_and_a_remedy_and_none_is_another_s() -> None:
    said = [value.GetOptions().Extensions for value in pb.Reason.DESCRIPTOR.values]
    assert all(code_of(value) is not grpc.StatusCode.OK for value in pb.Reason.values())
    assert all(options[pb.text] and options[pb.remedy] for options in said)
    assert len({options[pb.text] for options in said}) == len(said)


@pytest.mark.parametrize("reason", REASONS)
def test_the_command_explains_every_reason(reason: str) -> None:
    done = CliRunner().invoke(app, ["explain", "refusal", reason, "--json"])
    [sentence] = json.loads(done.stdout)["sentences"]
    assert sentence == f"Refused: {reason}. {public_text(pb.Reason.Value(f'REASON_{reason}'))}"


@pytest.mark.parametrize("cls", all_classes(), ids=lambda cls: cls.__name__)
def test_every_class_has_an_explanation(cls: type[Refusal]) -> None:
    assert cls.__doc__ and len(cls.__doc__.split()) > 4


def test_the_reason_is_the_name_of_the_class() -> None:
    assert Vetoed.reason == "VETOED"
    assert CohortTooSmall.reason == "COHORT_TOO_SMALL"
    named = {cls.__name__ for cls in _below(Refusal) if cls.__module__ == "placet.refusals"}
    assert len(named) == len(REASONS)


def test_message_and_details_are_kept_and_travel() -> None:
    error = SegmentForged("a sentence", claim="segment 3")
    assert str(error) == "a sentence"
    assert error.details == {"claim": "segment 3"}
    told = error_of(refusal_of(error))
    assert isinstance(told, Refused)
    assert (told.reason, str(told), told.details) == (error.reason, str(error), error.details)


def test_what_is_no_refusal_says_nothing() -> None:
    class Odd(Exception):
        reason, details = "VETOED", {"claim": "a secret"}

    for fault in (Odd("a secret"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "a secret")):
        assert "secret" not in str(refusal_of(fault))
        assert refusal_of(fault).reason == pb.REASON_INTERNAL


def test_the_package_is_a_leaf_that_loads_no_protobuf() -> None:
    code = "import sys, placet.refusals; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    loaded = done.stdout.split()
    assert sorted(name for name in loaded if name.startswith("placet.")) == [
        "placet.refusals",
        "placet.refusals.base",
    ]
    assert not any(name.startswith(("google.protobuf", "grpc")) for name in loaded)
