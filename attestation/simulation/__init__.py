# SPDX-License-Identifier: Apache-2.0
"""A simulated machine as verifiers and enclaves see it; the processor is the host's."""
