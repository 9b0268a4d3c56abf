# SPDX-License-Identifier: Apache-2.0
"""Jobs, federations and services that run, and whoever watches or asks them."""
