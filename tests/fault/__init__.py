# SPDX-License-Identifier: Apache-2.0
"""A host under load and faults, and under load and strangers: what is asked, and what holds."""
