# SPDX-License-Identifier: Apache-2.0
"""The log as the host keeps it, and what the host reads from its entries."""
