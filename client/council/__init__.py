# SPDX-License-Identifier: Apache-2.0
"""The council: its founding, its authority, and what its members sign."""
