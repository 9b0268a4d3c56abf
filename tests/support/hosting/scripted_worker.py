# SPDX-License-Identifier: Apache-2.0
"""A worker that does as it is told: all of it is the real one's but the task.

Started like an enclave: `python -I scripted_worker.py worker --host ... --simulated`. What it does
is the parameter `act` of the proposal; of a federation or a service, the proposal's reason: what is
done in each round, or by each worker, "; " between them. One that serves does what each question
says, and its answer says what it did.
"""

import os
import queue
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn, Self

from placet.enclave import __main__ as process
from placet.enclave.round_keys import RoundKeys
from placet.enclave.worker import main as worker
from placet.enclave.worker.joining import Membership
from placet.enclave.worker.lease import (
    OpenedLease,
    ReadTicket,
    VerifiedLease,
    open_key_envelope,
    open_lease,
    verify_lease,
)
from placet.enclave.worker.task import Means, Outcome
from placet.governance.documents import Federate, Job, Lease, Proposal
from placet.governance.envelope import Signed, digest_of
from placet.governance.terms import decode_terms
from placet.proto.pieces import Arriving, cut
from placet.proto.v1 import common_pb2, enclaves_pb2, inference_pb2
from placet.refusals import Refused


class ScriptedTask:
    """Whatever it was launched for."""

    def __init__(self, data: bytes, scratch: Path) -> None:
        assert scratch.is_dir()
        self.launched_for = digest_of(data)
        self._rounds = data.startswith(b"{") and isinstance(decode_terms(data), Federate)

    def prepare(self) -> None:
        """Nothing."""

    def open(
        self,
        package: enclaves_pb2.LeasePackage,
        member: Membership,
        now: int,
        expected: ReadTicket | None,
    ) -> "ScriptedWork":
        given = (package, member, self.launched_for, now, expected)
        if not self._rounds:
            return ScriptedWork(open_lease(*given))
        verified = verify_lease(*given)
        plain = open_key_envelope(package, verified, member)
        keys = RoundKeys.from_bytes(plain, verified.lease.digest, member.authority.signing)
        return ScriptedWork(
            verified, {update.client: update.organisation for update in keys.updates}
        )


class ScriptedWork:
    """One attempt. `cohort` are a round's clients, each with its organisation."""

    def __init__(
        self, opened: OpenedLease | VerifiedLease, cohort: dict[str, str] | None = None
    ) -> None:
        self.lease: Signed[Lease] = opened.lease
        self.proposal: Signed[Proposal] = opened.proposal
        self._cohort = cohort or {}
        self._means: Means

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def carry_out(self, means: Means) -> Outcome:
        self._means = means
        act, _, argument = self._act().partition(" ")
        outcome: Outcome = getattr(self, "_do_" + act)(argument)
        return outcome

    def _act(self) -> str:
        """The last act is done ever after."""
        proposal = self.proposal.document
        if isinstance(proposal.body, Job):
            return str(proposal.body.parameters["act"])
        acts = proposal.reason.split("; ")
        return acts[min(int(self.lease.document.job.rpartition("-")[2]), len(acts)) - 1]

    @property
    def _attempt(self) -> int:
        return self.lease.document.attempt

    def _do_release(self, left: str = "") -> Outcome:
        self._show(50)
        work, out = self.proposal.document.work, dict.fromkeys(left.split(), "NORM_EXCEEDED")
        outputs = {name: bytes(output.max_bytes) for name, output in work.outputs.items()}
        if isinstance(work, Federate):
            stay = {self._cohort[client] for client in self._cohort.keys() - out.keys()}
            outputs = outputs if len(stay) >= work.smallest_cohort else {}
        return Outcome(outputs, out)

    def _do_end(self, reason: str) -> NoReturn:
        raise Refused(reason, "The program raised.", {})

    def _do_raise(self, attempts: str) -> Outcome:
        return self._do_end("PROGRAM_RAISED") if self._among(attempts) else self._do_release()

    def _do_exit(self, code: str) -> NoReturn:
        os._exit(int(code))

    def _do_die(self, attempts: str) -> Outcome:
        if self._among(attempts):
            os.kill(os.getpid(), signal.SIGKILL)
        return self._do_release()

    def _do_crash(self, name: str) -> NoReturn:
        os.kill(os.getpid(), signal.Signals["SIG" + name])
        raise AssertionError

    def _do_fault(self, attempts: str) -> Outcome:
        """One of the enclave's own, of which only its log tells."""
        if self._among(attempts):
            print("fault kind=OSError at=stream.py:7", file=sys.stderr, flush=True)
            os._exit(1)
        return self._do_release()

    def _do_hang(self, left: str) -> Outcome:
        """In its first attempt until it is stopped or killed."""
        if self._attempt == 1:
            self._show(1)
            self._do_load("")
        return self._do_release(left)

    def _do_load(self, _: str) -> NoReturn:
        """Never ready."""
        while True:
            time.sleep(60)

    def _do_serve(self, _: str) -> Outcome:
        """Until it is stopped, or a question ends it."""
        desk = Desk(self._means, self.lease.digest)
        return self._do_end(desk.ended.get())

    def _show(self, percent: int) -> None:
        """Progress, at once."""
        means, shown = self._means, enclaves_pb2.Progress(lease=self.lease.digest, percent=percent)
        means.on_loop(lambda: means.link.send(enclaves_pb2.KIND_PROGRESS, shown))

    def _among(self, attempts: str) -> bool:
        return self._attempt <= int(attempts)


