# SPDX-License-Identifier: Apache-2.0
"""Which job gets which worker, and which workers there are."""
