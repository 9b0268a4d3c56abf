# SPDX-License-Identifier: Apache-2.0
"""Who calls, what they may call, and how much of the host is theirs."""
