# SPDX-License-Identifier: Apache-2.0
"""A program that takes its time, so that somebody can change their mind while it runs."""

import time


def main(job):
    for second in range(job.parameters["seconds"]):
        time.sleep(1)
        job.progress((second + 1) / job.parameters["seconds"])
    with job.output("report") as sink:
        sink.write(b"finished although it should not have been")
