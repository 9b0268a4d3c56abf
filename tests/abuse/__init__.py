# SPDX-License-Identifier: Apache-2.0
"""A host under strangers: what whoever reaches the port may do, all at once, beside honest work."""
