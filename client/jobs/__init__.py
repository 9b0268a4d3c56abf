# SPDX-License-Identifier: Apache-2.0
"""Jobs: bundles of programs, and results."""
