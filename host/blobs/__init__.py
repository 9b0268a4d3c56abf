# SPDX-License-Identifier: Apache-2.0
"""Blobs: puts, parts on the disk, gets."""
