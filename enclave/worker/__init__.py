# SPDX-License-Identifier: Apache-2.0
"""The worker: launched for one program, joined once, given one lease, gone after it."""
