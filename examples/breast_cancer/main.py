# SPDX-License-Identifier: Apache-2.0
"""Logistic regression over every hospital's rows, in numpy; releases the model as safetensors and
nothing else.

Inputs: any number of .npy arrays, float64, one row a patient, the last column the diagnosis (1
benign, 0 malignant).
Parameters: steps, learning_rate_percent. Output: model (safetensors: mean, scale, weights;
float64).
"""

import json

import numpy as np


def main(job):
    tables = [job.inputs[name].array() for name in sorted(job.inputs)]
    rows = np.concatenate(tables)
    features, labels = rows[:, :-1], rows[:, -1]
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-9
    inputs = np.hstack([(features - mean) / scale, np.ones((len(rows), 1))])
    weights = np.zeros(inputs.shape[1])
    rate = job.parameters["learning_rate_percent"] / 100
    steps = job.parameters["steps"]
    for step in range(steps):
        guess = 1 / (1 + np.exp(-inputs @ weights))
        weights -= rate * (inputs.T @ (guess - labels) / len(rows) + 1e-3 * weights)
        job.progress((step + 1) / steps)
    with job.output("model") as sink:
        sink.write(safetensors({"mean": mean, "scale": scale, "weights": weights}))


def safetensors(arrays):
    """The arrays in the safetensors format: length of the header, header in JSON, raw little-endian
    values."""
    header, offset = {}, 0
    for name, array in arrays.items():
        end = offset + array.nbytes
        header[name] = {"dtype": "F64", "shape": list(array.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join(
        [len(text).to_bytes(8, "little"), text, *(a.tobytes() for a in arrays.values())]
    )
