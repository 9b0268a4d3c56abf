# SPDX-License-Identifier: Apache-2.0
"""Judgements: pure functions of state, documents and times that return a log entry, or refuse."""
