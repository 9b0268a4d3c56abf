# SPDX-License-Identifier: Apache-2.0
"""Is a genuine enclave the one that is wanted? Every check is made, and all are reported.

The checks, in order: kind, measurement, signer, product, svn, debug, launched_for, platform, smt,
dynamic_platform, tcb_status, advisories, snp_tcb, snp_bits_required, snp_bits_allowed,
tcb_evaluation, collateral_age, collateral_left.
Whatever the policy says, debug is refused, and claims whose collateral has expired since.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NoReturn

from placet.attestation.claims import Claims
from placet.attestation.policy import ANY, KNOWN, NONE, Policy
from placet.attestation.snp import bits
from placet.attestation.snp.tcb import Tcb
from placet.refusals import AppraisalRefused


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison, in words."""

    name: str
    expected: str
    found: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks of one appraisal; ask `accepted`, since a verdict is not a truth value."""

    checks: tuple[Check, ...]

    @property
    def accepted(self) -> bool:
        """Whether there were checks and all of them passed."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    def __bool__(self) -> NoReturn:
        raise TypeError("a Verdict is not a truth value; use .accepted or verify_appraisal")

    def verify(self) -> tuple[Check, ...]:
        """Return the checks if there were any and all passed; else raise AppraisalRefused,
        which names those that failed."""
        if self.accepted:
            return self.checks
        sentences = "; ".join(
            f"{check.name} must be {check.expected} and is {check.found}" for check in self.failed
        )
        raise AppraisalRefused(
            f"The enclave is genuine but not wanted: {sentences}.",
            claim=", ".join(check.name for check in self.failed),
            expected="; ".join(check.expected for check in self.failed),
            actual="; ".join(check.found for check in self.failed),
            rule="evidence policy",
            remedy="use an enclave that the policy names, or amend the policy",
        )


def appraise(claims: Claims, policy: Policy, *, now: int, launched_for: str | None) -> Verdict:
    """Compare claims with a policy at `now` (Unix seconds).

    `launched_for` is what the enclave must have been launched for besides what the policy says of
    it: a digest, "" for nothing, or None where this is judged elsewhere (an authority judges it at
    each lease).
    """
    made_for = policy.made_for(claims.measurement)
    return Verdict(
        (
            _listed("kind", policy.kinds, claims.kind),
            Check(
                "measurement",
                " or ".join(policy.measurements),
                claims.measurement,
                made_for is not None,
            ),
            _listed("signer", policy.signers, claims.signer),
            _exactly("product", policy.product, claims.product),
            _at_least("svn", policy.min_svn, claims.svn),
            _exactly("debug", False, claims.debug),
            _launched_for(policy.launched_for, launched_for, claims.launched_for, made_for or ""),
            _listed("platform", policy.platforms, claims.platform),
            _exactly("smt", policy.smt, claims.smt),
            _exactly("dynamic_platform", policy.dynamic_platform, claims.dynamic_platform),
            _listed("tcb_status", policy.tcb_statuses, claims.tcb_status),
            _advisories(policy, claims),
            _snp_tcb(policy.min_snp_tcb, claims.snp_tcb),
            _snp_bits_required(policy, claims.snp_bits),
            _snp_bits_allowed(policy, claims.snp_bits),
            _at_least("tcb_evaluation", policy.min_tcb_evaluation, claims.tcb_evaluation),
            _age(policy.max_collateral_age_seconds, now - claims.collateral_issued),
            _valid(claims.collateral_expires - now),
        )
    )


def verify_appraisal(
    claims: Claims, policy: Policy, *, now: int, launched_for: str | None
) -> Claims:
    """Return the claims, as `Policy.complete` does, if every check passes.

    Raises AppraisalRefused. Arguments as for `appraise`.
    """
    appraise(claims, policy, now=now, launched_for=launched_for).verify()
    return policy.complete(claims)


