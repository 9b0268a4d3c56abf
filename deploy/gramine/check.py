# SPDX-License-Identifier: Apache-2.0
"""Is a rendered manifest one of ours? Every key must be on the list, with a value that the list
allows.

Gramine's manifest-syntax.rst knows more keys than these. Those it calls insecure or debug are
refused by name, so that the message says why; anything else that is not listed is refused as well.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Final, cast

_SIZE = re.compile(r"[1-9][0-9]*[MG]")
_HEX = re.compile(r"[0-9a-f]{64}")


class ManifestRefused(ValueError):
    """The manifest says something that it must not say, or leaves out what it must say."""


def _is(value: object) -> Callable[[object], bool]:
    return lambda found: type(found) is type(value) and found == value


def _text(found: object) -> bool:
    return isinstance(found, str) and found != ""


def _size(found: object) -> bool:
    return isinstance(found, str) and _SIZE.fullmatch(found) is not None


def _count(found: object) -> bool:
    return isinstance(found, int) and not isinstance(found, bool) and found > 0


def _each(allows: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda found: isinstance(found, list) and all(map(allows, cast("list[object]", found)))


def _argv(found: object) -> bool:
    """Fixed, and by its absolute path, or CPython does not find where it is installed."""
    words = cast("list[object]", found) if isinstance(found, list) else []
    return all(isinstance(word, str) for word in words) and str(words[:1]).startswith("['/")


def _mount(one: object) -> bool:
    """A folder or file of the host, or memory. Encrypted mounts take keys, and none is used
    here."""
    table = _table(one)
    return table.keys() == {"path", "uri"} or table == _TMP


def _trusted_file(one: object) -> bool:
    table = _table(one)
    if table:
        hashed = table.keys() == {"uri", "sha256"} and _HEX.fullmatch(str(table["sha256"]))
        return bool(hashed) and str(table["uri"]).startswith("file:")
    # A folder would take in whatever lies in it on the day of the signing.
    return isinstance(one, str) and one.startswith("file:") and not one.endswith("/")


def _table(one: object) -> dict[str, object]:
    return cast("dict[str, object]", one) if isinstance(one, dict) else {}


_TMP: Final = {"path": "/tmp", "type": "tmpfs"}
_ALLOWED: Final = tuple(
    f"file:launch/{name}" for name in ("arguments", "cert.pem", "collateral.json", "log")
)

REQUIRED: Final[Mapping[str, Callable[[object], bool]]] = {
    "libos.entrypoint": _text,
    "loader.argv": _argv,
    "loader.log_level": _is("error"),
    "loader.env.LD_LIBRARY_PATH": _is("/lib:/libraries"),
    "loader.env.LC_ALL": _is("C"),
    "loader.env.TZ": _is("UTC0"),
    "loader.env.OPENSSL_CONF": _is("/dev/null"),
    "loader.env.OPENBLAS_NUM_THREADS": _text,
    "fs.mounts": _each(_mount),
    "sys.stack.size": _size,
    "sys.disallow_subprocesses": _is(True),
    "sys.enable_sigterm_injection": _is(True),
    "sys.enable_extra_runtime_domain_names_conf": _is(True),
    "sgx.debug": _is(False),
    "sgx.remote_attestation": _is("dcap"),
    "sgx.isvprodid": _count,
    "sgx.isvsvn": _count,
    "sgx.enclave_size": _size,
    "sgx.max_threads": _count,
    "sgx.allowed_files": _each(_ALLOWED.__contains__),
    "sgx.trusted_files": _each(_trusted_file),
}

FORBIDDEN: Final[tuple[tuple[str, str], ...]] = (
    (r"(^|\.)insecure__", "Gramine itself calls it insecure"),
    (r"(^|\.)debug__", "it is for debugging"),
    (r"(^|\.)experimental__", "Gramine itself calls it experimental"),
    (r"^sgx\.file_check_policy$", ("files that are not listed must be refused, which is what it is "
                                  "without")),
    (r"^loader\.env\..*\.passthrough$", "the host would choose a variable of the environment"),
    (r"^sgx\.(profile|vtune_profile|enable_stats)", "it tells the host what the enclave does"),
)  # fmt: skip


def check_manifest(text: str) -> dict[str, object]:
    """Return the manifest's keys in dotted form, or raise ManifestRefused."""
    try:
        found = dict(_flat("", tomllib.loads(text)))
    except tomllib.TOMLDecodeError as error:
        raise ManifestRefused(f"It is no TOML: {error}") from error
    for key in found:
        for pattern, why in FORBIDDEN:
            if re.search(pattern, key):
                raise ManifestRefused(f"{key} must not be there: {why}.")
    if unknown := sorted(found.keys() - REQUIRED.keys()):
        raise ManifestRefused(f"{unknown[0]} is not among the keys that we use.")
    if missing := sorted(REQUIRED.keys() - found.keys()):
        raise ManifestRefused(f"{missing[0]} is missing.")
    for key, allows in REQUIRED.items():
        if not allows(found[key]):
            raise ManifestRefused(f"{key} must not be {str(found[key])[:100]!r}.")
    return found


def _flat(prefix: str, table: dict[str, object]) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for key, value in table.items():
        name, inner = f"{prefix}{key}", _table(value)
        found += _flat(f"{name}.", inner) if inner else [(name, value)]
    return found
