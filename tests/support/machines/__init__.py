# SPDX-License-Identifier: Apache-2.0
"""Machines of the vendors, as tests make them: certificates, quotes, reports, device files."""