def _listed(name: str, allowed: tuple[str, ...] | str, found: str) -> Check:
    if isinstance(allowed, str):  # "any", or the one word
        return Check(name, allowed, found, allowed in (ANY, found))
    return Check(name, " or ".join(allowed), found, found in allowed)


def _valid(left: int) -> Check:
    # Claims are kept and appraised again: they are worth nothing once what they rely on has
    # expired.
    return Check("collateral_left", "more than 0 seconds", f"{left} seconds", left > 0)


def _exactly(name: str, wanted: int | str, found: int | None) -> Check:
    # None, where the hardware says nothing, satisfies "any" alone. Types count: true is not 1.
    passed = wanted == ANY or (found is not None and (type(wanted), wanted) == (type(found), found))
    return Check(name, _word(wanted), _word(found), passed)


def _at_least(name: str, least: int | str, found: int) -> Check:
    if isinstance(least, str):
        return Check(name, least, str(found), least == ANY)
    return Check(name, f"at least {least}", str(found), found >= least)


def _advisories(policy: Policy, claims: Claims) -> Check:
    found = ", ".join(claims.advisories) or NONE
    if isinstance(policy.advisories, str):
        passed = policy.advisories == ANY or not claims.advisories
        return Check("advisories", policy.advisories, found, passed)
    expected = "only " + ", ".join(policy.advisories)
    return Check("advisories", expected, found, set(claims.advisories) <= set(policy.advisories))


def _snp_tcb(least: str, found: str) -> Check:
    if least == ANY or not found:
        return Check("snp_tcb", least, found or NONE, True)
    passed = Tcb.from_text(found).at_least(Tcb.from_text(least))
    return Check("snp_tcb", f"at least {least} in each", found, passed)


def _snp_bits_required(policy: Policy, found: tuple[str, ...] | None) -> Check:
    wanted = _listed_bits(policy.snp_bits_required)
    missing = wanted - wanted.intersection(wanted if found is None else found)
    text = f"without {_words(missing)}" if missing else _words(found)
    return Check("snp_bits_required", _words(policy.snp_bits_required), text, not missing)


def _snp_bits_allowed(policy: Policy, found: tuple[str, ...] | None) -> Check:
    allowed = policy.snp_bits_allowed
    listed = _listed_bits(allowed) | _listed_bits(policy.snp_bits_required) | bits.MITIGATIONS
    others = set(found or ()) - listed
    text = f"also {_words(others)}" if others else _words(found)
    return Check("snp_bits_allowed", _words(allowed), text, not others)


def _listed_bits(value: tuple[str, ...] | str) -> frozenset[str]:
    if isinstance(value, str):
        return {ANY: bits.BITS, KNOWN: bits.KNOWN}.get(value, frozenset())
    return frozenset(value)


def _words(values: Collection[str] | str | None) -> str:
    return values if isinstance(values, str) else ", ".join(sorted(values or ())) or NONE


def _age(most: int | str, age: int) -> Check:
    found = f"{age} seconds"
    if isinstance(most, str):
        return Check("collateral_age", most, found, most == ANY)
    # A negative age is collateral from the future: the caller's clock or the evidence is wrong.
    return Check("collateral_age", f"0 to {most} seconds", found, 0 <= age <= most)


def _launched_for(
    allowed: tuple[str, ...] | str, demanded: str | None, register: str, made_for: str
) -> Check:
    """Policy, caller, and what the policy says of the measurement: all must be satisfied.

    The host sets the register, so for an enclave made for one digest it says that or nothing.
    """
    found = register or made_for
    check = _listed("launched_for", allowed, found or NONE)
    wanted = [one for one in (demanded, made_for or None) if one is not None]
    if not wanted:
        return check
    passed = check.passed and all(found == one for one in wanted)
    return Check("launched_for", " and ".join(one or NONE for one in wanted), found or NONE, passed)


def _word(value: int | str | None) -> str:
    return "unknown" if value is None else str(value).lower()
