# SPDX-License-Identifier: Apache-2.0
"""Drafts of amendments: put to the host beside the proposal, and fetched by the digest that it
names."""

import tempfile
from pathlib import Path

from placet.client.blocking import Client
from placet.client.errors import AnswerMalformed
from placet.client.files import read_file
from placet.client.jobs.bundles import blob_of
from placet.client.keys import Keys
from placet.governance.codec import MAX_DOCUMENT, decode, encode
from placet.governance.documents import Constitution
from placet.governance.envelope import digest_of
from placet.refusals import BlobNotFound, Refused


def put_draft(connected: Client, keys: Keys, draft: Constitution) -> None:
    """Let the other members fetch a draft by its digest."""
    payload = encode(draft)
    connected.blobs.put(blob_of(digest_of(payload)), payload, owner=keys.signing.public)


def fetch_draft(connected: Client, digest: str) -> Constitution | None:
    """The draft of this digest; None where the host has none. Raises `AnswerMalformed` for other
    bytes, `DocumentMalformed` or `ConstitutionInvalid`."""
    blob = blob_of(digest)
    try:
        length = connected.blobs.stat(blob).length
    except Refused as refused:
        if refused.reason != BlobNotFound.reason:
            raise
        return None
    payload = b""
    if length <= MAX_DOCUMENT:
        with tempfile.TemporaryDirectory(prefix="placet-") as folder:
            path = connected.blobs.get(blob, Path(folder, "draft"), length=length)
            payload = read_file(path, MAX_DOCUMENT)
    if digest_of(payload) != digest:
        raise AnswerMalformed(
            "The host gave another draft than the proposal names. Do not read it; ask the "
            "proposer for the file.",
            claim="constitution",
            expected=digest,
            actual=digest_of(payload),
        )
    return decode(Constitution, payload)
