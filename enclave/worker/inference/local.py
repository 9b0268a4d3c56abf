# SPDX-License-Identifier: Apache-2.0
"""Questions to a model in the clear, without enclave, keys or council: to try terms before anybody
votes on them.

Each is read, run and cut as a user's is. Standard input and output carry frames: a length of four
bytes, one byte that says what it is, and the content.
"""

import argparse
import json
import os
import struct
from pathlib import Path
from typing import BinaryIO

from placet.enclave.worker.inference.model import Model, load_model
from placet.enclave.worker.inference.questions import Question, Reader
from placet.enclave.worker.inference.runs import Batch
from placet.governance.codec import to_plain
from placet.governance.documents import Serve
from placet.governance.terms import decode_terms
from placet.proto.tensors import pack
from placet.refusals import ModelFailed, Refusal

_HEAD = struct.Struct("<IB")
MODEL, ANSWER, REFUSED = 0, 1, 2


def answer_questions(arguments: argparse.Namespace) -> int:
    """Say what the model takes, then answer until no question comes any more."""
    terms = decode_terms(Path(arguments.terms).read_bytes())
    assert isinstance(terms, Serve), "the caller has a service's terms"
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the runtime prints is no frame
    with questions, answers:
        try:
            data = bytearray(Path(arguments.model).read_bytes())
            model = load_model(data, terms.answers, terms.samples)
        except Refusal as refusal:
            _write(answers, REFUSED, _plain(refusal))
            return 0
        said = {name: to_plain(getattr(model, name)) for name in ("inputs", "answers", "rows")}
        _write(answers, MODEL, json.dumps(said).encode())
        reader = Reader(model, terms)
        while head := questions.read(_HEAD.size):
            length, _ = _HEAD.unpack(head)
            try:
                answer = _answer(model, reader, Question("", bytearray(questions.read(length))))
            except Refusal as refusal:
                _write(answers, REFUSED, _plain(refusal))
            else:
                _write(answers, ANSWER, answer)
    return 0


def _answer(model: Model, reader: Reader, question: Question) -> bytes:
    """The packed answer to one question. Raises what a worker refuses it with."""
    reader.read(question)
    batch = Batch(model, [question])
    batch.run()
    (answer,) = batch.answers
    if isinstance(answer, ModelFailed):
        raise answer
    return bytes(pack(answer))


def _plain(refusal: Refusal) -> bytes:
    told = {"reason": refusal.reason, "message": str(refusal), "details": dict(refusal.details)}
    return json.dumps(told).encode()


def _write(out: BinaryIO, kind: int, content: bytes) -> None:
    out.write(_HEAD.pack(len(content), kind) + content)
    out.flush()
