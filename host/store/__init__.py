# SPDX-License-Identifier: Apache-2.0
"""The store, its tables, and files that are on the disk before they count."""
