# SPDX-License-Identifier: Apache-2.0
"""The authority: holds every long-term secret, keeps the log, judges, and runs no ML code."""
