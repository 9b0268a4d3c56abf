# SPDX-License-Identifier: Apache-2.0
"""Every message that a service takes or gives has a bound, and the bound is kept."""

from collections.abc import Iterator

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor

from placet.host.calls.bounds import MAX_BYTES, within_bound
from placet.proto.limits import MAX_WIRE
from placet.proto.v1 import (
    blobs_pb2,
    enclaves_pb2,
    federations_pb2,
    governance_pb2,
    jobs_pb2,
    keys_pb2,
    log_pb2,
)

FILES: tuple[FileDescriptor, ...] = tuple(
    module.DESCRIPTOR
    for module in (
        blobs_pb2,
        enclaves_pb2,
        federations_pb2,
        governance_pb2,
        jobs_pb2,
        keys_pb2,
        log_pb2,
    )
)


def methods() -> Iterator[MethodDescriptor]:
    for file in FILES:
        for service in file.services_by_name.values():
            yield from service.methods


def test_every_message_on_the_wire_has_a_bound() -> None:
    names = {
        message.full_name
        for method in methods()
        for message in (method.input_type, method.output_type)
    }
    assert len(names) > 30
    assert names <= MAX_BYTES.keys()


def test_no_bound_is_above_what_the_channel_takes() -> None:
    assert all(0 < bound <= MAX_WIRE for bound in MAX_BYTES.values())


def test_every_service_is_in_the_package_with_a_version() -> None:
    assert {method.full_name.rpartition(".")[0].rpartition(".")[0] for method in methods()} == {
        "placet.v1"
    }


def test_a_message_at_its_bound_passes_and_one_above_does_not() -> None:
    bound = MAX_BYTES["placet.v1.EvidenceRequest"]
    at = keys_pb2.EvidenceRequest(nonce=bytes(bound - 3))
    assert at.ByteSize() == bound
    assert within_bound(at)
    assert not within_bound(keys_pb2.EvidenceRequest(nonce=bytes(bound)))


def test_a_message_without_a_bound_is_never_within_it() -> None:
    assert not within_bound(enclaves_pb2.Hello())
