# SPDX-License-Identifier: Apache-2.0
"""A proposal's work: a class an action, in a file of its own, which is the page on it."""
