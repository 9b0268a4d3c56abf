# SPDX-License-Identifier: Apache-2.0
"""GET over https, bounded in bytes and in time: for what is published by others and verified by
us."""

import ssl
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Mapping
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from placet.client.errors import AnswerMalformed, FileRefused, HostUnreachable, UsageRefused

TIMEOUT_SECONDS = 30
_LONGEST_SECONDS = 300.0  # for a whole answer, however slowly it comes
_PART = 64 * 1024


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Whoever is asked answers, or nobody: a redirect is an answer like any other that is not
    200."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        return None


class Web:
    """Asks servers that a certificate authority vouches for: those in a PEM file, or the
    system's. plain: also over http, for what is verified whoever sends it."""

    def __init__(self, ca: Path | None = None, *, plain: bool = False) -> None:
        try:
            context = ssl.create_default_context(cafile=ca)
        except (OSError, ssl.SSLError):
            raise FileRefused(f"{ca} holds no certificates in PEM. Name another.") from None
        self._schemes = ("https", "http") if plain else ("https",)
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=context), _NoRedirect()
        )

    def get(self, url: str, limit: int) -> tuple[bytes, Mapping[str, str]]:
        """The body, of at most `limit` bytes, and the header. Raises `UsageRefused`,
        `HostUnreachable`, `AnswerMalformed`."""
        if urlsplit(url).scheme not in self._schemes:
            raise UsageRefused(f"{url} is not https. Name an https address.", claim="url")
        try:
            request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip, identity"})
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                header = {name.lower(): value for name, value in answer.headers.items()}
                body = _read(answer, limit, zipped=header.get("content-encoding") == "gzip")
        except urllib.error.HTTPError as error:
            error.close()
            raise AnswerMalformed(
                f"{url} answered {error.code} instead of 200. Check the address, and that the "
                "machine is known there.",
                claim="status",
                expected="200",
                actual=str(error.code),
            ) from None
        except (OSError, HTTPException, zlib.error) as error:
            why = getattr(error, "reason", None) or type(error).__name__
            raise HostUnreachable(
                f"{url} does not answer: {why}. Check the address, and --ca if it has a "
                "certificate of its own."
            ) from None
        if len(body) > limit:
            raise AnswerMalformed(
                f"{url} answered with more than {limit} bytes, which no such answer has.",
                claim="length",
                expected=f"at most {limit} bytes",
            )
        return body, header

    def find(self, url: str, limit: int) -> bytes | None:
        """The body, or None where the server has no such file. Raises as `get`."""
        try:
            return self.get(url, limit)[0]
        except AnswerMalformed as error:
            if error.details.get("actual") == "404":
                return None
            raise


def _read(answer: HTTPResponse, limit: int, *, zipped: bool) -> bytes:
    """At most `limit` bytes and one, unpacked. Raises TimeoutError, or what reading raises."""
    unpack = zlib.decompressobj(wbits=31) if zipped else None
    end, body = time.monotonic() + _LONGEST_SECONDS, bytearray()
    while len(body) <= limit and (part := answer.read1(_PART)):
        if time.monotonic() > end:
            raise TimeoutError
        body += unpack.decompress(part, limit + 1 - len(body)) if unpack else part
    if unpack is not None and len(body) <= limit and not unpack.eof:
        raise HTTPException("the answer ended before its end")
    return bytes(body[: limit + 1])
