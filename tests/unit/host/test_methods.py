# SPDX-License-Identifier: Apache-2.0
"""Who may call what is one table, and it has every method; a caller has a share of the places."""

import importlib
import pkgutil
import resource
from contextlib import ExitStack
from typing import Any

import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2  # type: ignore[import-untyped]

import placet.proto.v1
from placet.host.callers.caller import Caller, Role, stranger
from placet.host.callers.memory import Memory, resident
from placet.host.callers.methods import METHODS, SCOPES, Sort, Who, sort_of
from placet.host.callers.places import Places
from placet.host.calls.descriptors import KEPT, connections, raise_limit
from placet.refusals import QueueFull

ADA, BEN = Caller(Role.PRINCIPAL, "ada"), Caller(Role.PRINCIPAL, "ben")
NEAR, FAR = stranger("ipv4:10.0.0.1:4000"), stranger("ipv6:%5B2001:db8::1%5D:4000")


def methods_of(file: Any) -> set[str]:
    return {
        f"{service.name}.{method.name}"
        for service in file.services_by_name.values()
        for method in service.methods
    }


def test_the_table_has_every_method_and_no_other() -> None:
    ours = [
        importlib.import_module(f"placet.proto.v1.{module.name}").DESCRIPTOR
        for module in pkgutil.iter_modules(placet.proto.v1.__path__)
        if module.name.endswith("_pb2")
    ]
    found = set[str]().union(*map(methods_of, ours))
    found |= methods_of(health_pb2.DESCRIPTOR) | methods_of(reflection_pb2.DESCRIPTOR)
    # Enclaves have a listener of their own, where a launch token is asked for.
    assert found - {"Enclaves.Attach"} == set(METHODS)


def test_strangers_look_and_stop_and_do_nothing_else() -> None:
    anyone = {name for name, who in METHODS.items() if who is Who.ANYONE}
    services = {name.partition(".")[0] for name in anyone}
    looked_at = {"Access", "Certificates", "Health", "Log", "ServerReflection"}
    # What founds a council takes a token or a key of an invitation.
    assert services == {*looked_at, "Founding", "Governance", "Keys"}
    assert {n for n in anyone if n.startswith("Governance.")} == {
        "Governance.Found",
        "Governance.Stop",
    }
    assert {n for n in anyone if n.startswith("Keys.")} == {"Keys.GetEvidence"}


def test_a_pass_is_for_calls_of_principals_that_sign_nothing_and_give_no_key() -> None:
    principals = {name for name, who in METHODS.items() if who is Who.PRINCIPAL}
    for methods in SCOPES.values():
        assert methods <= principals
        assert {name.partition(".")[0] for name in methods} <= {"Blobs", "Jobs", "Runs"}
        assert "Blobs.Delete" not in methods


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.0.0.1:4000", "10.0.0.1"),
        ("ipv6:%5B2001:db8::1%5D:4000", "2001:db8::/64"),
        ("ipv6:%5B2001:db8::ffff:2%5D:4001", "2001:db8::/64"),
        ("ipv6:%5B2001:db8:0:1::1%5D:4000", "2001:db8:0:1::/64"),
        ("ipv6:%5Bfe80::1%25eth0%5D:4000", "fe80::/64"),
        ("ipv6:%5B::ffff:10.0.0.1%5D:4000", "10.0.0.1"),
        ("unix:", "unix:"),
    ],
)
def test_strangers_are_told_apart_by_their_address(peer: str, address: str) -> None:
    assert stranger(peer) == Caller(Role.STRANGER, address)


def test_a_caller_has_a_quarter_of_the_places_and_stops_have_their_own() -> None:
    places = Places(max_calls=16, stranger_rate=1000)
    with ExitStack() as open_calls:
        for caller in (ADA, ADA, ADA, ADA, BEN):
            open_calls.enter_context(places.place(caller, "Runs.Watch"))
        with pytest.raises(QueueFull, match="You have too many"), places.place(ADA, "Runs.Get"):
            pass
        for method in ("Governance.Stop", "Log.GetEntries", "Access.Login"):
            open_calls.enter_context(places.place(ADA, method))
        open_calls.enter_context(places.place(BEN, "Runs.Get"))
    with places.place(ADA, "Runs.Get"):
        pass


