# SPDX-License-Identifier: Apache-2.0
"""Sealed objects: seal, put, get, grant, provision."""
