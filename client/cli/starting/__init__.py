# SPDX-License-Identifier: Apache-2.0
"""How one begins: a council on this machine alone, and a council of several by links."""