def test_strangers_take_no_place_of_a_principal() -> None:
    places = Places(max_calls=8, stranger_rate=1000)
    with ExitStack() as open_calls:
        for number in range(8):
            who = stranger(f"ipv4:10.0.0.{number}:1")
            open_calls.enter_context(places.place(who, "ServerReflection.ServerReflectionInfo"))
        with pytest.raises(QueueFull, match="Too many calls are open"):
            open_calls.enter_context(places.place(FAR, "Health.Watch"))
        open_calls.enter_context(places.place(ADA, "Runs.Get"))
        open_calls.enter_context(places.place(FAR, "Governance.Stop"))


def test_whoever_reads_the_log_keeps_nobody_from_logging_in() -> None:
    places = Places(max_calls=8, stranger_rate=1000)
    with ExitStack() as open_calls:
        for number in range(8):
            who = stranger(f"ipv4:10.0.0.{number}:1")
            open_calls.enter_context(places.place(who, "Log.GetEntries"))
        with pytest.raises(QueueFull):
            open_calls.enter_context(places.place(NEAR, "Log.GetEntries"))
        open_calls.enter_context(places.place(NEAR, "Access.Challenge"))
        open_calls.enter_context(places.place(NEAR, "Access.Login"))


def test_an_address_makes_so_many_calls_a_second_and_its_stops_are_not_counted() -> None:
    places = Places(max_calls=100, stranger_rate=10)

    def call(caller: Caller, method: str) -> None:
        with places.place(caller, method):
            pass

    for _ in range(20):  # what two seconds bring
        call(NEAR, "Log.GetCheckpoint")
    with pytest.raises(QueueFull, match="from this address") as refused:
        call(NEAR, "Log.GetCheckpoint")
    assert 0 < int(refused.value.details["retry_ms"]) <= 100
    call(NEAR, "Governance.Stop")
    call(FAR, "Log.GetCheckpoint")
    for _ in range(100):
        call(ADA, "Log.GetCheckpoint")
    call(NEAR, "Access.Challenge")
    call(NEAR, "Access.Login")
    call(FAR, "Keys.GetEvidence")
    call(FAR, "Keys.GetEvidence")
    with pytest.raises(QueueFull, match="from this address"):
        call(FAR, "Keys.GetEvidence")


def test_what_a_stop_takes_before_has_places_of_its_own() -> None:
    assert sort_of("Governance.Stop") is Sort.STOP
    assert sort_of("Log.GetEntries") is Sort.LOOK
    assert sort_of("Access.Challenge") is sort_of("Access.Login") is Sort.LOGIN
    assert sort_of("Governance.Vote") is sort_of("Keys.GetEvidence") is Sort.WORK


def test_short_of_memory_strangers_are_refused_first_and_stops_never() -> None:
    def refused(taken: int) -> set[tuple[Caller, str]]:
        memory, found = Memory(1000, lambda: taken), set[tuple[Caller, str]]()
        for caller in (ADA, FAR):
            for method in ("Runs.Start", "Log.GetEntries", "Access.Login", "Governance.Stop"):
                try:
                    memory.check(caller, method)
                except QueueFull:
                    found.add((caller, method))
        return found

    assert refused(800) == set()
    strangers = {(FAR, "Runs.Start"), (FAR, "Log.GetEntries")}
    assert refused(1000) == strangers
    assert refused(1001) == {*strangers, (ADA, "Runs.Start")}


def test_memory_is_looked_at_ten_times_a_second_at_most() -> None:
    looked: list[int] = []

    def look() -> int:
        looked.append(1)
        return 0

    memory = Memory(1000, look)
    for _ in range(100):
        memory.check(FAR, "Log.GetEntries")
    assert len(looked) == 1
    assert resident() > 1 << 20


def test_connections_leave_descriptors_for_the_rest() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] // 2, before[1]))
        raise_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == before[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (1500, before[1]))
        assert connections(4096) == 1500 - KEPT
        assert connections(100) == 100
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
