# SPDX-License-Identifier: Apache-2.0
"""What onnxruntime takes for a row by itself, with the settings and in the batches that workers
have."""

import time

import numpy as np
from _inference.models import Served

from placet.enclave.worker.inference.model import load_model
from placet.governance.documents.serving import Raw

RUNS = 300


def row_seconds(served: Served, batch_rows: int) -> float:
    """Seconds of processor time for each row of full batches, which is the least that a row
    takes."""
    model = load_model(bytearray(served.file), {served.output: Raw("raw")})
    batch = [served.questions[i % len(served.questions)] for i in range(batch_rows)]
    feeds = {name: np.concatenate([one[name] for one in batch]) for name in batch[0]}
    model.run(feeds)
    started = time.process_time()
    for _ in range(RUNS):
        model.run(feeds)
    return (time.process_time() - started) / RUNS / batch_rows
