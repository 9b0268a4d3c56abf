# SPDX-License-Identifier: Apache-2.0
"""A real host with a real authority, workers that do as they are told, and calls to it."""
