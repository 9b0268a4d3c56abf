# SPDX-License-Identifier: Apache-2.0
"""Runs: jobs, federations and services, started and followed in one way."""
