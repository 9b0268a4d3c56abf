# SPDX-License-Identifier: Apache-2.0
"""The log: its entries and documents, and the audit of all of it."""
