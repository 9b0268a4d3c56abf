# SPDX-License-Identifier: Apache-2.0
"""A client of one's own that talks to one enclave and to nobody else.

    python examples/tls/client.py 127.0.0.1:PORT FOLDER [MEASUREMENT]

FOLDER holds the server's collateral.json. The measurement wanted is that of the Placet installed
here, unless one is given. Needs pyOpenSSL: pip install '.[ratls]'.
"""

import socket
import sys
from pathlib import Path

from OpenSSL import SSL

from placet.attestation import SIMULATION_SIGNER, Claims, Policy
from placet.builds.measurement import measure
from placet.client.trust.ratls import RATLSVerifier
from placet.refusals import Refusal


def wanted(measurement: str) -> Policy:
    """One simulated program, on any machine. For hardware: its kind, and what its signer
    publishes."""
    return Policy(
        kinds=("simulation",),
        measurements=(measurement,),
        signers=(SIMULATION_SIGNER,),
        product="any",
        launched_for="none",
        platforms="any",
        smt="any",
        dynamic_platform="any",
        tcb_statuses=("UpToDate",),
        advisories="none",
        min_svn="any",
        min_snp_tcb="any",
        snp_bits_required="none",
        snp_bits_allowed="known",
        min_tcb_evaluation="any",
        max_collateral_age_seconds=30 * 86400,
    )


def greet(address: str, policy: Policy, collateral: str) -> tuple[Claims, bytes]:
    """Connect, and return what the enclave is and what it says; raises Refusal."""
    host, port = address.rsplit(":", 1)
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    verifier = RATLSVerifier(policy, lambda kind, quote: collateral, launched_for=None)
    verifier.install(context)
    with socket.create_connection((host, int(port)), timeout=30) as raw:
        raw.settimeout(None)  # pyOpenSSL wants a socket that blocks
        connection = SSL.Connection(context, raw)
        connection.set_connect_state()
        connection.do_handshake()  # nothing was sent before the enclave was found to be wanted
        return verifier.claims(connection), connection.recv(1024)


def main() -> None:
    """Print who answered and what; exit 1 if it is not who is wanted."""
    address, folder, *rest = sys.argv[1:]
    policy = wanted(rest[0] if rest else measure("worker"))
    try:
        claims, said = greet(address, policy, (Path(folder) / "collateral.json").read_text())
    except Refusal as error:
        sys.exit(f"refused {error.reason}: {error}")
    print(f"kind {claims.kind}\nmeasurement {claims.measurement}\nsaid {said.decode().strip()}")


if __name__ == "__main__":
    main()
