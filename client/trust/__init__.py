# SPDX-License-Identifier: Apache-2.0
"""Whom a client believes: verification of councils, authorities, receipts and evidence, offline
too."""
