# SPDX-License-Identifier: Apache-2.0
"""Draws the rates of `bench/aggregation.py`: python plot.py lines.jsonl picture.png. Run by the
peers' interpreter."""

import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

GROUPS = {
    "limits of the machine": (
        "read_1t",
        "read_2t",
        "aes_1t",
        "aes_2t",
        "ipsec_mb_1t",
        "ipsec_mb_2t",
        "evp_1t",
        "evp_2t",
    ),
    "mean": (
        "mean_1t",
        "mean_2t",
        "preallocated_1t",
        "by_segment_1t",
        "naive_1t",
        "flower_mean",
        "nvflare_mean",
    ),
    "mean with noise": (
        "private_1t",
        "private_2t",
        "private_drawing_1t",
        "private_drawing_2t",
        "flower_dp",
    ),
    "median": ("median_1t", "median_2t", "flower_median"),
    "trimmed mean": ("trimmed_1t", "trimmed_2t", "flower_trimmed"),
    "Krum": ("krum_1t", "krum_2t", "flower_krum"),
}
LIMIT, OURS, LOOP, PEER = "#999999", "#1b6ca8", "#c9a227", "#b5483a"


def colour(group, name):
    if group.startswith("limits"):
        return LIMIT
    if name.startswith(("flower", "nvflare")):
        return PEER
    return LOOP if name.startswith(("naive", "by_segment", "preallocated")) else OURS


def main():
    lines, picture = sys.argv[1:]
    with open(lines) as file:
        rates = {f["name"]: f["value"] for f in map(json.loads, file) if f["unit"] == "GB/s"}
    figure, axes = plt.subplots(
        len(GROUPS),
        1,
        figsize=(9, 11),
        height_ratios=[len(names) for names in GROUPS.values()],
        layout="constrained",
    )
    for axis, (group, names) in zip(axes, GROUPS.items(), strict=True):
        present = [name for name in names if name in rates][::-1]
        values = [rates[name] for name in present]
        bars = axis.barh(present, values, color=[colour(group, name) for name in present])
        axis.bar_label(bars, fmt="%.2f", padding=3)
        axis.set_title(group, loc="left", fontsize=10)
        axis.margins(x=0.12)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("GB/s of float32 updates")
    figure.suptitle(
        "Aggregation: ours on sealed updates (blue), the peers on plain ones (red), loops over "
        "sealed ones (yellow)",
        fontsize=10,
    )
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    main()
