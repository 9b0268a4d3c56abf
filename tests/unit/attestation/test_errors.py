# SPDX-License-Identifier: Apache-2.0
"""The tree drawn at the top of the module is the tree, and errors carry what was compared."""

import inspect
import re

from placet.attestation import AttestationError, EvidenceError, errors


def test_tree_is_complete() -> None:
    found = (value for value in vars(errors).values() if inspect.isclass(value))
    classes = {value.__name__ for value in found if issubclass(value, AttestationError)}
    assert errors.__doc__ is not None
    assert set(re.findall(r"\w+Error", errors.__doc__)) == classes


def test_details() -> None:
    error = EvidenceError("Refused.", claim="kind", expected="sgx")
    assert str(error) == "Refused."
    assert error.details == {"claim": "kind", "expected": "sgx"}
    assert re.fullmatch("[A-Z_]+", error.reason)
