# SPDX-License-Identifier: Apache-2.0
"""Fuzz the bytes of questions, claims and answers: pip install atheris; python
tests/fuzz/fuzz_questions.py -max_total_time=60"""

import importlib
import sys

atheris = importlib.import_module("atheris")
with atheris.instrument_imports():
    from placet.proto.questions import (
        Claim,
        Opening,
        pack_opening,
        pack_question,
        unpack_answer,
        unpack_question,
    )
    from placet.refusals import QuestionForged


def one(data: bytes) -> None:
    """They are refused, or pack to the same bytes again; nothing else is raised."""
    try:
        found = unpack_question(data)
        if isinstance(found, Opening):
            assert pack_opening(found.envelope, bytes(found.sealed)) == data
        else:
            assert pack_question(found.session, found.counter, bytes(found.sealed)) == data
    except QuestionForged:
        pass
    try:
        assert Claim.from_bytes(data).to_bytes() == data
    except QuestionForged:
        pass
    try:
        unpack_answer(data)
    except QuestionForged:
        pass


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
