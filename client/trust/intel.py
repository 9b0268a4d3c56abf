# SPDX-License-Identifier: Apache-2.0
"""What Intel publishes about a machine: provisioning certification service, API version 4.

A caching service of one's own answers the same requests. Bodies are taken byte for byte where a
signature covers them.
"""

import json
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from placet.attestation import provisioning
from placet.client.connection.web import Web
from placet.client.errors import AnswerMalformed

_SGX, _TDX = "/sgx/certification/v4", "/tdx/certification/v4"
_MAX_BYTES = 128 * 1024
# Intel serves the root's list apart from all else; caching services serve it beside it.
_INTEL = "api.trustedservices.intel.com"
_INTEL_ROOT_LIST = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"


def fetch_intel(quote: bytes, web: Web, base: str, *, tdx: bool) -> tuple[str, str]:
    """The machine's FMSPC, and its collateral as dcap-qvl reads it."""
    fmspc, authority = provisioning(quote)
    tree = _TDX if tdx else _SGX
    crl, crl_head = web.get(f"{base}{_SGX}/pckcrl?ca={authority}&encoding=der", _MAX_BYTES)
    tcb, tcb_head = web.get(f"{base}{tree}/tcb?fmspc={fmspc}", _MAX_BYTES)
    identity, identity_head = web.get(f"{base}{tree}/qe/identity", _MAX_BYTES)
    own = urlsplit(base).hostname == _INTEL
    root_list = _INTEL_ROOT_LIST if own else f"{base}{_SGX}/rootcacrl"
    tcb_info, tcb_signature = _signed(tcb, "tcbInfo")
    qe_identity, qe_signature = _signed(identity, "enclaveIdentity")
    collateral = {
        "pck_crl_issuer_chain": _chain(crl_head, "SGX-PCK-CRL-Issuer-Chain"),
        "root_ca_crl": _revocations(web.get(root_list, _MAX_BYTES)[0]).hex(),
        "pck_crl": _revocations(crl).hex(),
        "tcb_info_issuer_chain": _chain(tcb_head, "TCB-Info-Issuer-Chain"),
        "tcb_info": tcb_info,
        "tcb_info_signature": tcb_signature,
        "qe_identity_issuer_chain": _chain(identity_head, "SGX-Enclave-Identity-Issuer-Chain"),
        "qe_identity": qe_identity,
        "qe_identity_signature": qe_signature,
    }
    return fmspc, json.dumps(collateral)


def _signed(body: bytes, name: str) -> tuple[str, str]:
    """The text that was signed, and the signature in hexadecimal: {"<name>": <text>, "signature":
    "<hexadecimal>"}."""
    try:
        text = body.decode("ascii")
        signature = json.loads(text)["signature"]
        start = text.index(":", text.index(f'"{name}"')) + 1
        start += len(text[start:]) - len(text[start:].lstrip())
        _, end = json.JSONDecoder().raw_decode(text, start)
        if not isinstance(signature, str):
            raise TypeError
        return text[start:end], bytes.fromhex(signature).hex()
    except (ValueError, KeyError, TypeError, RecursionError):
        raise AnswerMalformed(
            f"The service gave no signed {name}. Check its address.", claim=name
        ) from None


def _chain(header: Mapping[str, str], name: str) -> str:
    chain = unquote(header.get(name.lower(), ""))
    if not chain.startswith("-----BEGIN CERTIFICATE-----") or not chain.isascii():
        raise AnswerMalformed(f"The service gave no {name}. Check its address.", claim=name)
    return chain


def _revocations(body: bytes) -> bytes:
    """A revocation list as DER; services give it so, as PEM or as the hexadecimal of DER."""
    try:
        if body.startswith(b"-----BEGIN"):
            return x509.load_pem_x509_crl(body).public_bytes(Encoding.DER)
        if not body.startswith(b"0\x82") and not body.startswith(b"0\x81"):
            body = bytes.fromhex(body.decode("ascii"))
        x509.load_der_x509_crl(body)
        return body
    except ValueError:
        raise AnswerMalformed(
            "The service gave no revocation list. Check its address.", claim="crl"
        ) from None
