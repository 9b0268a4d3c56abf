# SPDX-License-Identifier: Apache-2.0
"""GET over https, bounded: for what is published by others and verified by us."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from placet.client.errors import AnswerMalformed, FileRefused, HostUnreachable, UsageRefused

TIMEOUT_SECONDS = 30


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


class Https:
    """Asks servers that a certificate authority vouches for: those in a PEM file, or the
    system's."""

    def __init__(self, ca: Path | None = None) -> None:
        try:
            context = ssl.create_default_context(cafile=ca)
        except (OSError, ssl.SSLError):
            raise FileRefused(f"{ca} holds no certificates in PEM. Name another.") from None
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=context), _NoRedirect()
        )

    def get(self, url: str, limit: int) -> tuple[bytes, Mapping[str, str]]:
        """The body, of at most `limit` bytes, and the header. Raises `UsageRefused`,
        `HostUnreachable`, `AnswerMalformed`."""
        if urlsplit(url).scheme != "https":
            raise UsageRefused(f"{url} is not https. Name an https address.", claim="url")
        try:
            with self._opener.open(url, timeout=TIMEOUT_SECONDS) as answer:
                body: bytes = answer.read(limit + 1)
                header = {name.lower(): value for name, value in answer.headers.items()}
        except urllib.error.HTTPError as error:
            error.close()
            raise AnswerMalformed(
                f"{url} answered {error.code} instead of 200. Check the address, and that the "
                "machine is known there.",
                claim="status",
                expected="200",
                actual=str(error.code),
            ) from None
        except (OSError, HTTPException) as error:
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
