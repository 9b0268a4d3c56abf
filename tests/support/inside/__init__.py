# SPDX-License-Identifier: Apache-2.0
"""A whole host in this process: the real one, its real enclaves in threads, and a relay before it
that tests can have lie."""
