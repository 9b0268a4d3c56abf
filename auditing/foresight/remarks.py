# SPDX-License-Identifier: Apache-2.0
"""What terms allow and perhaps do not mean, by themselves: no log is needed for it."""

import math

from placet.governance.documents import Federate
from placet.governance.documents.work.body import Body
from placet.governance.sentences import count, duration, listed
from placet.governance.text import quoted

_DIGITS = 3


def remarks_on(body: Body) -> list[str]:
    """Sentences on what an author may not have meant."""
    if not isinstance(body, Federate):
        return []
    return [*_noise(body), *_spared(body), *_encoding(body)]


def window_remarks(body: Body, seconds: int) -> list[str]:
    """The same of the time that a proposal gives it."""
    if not isinstance(body, Federate):
        return []
    longest = body.rounds * body.round_seconds
    if longest <= seconds:
        return []
    return [
        (
            f"{count(body.rounds, 'round')} of up to {duration(body.round_seconds)} may take "
            f"longer than the window of {duration(seconds)}; what begins after it is not held."
        )
    ]


def _noise(terms: Federate) -> list[str]:
    """Noise that is longer, over all numbers, than the mean of all updates can be."""
    if terms.noise is None:
        return []
    deviation = float(terms.clipping_bound) * float(terms.noise) / len(terms.roster)
    length = deviation * math.sqrt(terms.layout.elements)
    if length <= float(terms.clipping_bound):
        return []
    return [
        (
            f"The noise of a round is about {length:.{_DIGITS}g} long, and the mean of the updates "
            f"at most {terms.clip}: it takes many rounds, more clients or fewer numbers to learn."
        )
    ]


def _spared(terms: Federate) -> list[str]:
    if not terms.spared:
        return []
    names = listed(map(quoted, terms.ruled("mean-without-noise")))
    return [f"No noise hides {names}: each model costs its clients privacy without bound."]


def _encoding(terms: Federate) -> list[str]:
    """Encodings that are coarser than an update of the clip's length spread over all numbers."""
    typical = float(terms.clipping_bound) / math.sqrt(terms.layout.elements)
    if terms.layout.encoding == "float16" and typical < 6e-8:  # the least that it can write
        return [
            (
                f"Numbers of an update of length {terms.clip} are about {typical:.1e}, and float16 "
                "writes such as zero. Ask for bfloat16 or float32."
            )
        ]
    return []
