# SPDX-License-Identifier: Apache-2.0
"""The worker of scripted_enclave.py: joins, waits for its lease, does as told.

A worker that serves does what each question says, and its answer says what it did.
"""

import asyncio
import base64
import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from placet.proto.frames import Link
from placet.proto.v1 import common_pb2, enclaves_pb2, inference_pb2

K = enclaves_pb2


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def payload_of(envelope: bytes) -> tuple[bytes, str]:
    value = json.loads(envelope)
    return base64.b64decode(value["payload"]), value["payloadType"].split(".")[2]


def act_of(proposal: dict[str, Any], number: int) -> str:
    """What is done in a round of a federation, the last act ever after; or, number 0, in a job."""
    said: str = proposal["reason"] if number else proposal["body"]["parameters"]["act"]
    acts = said.split("; ")
    return acts[min(number, len(acts)) - 1]


class Worker:
    """Joins, waits for its lease, does what the proposal's `act` says."""

    code = 75  # its stream has ended before it was done

    def __init__(self, bundle: Path, scratch: Path) -> None:
        self.launched_for = digest_of(bundle.read_bytes())
        assert scratch.is_dir()
        self.link = Link(self.handle)
        self.stopped = asyncio.Event()
        self.lease = ""
        self.offers = 0
        self.held: dict[int, inference_pb2.Ask] = {}  # until "free" is asked
        self.most = self.cancelled = 0

    async def boot(self) -> None:
        hello = enclaves_pb2.JoinHello(nonce=os.urandom(32))
        await self.link.request(K.KIND_JOIN_HELLO, hello, peer="authority")
        join = enclaves_pb2.JoinRequest(
            identity=os.urandom(16), evidence=self.launched_for.encode()
        )
        await self.link.request(K.KIND_JOIN, join, peer="authority")

    async def handle(self, frame: enclaves_pb2.Frame) -> Message | bytes | None:
        if frame.kind == K.KIND_STOPPED:
            self.stopped.set()
            return None
        if frame.kind == K.KIND_EXPECT:
            return None
        if frame.kind == K.KIND_ASKS:
            self.asked(inference_pb2.Asks.FromString(frame.payload))
            return None
        package = enclaves_pb2.LeasePackage.FromString(frame.payload)
        value = json.loads(package.lease)
        proposal = json.loads(payload_of(package.ticket.proposal)[0])
        self.progress(value["lease"], 0)
        act, _, argument = act_of(proposal, value["round"]).partition(" ")
        await getattr(self, "do_" + act)(value["lease"], value["attempt"], argument)
        return None

    def progress(self, lease: str, percent: int) -> None:
        self.link.send(K.KIND_PROGRESS, enclaves_pb2.Progress(lease=lease, percent=percent))

    async def do_release(self, lease: str, attempt: int, argument: str) -> None:
        self.progress(lease, 50)
        release = enclaves_pb2.ReleaseRequest(release=f"{lease} {argument}".encode())
        await self.link.request(K.KIND_RELEASE, release, peer="authority")
        self.code = 0
        self.link.close()

    async def do_end(self, lease: str, attempt: int, argument: str) -> None:
        reason = common_pb2.Reason.Value("REASON_" + argument)
        refusal = common_pb2.Refusal(reason=reason, message="The program raised.")
        ended = enclaves_pb2.Ended(lease=lease, refusal=refusal)
        self.link.send(K.KIND_ENDED, ended)
        self.code = 70
        self.link.close()

    async def do_raise(self, lease: str, attempt: int, argument: str) -> None:
        if attempt <= int(argument):
            await self.do_end(lease, attempt, "PROGRAM_RAISED")
        else:
            await self.do_release(lease, attempt, "")

    do_lose = do_release

    async def do_exit(self, lease: str, attempt: int, argument: str) -> None:
        os._exit(int(argument))

    async def do_die(self, lease: str, attempt: int, argument: str) -> None:
        if attempt <= int(argument):
            os.kill(os.getpid(), signal.SIGKILL)
        await self.do_release(lease, attempt, "")

    async def do_crash(self, lease: str, attempt: int, argument: str) -> None:
        os.kill(os.getpid(), signal.Signals["SIG" + argument])

    async def do_fault(self, lease: str, attempt: int, argument: str) -> None:
        """One of the enclave's own, of which only its log tells."""
        if attempt <= int(argument):
            print("fault kind=OSError at=stream.py:7", file=sys.stderr, flush=True)
            os._exit(1)
        await self.do_release(lease, attempt, "")

    async def do_hang(self, lease: str, attempt: int, argument: str) -> None:
        """In its first attempt until it is stopped or killed."""
        if attempt == 1:
            self.progress(lease, 1)
            await self.stopped.wait()
            await self.do_end(lease, attempt, "VETOED")
        else:
            await self.do_release(lease, attempt, argument)

    async def do_serve(self, lease: str, attempt: int, argument: str) -> None:
        """Until it is stopped."""
        self.lease = lease
        self.offer()
        await self.stopped.wait()
        await self.do_end(lease, attempt, "VETOED")

    async def do_load(self, lease: str, attempt: int, argument: str) -> None:
        """Never ready."""

    def offer(self) -> None:
        self.offers += 1
        offered = enclaves_pb2.Offered(lease=self.lease, offer=b"offer %d" % self.offers)
        self.link.send(K.KIND_OFFER, offered)

    def asked(self, asks: inference_pb2.Asks) -> None:
        self.most = max(self.most, len(asks.asks))
        self.cancelled += len(asks.cancelled)
        for name in asks.cancelled:
            self.held.pop(name, None)
        answers = inference_pb2.Answers()
        for ask in asks.asks:
            self.answer(ask, answers)
        if answers.answers:
            self.link.send(K.KIND_ANSWERS, answers)

    def answer(self, ask: inference_pb2.Ask, answers: inference_pb2.Answers) -> None:
        what, _, argument = ask.data[:64].decode("latin-1").partition(" ")
        said = {"wait": ask.wait_ms, "most": self.most, "cancelled": self.cancelled}
        match what:
            case "hold":
                self.held[ask.id] = ask
                return
            case "free":
                for held in self.held.values():
                    answers.answers.add(id=held.id, data=held.data)
                self.held.clear()
            case "refuse":
                reason = common_pb2.Reason.Value("REASON_" + argument)
                refusal = common_pb2.Refusal(reason=reason, details={"retry_ms": "250"})
                answers.answers.add(id=ask.id, refusal=refusal)
                return
            case "offer":
                self.offer()
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "end":
                task = asyncio.ensure_future(self.do_end(self.lease, 1, argument))
                task.add_done_callback(lambda _: None)
                return
            case "large":
                large = inference_pb2.Answer(id=ask.id, data=bytes(2**20))
                self.link.send(K.KIND_ANSWERS, inference_pb2.Answers(answers=[large]))
                return
            case _:
                pass
        answers.answers.add(id=ask.id, data=str(said[what]).encode() if what in said else ask.data)
