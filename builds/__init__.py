# SPDX-License-Identifier: Apache-2.0
"""Builds of the enclaves: what of them is measured. For whoever launches, builds or verifies."""
