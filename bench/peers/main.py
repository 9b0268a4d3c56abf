# SPDX-License-Identifier: Apache-2.0
"""The peers' side of the aggregation benchmark: one pass on command, for an interpreter of their
own.

Commands come as JSON objects, one a line, on standard input; each is answered by one on standard
output:

    {"do": "load", "clients": 32, "elements": 10000000, "weights": [...], "clip": 30.0}   -> {}
    {"do": "run", "task": "flower_mean"}      -> {"seconds": 0.4, "sample": [...]}
    {"do": "bad", "case": "nan"}              -> {"flower_mean": "all NaN", ...}

Updates are made of the same seeds as ours and are in memory, off the wire, before a pass begins.
Each peer is used through its public classes: Flower's message API strategies, NVFlare's weighted
aggregation helper. Both work on one thread here: what they compute with is element-wise numpy, but
for the Gram matrix in Krum, for which the caller pins the number of threads. A model is cut into
layers of the size at which Flower's mean was found to be fastest.
"""

import ctypes
import json
import logging
import math
import resource
import sys
import time
import warnings

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import (
    DifferentialPrivacyServerSideFixedClipping,
    FedAvg,
    FedMedian,
    FedTrimmedAvg,
    Krum,
    MultiKrum,
)
from flwr.supercore.task_identity import TaskIdentity
from nvflare.app_common.aggregators.weighted_aggregation_helper import WeightedAggregationHelper

SAMPLE = 1000
LAYER = 200_000
TRIM_SHARE = 0.2
BYZANTINE = 2
NOISE_MULTIPLIER = 1.0


def update(client, elements):
    """What a client would send; the sealed side makes the same."""
    values = np.random.default_rng([7, client]).standard_normal(elements, dtype=np.float32)
    values *= np.float32(0.005 * (1 + client % 4))
    return values


def layers(values):
    count = -(-len(values) // LAYER)
    return {f"layer-{i}": values[i * LAYER : (i + 1) * LAYER] for i in range(count)}


def in_place(array):
    """The values of one of Flower's arrays, where they are: behind the .npy header."""
    size = np.dtype(array.dtype).itemsize * math.prod(array.shape)
    values = np.frombuffer(array.data, array.dtype, offset=len(array.data) - size)
    return values.reshape(array.shape)


class Round:
    """The updates of one round, as each peer holds them when they are off the wire."""

    def __init__(self, updates, weights, clip):
        self.flower_updates = [
            {name: Array(layer) for name, layer in layers(values).items()} for values in updates
        ]
        self.nvflare_updates = [
            {name: in_place(array) for name, array in update.items()}
            for update in self.flower_updates
        ]
        self.weights = weights
        self.clip = clip

    def messages(self):
        """New messages around the same arrays: some strategies take apart what they are given."""
        request = Message(RecordDict(), dst_node_id=1, message_type="train")
        return [
            Message(
                RecordDict(
                    {
                        "arrays": ArrayRecord(arrays),
                        "metrics": MetricRecord({"num-examples": weight}),
                    }
                ),
                reply_to=request,
            )
            for arrays, weight in zip(self.flower_updates, self.weights, strict=True)
        ]

    def flower(self, strategy):
        messages = self.messages()
        start = time.perf_counter()
        record, _ = strategy.aggregate_train(1, messages)
        return time.perf_counter() - start, record.to_numpy_ndarrays()[0]

    def flower_dp(self):
        strategy = DifferentialPrivacyServerSideFixedClipping(
            FedAvg(), NOISE_MULTIPLIER, self.clip, len(self.flower_updates)
        )
        # What configure_train would have kept: the model of the round before.
        strategy.current_arrays = ArrayRecord(
            {name: Array(np.zeros_like(values)) for name, values in self.nvflare_updates[0].items()}
        )
        return self.flower(strategy)

    def nvflare(self):
        helper = WeightedAggregationHelper()
        start = time.perf_counter()
        for client, (update, weight) in enumerate(
            zip(self.nvflare_updates, self.weights, strict=True)
        ):
            helper.add(update, weight, f"client-{client}", 1)
        result = helper.get_result()
        return time.perf_counter() - start, result["layer-0"]


def tasks(current):
    return {
        "flower_mean": lambda: current.flower(FedAvg()),
        "flower_dp": current.flower_dp,
        "flower_median": lambda: current.flower(FedMedian()),
        "flower_trimmed": lambda: current.flower(FedTrimmedAvg(beta=TRIM_SHARE)),
        "flower_krum": lambda: current.flower(Krum(num_malicious_nodes=BYZANTINE)),
        "flower_multikrum": lambda: current.flower(
            MultiKrum(num_malicious_nodes=BYZANTINE, num_nodes_to_select=len(current.weights) // 2)
        ),
        "nvflare_mean": current.nvflare,
    }


def idle_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def forget_peak():
    """Linux, glibc: what nobody uses is given back, and the peak begins anew from what is resident
    then."""
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def high_water_bytes():
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def run(current, task):
    forget_peak()
    idle = idle_bytes()
    seconds, result = tasks(current)[task]()
    return {
        "seconds": seconds,
        "peak": high_water_bytes() - idle,
        "sample": result.ravel()[:SAMPLE].astype(float).tolist(),
    }


# What is tried on four honest clients and one that is not, with the weights of all. Updates of 1000
# elements.
HONEST = [np.full(1000, value, np.float32) for value in (0.1, 0.2, 0.3, 0.4)]
BAD = {
    "NaN": (np.full(1000, np.nan, np.float32), 1),
    "infinity": (np.full(1000, np.inf, np.float32), 1),
    "a value beyond the range": (np.full(1000, 1e30, np.float32), 1),
    "a zero update": (np.zeros(1000, np.float32), 1),
    "wrong length": (np.ones(999, np.float32), 1),
    "a broadcastable shape": (np.ones(1, np.float32), 1),
    "wrong encoding": (np.ones(1000, np.int64), 1),
    "an example count of zero": (np.ones(1000, np.float32), 0),
    "a negative example count": (np.ones(1000, np.float32), -1),
    "an example count of 1e18": (np.ones(1000, np.float32), 10**18),
}


def bad(case):
    values, weight = BAD[case]
    current = Round([*HONEST, values], [1, 1, 1, 1, weight], 10.0)
    result = {}
    for name in (
        "flower_mean",
        "flower_dp",
        "flower_median",
        "flower_trimmed",
        "flower_krum",
        "nvflare_mean",
    ):
        try:
            result[name] = described(tasks(current)[name]()[1])
        except Exception as error:  # noqa: BLE001  what it is, is the result
            result[name] = f"the round ends: {type(error).__name__}"
    return result


def described(model):
    if np.isnan(model).all():
        return "the model is NaN"
    if not np.isfinite(model).all():
        return "the model is infinite"
    # The honest clients' values are from 0.1 to 0.4, noise not counted.
    mean = float(model.mean(dtype=np.float64))
    return (
        f"accepted: the model is about {mean:.3g}"
        if math.isfinite(mean)
        else "the model is infinite"
    )


def main():
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
    # What the libraries print does not belong into the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    current = None
    for line in sys.stdin:
        command = json.loads(line)
        answer = {}
        if command["do"] == "load":
            current = None
            updates = (update(client, command["elements"]) for client in range(command["clients"]))
            current = Round(list(updates), command["weights"], command["clip"])
        elif command["do"] == "run":
            answer = run(current, command["task"])
        elif command["do"] == "bad":
            answer = {case: bad(case) for case in BAD}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
