# SPDX-License-Identifier: Apache-2.0
"""A host's metrics as it serves them: Prometheus' text format, read as far as `placet top` needs
it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from placet.client.errors import HostUnreachable, UsageRefused

_TIMEOUT = 5.0
_MAX_BYTES = 8 * 1024 * 1024
_SAMPLE = re.compile(r"^([a-z_]+)(?:\{(.*)\})? ([-+.0-9eE]+|NaN)$", re.MULTILINE)
_LABEL = re.compile(r'([a-z_]+)="([^"\\]*)"')


@dataclass(frozen=True, slots=True)
class Scrape:
    """Samples by their names, each with its labels."""

    samples: Mapping[str, list[tuple[dict[str, str], float]]]

    def one(self, name: str) -> float:
        """The value of a metric without labels; 0 where there is none."""
        return sum(value for _, value in self.samples.get(name, ()))

    def by(self, name: str, *labels: str) -> dict[str, float]:
        """The sums of a metric by the values of some labels, the largest first."""
        sums: dict[str, float] = {}
        for found, value in self.samples.get(name, ()):
            key = " ".join(filter(None, (found.get(label, "") for label in labels)))
            sums[key] = sums.get(key, 0.0) + value
        return dict(sorted(sums.items(), key=lambda item: -item[1]))


def scrape(address: str) -> Scrape:
    """What a host serves at "address:port". Raises `HostUnreachable` or `UsageRefused`."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageRefused(f'{address!r} is no address of metrics. Give "address:port".')
    connection = HTTPConnection(host.strip("[]"), int(port), timeout=_TIMEOUT)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read(_MAX_BYTES).decode("utf-8", "replace")
    except (OSError, HTTPException, OverflowError) as error:
        raise HostUnreachable(
            f"No metrics are served at {address} ({type(error).__name__}). Start the host with "
            f"--metrics {address}.",
            claim="metrics",
            actual=address,
        ) from None
    finally:
        connection.close()
    return parse(text)


def parse(text: str) -> Scrape:
    """The samples in a text."""
    samples: dict[str, list[tuple[dict[str, str], float]]] = {}
    for name, labels, value in _SAMPLE.findall(text):
        samples.setdefault(name, []).append((dict(_LABEL.findall(labels)), float(value)))
    return Scrape(samples)
