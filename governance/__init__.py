# SPDX-License-Identifier: Apache-2.0
"""Governance: the documents, the rules and the log that decide what may run."""
