# SPDX-License-Identifier: Apache-2.0
"""A program that does nothing but write its output."""


def main(job):
    with job.output("report") as sink:
        sink.write(b"done")
