# SPDX-License-Identifier: Apache-2.0
"""The operator's log: logfmt lines with identifiers, sizes, durations and outcomes, nothing else.

A record's message is already `event key=value ...`; its exception is never formatted, because an
exception's text may quote what it was about. So both formats are made of the message alone, and
JSON is a few lines here: structlog would need as many to be set up, every call of a logger to be
written anew, and one more processor so that it formats no exception.
"""

import errno
import json
import logging
import logging.handlers
import re
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

_BACKUPS = 3
ROOT = "placet"
_PAIR = re.compile(r'([a-z0-9_]+)=("[^"]*"|\S*)')


class Logfmt(logging.Formatter):
    """`ts=... level=... at=... event=...` on one line."""

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower()
        return f"ts={_moment(record)} level={level} at={record.name} event={_event(record)}"


class JSONLines(logging.Formatter):
    """The same as one object a line. Its values are texts, as they stand in the message."""

    def format(self, record: logging.LogRecord) -> str:
        name, _, rest = _event(record).partition(" ")
        said = {key: value.strip('"') for key, value in _PAIR.findall(rest)}
        head = {"ts": _moment(record), "level": record.levelname.lower(), "logger": record.name}
        # What the record is has the last word: a message may have pairs of the same names.
        return json.dumps({**said, **head, "event": name})


FORMATS: Final[Mapping[str, type[logging.Formatter]]] = MappingProxyType(
    {"text": Logfmt, "json": JSONLines}
)


def _moment(record: logging.LogRecord) -> str:
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{moment}.{int(record.msecs):03d}Z"


def _event(record: logging.LogRecord) -> str:
    return record.getMessage().replace("\n", " ").replace("\r", " ")


def place_of(error: BaseException) -> str:
    """File and line of the innermost frame: of a fault its kind and place are logged, never its
    text."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def kind_of(error: BaseException) -> str:
    """`kind=...` of a fault, and its number where the system gave one: neither is a secret."""
    number = getattr(error, "errno", None)
    name = errno.errorcode.get(number, "") if isinstance(number, int) else ""
    return f"kind={type(error).__name__}" + (f" errno={name}" if name else "")


def open_log(path: Path, written: str, max_bytes: int) -> logging.Handler:
    """Begin to log to a file of bounded size, in one of FORMATS; give the handler to
    `close_log`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=max_bytes, backupCount=_BACKUPS, encoding="utf-8", delay=True
    )
    handler.setFormatter(FORMATS[written]())
    logger = logging.getLogger(ROOT)
    logger.addHandler(handler)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    return handler


def close_log(handler: logging.Handler) -> None:
    logging.getLogger(ROOT).removeHandler(handler)
    handler.close()