LARGEST = 4 << 20  # bytes of a question


class Desk:
    """Where questions come in; `ended` gets the reason of the end."""

    def __init__(self, means: Means, lease: str) -> None:
        self._link, self._lease = means.link, lease
        self.ended = queue.SimpleQueue[str]()
        self._offers = 0
        self._held: dict[int, inference_pb2.Ask] = {}  # until "free" is asked
        self._most = self._cancelled = 0
        self._arriving = Arriving(LARGEST, 4 * LARGEST)
        means.on_loop(lambda: means.listen(self._hear))
        means.on_loop(self._offer)

    def _offer(self) -> None:
        self._offers += 1
        offered = enclaves_pb2.Offered(
            lease=self._lease, offer=b"offer %d" % self._offers, largest=LARGEST
        )
        self._link.send(enclaves_pb2.KIND_OFFER, offered)

    def _hear(self, payload: bytes) -> None:
        asks, answers = inference_pb2.Asks.FromString(payload), inference_pb2.Answers()
        self._most = max(self._most, len(asks.asks))
        self._cancelled += len(asks.cancelled)
        for name in asks.cancelled:
            self._held.pop(name, None)
            self._arriving.drop(name)
        for ask in asks.asks:
            whole = self._arriving.add(ask.id, ask.data, ask.size)
            if whole is not None:
                self._answer(
                    inference_pb2.Ask(id=ask.id, data=bytes(whole), wait_ms=ask.wait_ms), answers
                )
        if answers.answers:
            self._link.send(enclaves_pb2.KIND_ANSWERS, answers)

    def _answer(self, ask: inference_pb2.Ask, answers: inference_pb2.Answers) -> None:
        what, _, argument = ask.data[:64].decode("latin-1").partition(" ")
        said = {"wait": ask.wait_ms, "most": self._most, "cancelled": self._cancelled}
        match what:
            case "hold":
                self._held[ask.id] = ask
                return
            case "free":
                for held in self._held.values():
                    answers.answers.add(id=held.id, data=held.data)
                self._held.clear()
            case "refuse":
                reason = common_pb2.Reason.Value("REASON_" + argument)
                refusal = common_pb2.Refusal(reason=reason, details={"retry_ms": "250"})
                answers.answers.add(id=ask.id, refusal=refusal)
                return
            case "offer":
                self._offer()
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "end":
                self.ended.put(argument)
                return
            case "large":
                large = inference_pb2.Answer(id=ask.id, data=bytes(2**20))
                self._link.send(enclaves_pb2.KIND_ANSWERS, inference_pb2.Answers(answers=[large]))
                return
            case _:
                pass
        data = str(said[what]).encode() if what in said else ask.data
        for piece, size in cut(data):
            answers.answers.add(id=ask.id, data=piece, size=size)


def main() -> int:
    """The process of a worker, which is given another task."""
    real: Any = worker
    real._task = ScriptedTask
    return process.main()


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)
