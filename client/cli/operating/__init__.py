# SPDX-License-Identifier: Apache-2.0
"""Commands about how things stand, and not about what a council does: doctor, top."""
