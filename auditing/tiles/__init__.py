# SPDX-License-Identifier: Apache-2.0
"""A log as the files that others read (C2SP tlog-tiles): their paths, and their bytes."""
