# SPDX-License-Identifier: Apache-2.0
"""What would become of a draft, before anybody votes on it."""
