# SPDX-License-Identifier: Apache-2.0
"""The operator's log: logfmt lines with identifiers, sizes, durations and outcomes, nothing else.

A record's message is already `event key=value ...`; its exception is never formatted, because an
exception's text may quote what it was about.
"""

import errno
import logging
import logging.handlers
import time
from pathlib import Path

_MAX_BYTES = 16 * 1024 * 1024
_BACKUPS = 3
ROOT = "placet"


class Logfmt(logging.Formatter):
    """`ts=... level=... at=... event=...` on one line."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        event = record.getMessage().replace("\n", " ").replace("\r", " ")
        return (
            f"ts={moment}.{int(record.msecs):03d}Z level={record.levelname.lower()} "
            f"at={record.name} event={event}"
        )


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


def open_log(path: Path) -> logging.Handler:
    """Begin to log to a file of bounded size; give the handler to `close_log`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=_MAX_BYTES, backupCount=_BACKUPS, encoding="utf-8", delay=True
    )
    handler.setFormatter(Logfmt())
    logger = logging.getLogger(ROOT)
    logger.addHandler(handler)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    return handler


def close_log(handler: logging.Handler) -> None:
    logging.getLogger(ROOT).removeHandler(handler)
    handler.close()
