# SPDX-License-Identifier: Apache-2.0
"""The sealing key of an SEV-SNP machine: MSG_KEY_REQ through /dev/sev-guest.

SEV-SNP firmware ABI (56860), section 7.2, and Linux's include/uapi/linux/sev-guest.h. The key is
rooted in the chip's VCEK, which follows the reported TCB: a firmware update can change it. Mixed in
are measurement and guest policy, so no other image, and none that allows debugging, gets the same.
"""

import ctypes

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from placet.attestation.machine.files import Files, answering
from placet.refusals import SealingUnavailable

DEVICE = "/dev/sev-guest"
GET_DERIVED_KEY = 0xC0205301  # _IOWR('S', 1, 32 bytes)
_FROM_VCEK = (
    1 << 1
)  # ROOT_KEY_SELECT 0 (VCEK or VLEK), KEY_SEL 1: the VCEK, which is the chip's own
_POLICY_AND_MEASUREMENT = 1 << 0 | 1 << 3
_REMEDY = (
    "load the module sev-guest, give the enclave's user leave to open /dev/sev-guest, and "
    "run at VMPL 0"
)


class KeyRequest(ctypes.Structure):
    """struct snp_derived_key_req"""

    _fields_ = (
        ("root_key_select", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("guest_field_select", ctypes.c_uint64),
        ("vmpl", ctypes.c_uint32),
        ("guest_svn", ctypes.c_uint32),
        ("tcb_version", ctypes.c_uint64),
    )


class KeyResponse(ctypes.Structure):
    """struct snp_derived_key_resp, as the firmware fills it"""

    _fields_ = (
        ("status", ctypes.c_uint32),
        ("reserved", ctypes.c_uint8 * 28),
        ("key", ctypes.c_uint8 * 32),
    )


class GuestRequest(ctypes.Structure):
    """struct snp_guest_request_ioctl"""

    _fields_ = (
        ("msg_version", ctypes.c_uint8),
        ("req_data", ctypes.c_uint64),
        ("resp_data", ctypes.c_uint64),
        ("exitinfo2", ctypes.c_uint64),
    )


def derived_key(files: Files) -> bytes:
    """Return 32 bytes; raises SealingUnavailable or AttesterUnavailable."""
    wanted = KeyRequest(root_key_select=_FROM_VCEK, guest_field_select=_POLICY_AND_MEASUREMENT)
    response = KeyResponse()
    request = GuestRequest(
        msg_version=1, req_data=ctypes.addressof(wanted), resp_data=ctypes.addressof(response)
    )
    try:
        with answering(DEVICE, _REMEDY):
            files.control(DEVICE, GET_DERIVED_KEY, request)
        if response.status or not any(response.key):
            raise SealingUnavailable(
                "The firmware gave no key.", claim="sealing key", actual=str(response.status)
            )
        info = b"placet/sealing/snp-vcek/v1"
        return HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(bytes(response.key))
    finally:
        ctypes.memset(ctypes.addressof(response), 0, ctypes.sizeof(response))
