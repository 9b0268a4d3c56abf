# SPDX-License-Identifier: Apache-2.0
"""Enclaves: how they are launched, how they attach, and the line to the authority."""
