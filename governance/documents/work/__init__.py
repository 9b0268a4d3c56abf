# SPDX-License-Identifier: Apache-2.0
"""What a proposal asks for: a class an action, in a file of its own, which is the page on it."""
