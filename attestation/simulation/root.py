# SPDX-License-Identifier: Apache-2.0
"""The simulation's root, as verifiers pin it. Its key is published (`placet.host.simulation`), so
evidence below it proves the format and nothing else."""

import base64
import hashlib
from typing import Final

SIMULATION_SIGNER: Final = hashlib.sha256(b"placet/simulation/signer/v1").hexdigest()
"""The MRSIGNER of every simulated enclave."""

SIMULATION_ROOT: Final = base64.b64decode(
    "MIIBrTCCAVOgAwIBAgIQJCn0spxHNV/b44aTjDQHCTAKBggqhkjOPQQDAjA1MTMwMQYDVQQDDCpQbGFjZXQgU2lt"
    "dWxhdGlvbiBSb290IENBIChwcm92ZXMgbm90aGluZykwHhcNMjAwMTAxMDAwMDAwWhcNNDkxMjMxMjM1OTU5WjA1"
    "MTMwMQYDVQQDDCpQbGFjZXQgU2ltdWxhdGlvbiBSb290IENBIChwcm92ZXMgbm90aGluZykwWTATBgcqhkjOPQIB"
    "BggqhkjOPQMBBwNCAAQ/0OanxYwkrQ4IUGeo3Yc28QN5et6JWHeMrxCPpV/b8LjtSJmYXFnK4tYQB9BHjuZj1viH"
    "21FCGGRtAhh6eL6Bo0UwQzASBgNVHRMBAf8ECDAGAQH/AgEBMA4GA1UdDwEB/wQEAwIBBjAdBgNVHQ4EFgQU7Zm7"
    "Va7aLyrILeA7sPoBLfJeB6IwCgYIKoZIzj0EAwIDSAAwRQIhAKnfh94UPcpY1lP432Umyr6hE4Z2POu/Zvfp8AKl"
    "uOZTAiANkYFsdoPr1yxwL9t/HDaEWIvcXbf1/e4SzDlBEbIojw=="
)
"""The root certificate, DER."""
