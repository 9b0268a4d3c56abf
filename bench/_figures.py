# SPDX-License-Identifier: Apache-2.0
"""The form of what a benchmark says: one figure, to be printed as one JSON object."""

Figure = dict[str, object]


def figure(
    name: str,
    value: float,
    unit: str,
    against: float | None,
    ratio: float | None,
    **more: object,
) -> Figure:
    """A figure whose numbers have three decimals; None where there is nothing to say."""

    def rounded(number: float | None) -> float | None:
        return None if number is None else round(number, 3)

    return {
        "name": name,
        "value": rounded(value),
        "unit": unit,
        "against": rounded(against),
        "ratio": rounded(ratio),
        **more,
    }
