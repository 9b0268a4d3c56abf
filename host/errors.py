# SPDX-License-Identifier: Apache-2.0
"""Why a host does not start. These are no refusals: the operator is told, and no caller."""


class StateLocked(RuntimeError):
    """Another host has the state folder open."""


class StateVersion(RuntimeError):
    """The store was written by another version of the schema."""
