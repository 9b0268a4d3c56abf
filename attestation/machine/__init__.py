# SPDX-License-Identifier: Apache-2.0
"""Real machines as seen from inside: attesters over the files that Gramine and Linux offer."""

from placet.attestation.machine.probe import probe

__all__ = ["probe"]
