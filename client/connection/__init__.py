# SPDX-License-Identifier: Apache-2.0
"""One connection to one council: calls, and the log as far as it was read."""
