# SPDX-License-Identifier: Apache-2.0
"""Writes the evidence vectors: `python tests/vectors/generate.py [folder]`.

evidence/<name>[_fail]/ holds one piece of evidence with one property:

    case.toml       about: the property in a sentence
                    expected: "" where all holds, else the name of the refusal in placet.attestation
                    now: Unix seconds at which it is judged; nonce, context: hexadecimal
                    of: the case whose files stand for those that are not here
                    keep, append: the quote is cut to so many bytes; these follow it (hexadecimal)
    evidence.json   as it travels (docs/formats.md)
    quote.bin       a quote to take in place of the one in it
    identity.json   the identity document that it is to speak for
    policy.toml     what is wanted where it differs from tests/support/policy.toml, or from the
                    policy.toml of another case: `of` is its name
    root.der        the root to verify below; of `simulation` the built-in one

Keys and signatures are new in every run; what each case must give is not.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from placet.attestation import Evidence, Identity, report_data
from placet.host.simulation.platform import TCB, Platform, make_platform
from placet.host.simulation.quote import EnclaveReport, QuotingEnclave
from placet.host.simulation.root import Issuer, published_root

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.machines.intel import DEBUG, TDReport, tdx_platform, tdx_quote
from tests.vectors.snp_cases import snp_cases

NOW = 1_800_000_000
DAY = 86400
PPID = bytes(range(16))
NONCE = bytes(range(32))
CONTEXT = b"the log, and its newest checkpoint"
IDENTITY = Identity(
    "worker",
    "vectors.example/log+1",
    "sha256:" + "c4" * 32,
    "0123456789abcdef" * 2,
    "hpke:AA",
    "ed25519:BB",
)
SAID = report_data(IDENTITY.digest, NONCE, CONTEXT)
SGX = EnclaveReport(
    b"\xaa" * 32, b"\xcd" * 32 + bytes(32), SAID, signer=b"\xbb" * 32, product=7, svn=3
)
TD = TDReport(report_data=SAID)
SGX_MEASUREMENT = SGX.measurement.hex()
LAUNCHED_FOR = "sha256:" + "cd" * 32
POLICY: dict[str, Any] = {
    "kinds": ["sgx"],
    "measurements": [SGX_MEASUREMENT],
    "launched_for": [LAUNCHED_FOR],
    "platforms": [PPID.hex()],
    "min_tcb_evaluation": 1,
}
STATUSES = (
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
)
ADVISORY = "INTEL-SA-00615"
# Where the fields of a quote begin, and one place inside each report.
SGX_FIELDS = (
    2,
    4,
    8,
    10,
    12,
    28,
    48,
    64,
    96,
    112,
    160,
    176,
    304,
    432,
    436,
    500,
    564,
    948,
    1012,
    1014,
    1046,
    1048,
    1052,
)
TDX_REPORT = (0, 16, 64, 112, 120, 128, 136, 184, 232, 280, 328, 376, 424, 472, 520)
TDX4_FIELDS = (
    2,
    4,
    8,
    *(48 + at for at in TDX_REPORT),
    632,
    636,
    700,
    764,
    766,
    770,
    1154,
    1218,
    1220,
    1252,
    1254,
    1258,
)
TDX5_FIELDS = (
    48,
    50,
    *(54 + at for at in (*TDX_REPORT, 584, 600)),
    702,
    706,
    770,
    834,
    836,
    840,
    1224,
    1288,
    1290,
    1322,
    1324,
    1328,
)


@dataclass(frozen=True, slots=True)
class Case:
    """One folder; what is None is not written, and taken from the case `of`."""

    name: str
    about: str
    expected: str = ""
    now: int = NOW
    nonce: bytes = NONCE
    context: bytes = CONTEXT
    of: str = ""
    keep: int | None = None
    append: bytes = b""
    evidence: Evidence | None = None
    quote: bytes | None = None
    identity: Identity | None = None
    policy: dict[str, Any] | None = None
    root: Issuer | bytes | None = None  # DER, or what has it


def write(case: Case, folder: Path) -> None:
    """Write one case below a folder."""
    here = folder / "evidence" / case.name
    here.mkdir(parents=True)
    told: dict[str, Any] = {
        "about": case.about,
        "expected": case.expected,
        "now": case.now,
        "nonce": case.nonce.hex(),
        "context": case.context.hex(),
    }
    optional = {"of": case.of, "keep": case.keep, "append": case.append.hex()}
    told |= {name: value for name, value in optional.items() if value not in ("", None)}
    (here / "case.toml").write_text(_toml(told))
    if case.evidence is not None:
        (here / "evidence.json").write_bytes(case.evidence.to_bytes())
    if case.quote is not None:
        (here / "quote.bin").write_bytes(case.quote)
    if case.identity is not None:
        (here / "identity.json").write_bytes(case.identity.to_bytes())
    if case.policy is not None:
        (here / "policy.toml").write_text(_toml(case.policy))
    root = case.root
    if isinstance(root, Issuer):
        root = root.certificate.public_bytes(serialization.Encoding.DER)
    if root is not None:
        (here / "root.der").write_bytes(root)


def cases() -> Iterator[Case]:
    """Every case."""
    root = _root()
    yield from _sound(root)
    yield from _sgx(root)
    yield from _tdx(root)
    yield from _statuses(root)
    yield from _collateral(root)
    yield from _bindings()
    yield from _policies()
    yield from _cut()
    for fields in snp_cases(IDENTITY, SAID, LAUNCHED_FOR):
        yield Case(**fields)


def _sound(root: Issuer) -> Iterator[Case]:
    def sound(name: str, about: str, evidence: Evidence, measurement: str) -> Case:
        policy = _policy(kinds=[evidence.kind], measurements=[measurement])
        policy = policy if name != "sgx" else POLICY
        below = None if evidence.kind == "simulation" else root
        return Case(name, about, evidence=evidence, identity=IDENTITY, policy=policy, root=below)

    td = _tdx_measurement(TD)
    sgx = _sgx_evidence(make_platform(root, PPID, NOW), SGX)
    yield sound("sgx", "An SGX quote, version 3.", sgx, SGX_MEASUREMENT)
    machine = tdx_platform(root, PPID, NOW)
    for name, version, newer in (
        ("tdx4", 4, False),
        ("tdx5", 5, False),
        ("tdx5_module15", 5, True),
    ):
        about = f"A TDX quote, version {version}, of a module {'1.5' if newer else '1.0'}."
        yield sound(name, about, _tdx_evidence(machine, TD, version, newer), td)
    platform = make_platform(published_root(), PPID, NOW)
    simulated = replace(_sgx_evidence(platform, SGX), kind="simulation")
    yield sound("simulation", "A quote below the published root.", simulated, SGX_MEASUREMENT)


def _sgx(root: Issuer) -> Iterator[Case]:
    machine = make_platform(root, PPID, NOW)
    sound = _sgx_evidence(machine, SGX)

    def flipped(at: int) -> Evidence:
        quote = bytearray(sound.quote)
        quote[at] ^= 1
        return replace(sound, quote=bytes(quote))

    debug = _sgx_evidence(machine, replace(SGX, debug=True))
    yield _fail("sgx_debug", "The enclave can be debugged.", "EvidenceDebug", debug)
    for name, about, at in (
        ("measurement", "One bit of MRENCLAVE was changed.", 48 + 64),
        ("report_data", "One bit of the report data was changed.", 48 + 320),
        ("attributes", "One bit of the attributes was changed.", 48 + 48),
        ("config_id", "One bit of CONFIGID was changed.", 48 + 192),
        ("signature", "One bit of the quote's signature was changed.", 436),
        ("attestation_key", "One bit of the attestation key was changed.", 500),
        ("qe_report", "One bit of the quoting enclave's report was changed.", 564 + 64),
        ("vendor", "The quoting enclave is of another vendor.", 12),
    ):
        yield _fail(f"sgx_{name}", about, "EvidenceInvalid", flipped(at))
    as_tdx = replace(sound, kind="tdx")
    yield _fail("sgx_as_tdx", "An SGX quote that says it is of TDX.", "EvidenceMalformed", as_tdx)
    odd = _sgx_evidence(machine, replace(SGX, config_id=b"\xcd" * 33 + bytes(31)))
    yield _fail("sgx_config_id_form", "CONFIGID is no digest.", "EvidenceMalformed", odd)


def _tdx(root: Issuer) -> Iterator[Case]:
    machine = tdx_platform(root, PPID, NOW)
    not_genuine = "EvidenceInvalid"
    for name, about, expected, change in (
        ("debug", "The domain can be debugged.", "EvidenceDebug", {"td_attributes": DEBUG}),
        ("exceptions", "The host may inject exceptions.", not_genuine, {"td_attributes": bytes(8)}),
        (
            "migratable",
            "The domain can be migrated.",
            not_genuine,
            {"td_attributes": bytes.fromhex("0000003000000000")},
        ),
        ("service_td", "A service domain is bound.", not_genuine, {"mr_service_td": b"\x01" * 48}),
        ("module_signer", "Not Intel's module.", not_genuine, {"mr_signer_seam": b"\x01" * 48}),
        (
            "module_debug",
            "A module under debug.",
            not_genuine,
            {"seam_attributes": b"\x01" + bytes(7)},
        ),
    ):
        evidence = _tdx_evidence(machine, replace(TD, **change), 5, True)
        yield _fail(f"tdx_{name}", about, expected, evidence, of="tdx5_module15")
    for at, field in ((136, "mrtd"), (328, "rtmr0"), (376, "rtmr1"), (424, "rtmr2")):
        change = {name: b"\x00" * 48 for name in ("mr_td",) if field == "mrtd"}
        change |= {field: b"\x00" * 48} if field != "mrtd" else {}
        evidence = _tdx_evidence(machine, replace(TD, **change), 4, False)
        about = f"{field.upper()} is of other software."
        yield _fail(f"tdx_other_{field}", about, "AppraisalRefused", evidence, of="tdx4")
        quote = bytearray(_tdx_evidence(machine, TD, 4, False).quote)
        quote[48 + at] ^= 1
        forged = replace(evidence, quote=bytes(quote))
        about = f"One bit of {field.upper()} was changed."
        yield _fail(f"tdx_{field}", about, not_genuine, forged, of="tdx4")
    revoked = _tdx_evidence(tdx_platform(root, PPID, NOW, revoked=True), TD, 4, False)
    yield _fail("tdx_revoked", "The machine was revoked.", not_genuine, revoked, of="tdx4")
    yield Case(
        "tdx_other_rtmr3",
        "RTMR3 belongs to what runs in the domain, and is no part of the measurement.",
        of="tdx4",
        evidence=_tdx_evidence(machine, replace(TD, rtmr3=bytes(48)), 4, False),
        root=root,
    )


def _statuses(root: Issuer) -> Iterator[Case]:
    for status in STATUSES:
        machine = make_platform(root, PPID, NOW, tcb=TCB(status, (ADVISORY,), 17))
        name = f"status_{status}"
        policy = _policy(tcb_statuses=[status], advisories=[ADVISORY], min_tcb_evaluation=17)
        yield Case(
            name,
            f"{status} with an advisory, and both are tolerated.",
            of="sgx",
            evidence=_sgx_evidence(machine, SGX),
            policy=policy,
            root=root,
        )
        wanted = _policy(name, tcb_statuses=["UpToDate"])
        about = f"{status} is not tolerated."
        yield Case(f"{name}_fail", about, "AppraisalRefused", of=name, policy=wanted)
    yield from _relaunch(root)
    machine = make_platform(root, PPID, NOW, tcb=TCB("Revoked", ()))
    evidence = _sgx_evidence(machine, SGX)
    yield _fail("status_Revoked", "The TCB level is revoked.", "EvidenceInvalid", evidence)
    base = f"status_{STATUSES[0]}"
    for name, change in (
        ("no_advisory", {"advisories": "none"}),
        ("other_advisory", {"advisories": ["INTEL-SA-00289"]}),
        ("tcb_evaluation", {"min_tcb_evaluation": 18}),
    ):
        policy = _policy(tcb_statuses=[STATUSES[0]], advisories=[ADVISORY]) | change
        about = "The collateral is older, or has an advisory that is not tolerated."
        yield Case(f"policy_{name}_fail", about, "AppraisalRefused", of=base, policy=policy)


def _relaunch(root: Issuer) -> Iterator[Case]:
    """The module was renewed under a domain that was started with the old one."""
    machine = tdx_platform(root, PPID, NOW, newer_module=True)
    newer = bytes([2]) + bytes([1]) * 15
    base, refused = "tdx5_module15", "AppraisalRefused"
    for status, report in (
        ("TDRelaunchAdvised", replace(TD, tee_tcb_svn2=newer)),
        ("OutOfDate", TD),
        ("UpToDate", replace(TD, tee_tcb_svn=newer, tee_tcb_svn2=newer)),
    ):
        name = f"tdx_status_{status}"
        policy = _policy(base, tcb_statuses=[status])
        evidence = _tdx_evidence(machine, report, 5, True)
        about = f"{status}, which is tolerated."
        yield Case(name, about, of=base, evidence=evidence, policy=policy, root=root)
        wanted = _policy(name, tcb_statuses=[one for one in STATUSES if one != status])
        yield Case(f"{name}_fail", f"{status} is not tolerated.", refused, of=name, policy=wanted)


def _collateral(root: Issuer) -> Iterator[Case]:
    not_genuine, stale = "EvidenceInvalid", "CollateralStale"
    revoked = _sgx_evidence(make_platform(root, PPID, NOW, revoked=True), SGX)
    yield _fail("sgx_revoked", "The machine was revoked.", not_genuine, revoked)
    yield Case("wrong_root_fail", "Another root is pinned.", not_genuine, of="sgx", root=_root())
    other = make_platform(_root(), PPID, NOW)
    foreign = replace(
        _sgx_evidence(make_platform(root, PPID, NOW), SGX), collateral=other.collateral
    )
    yield _fail("foreign_collateral", "The collateral is below another root.", not_genuine, foreign)
    for name, now in (("expired", NOW + 31 * DAY), ("not_yet", NOW - DAY)):
        about = "The collateral is not valid at that time."
        yield Case(f"collateral_{name}_fail", about, stale, now=now, of="sgx")
    policy = _policy(max_collateral_age_seconds=DAY)
    about = "The collateral is valid, and older than the policy wants."
    refused = "AppraisalRefused"
    yield Case("collateral_age_fail", about, refused, now=NOW + 2 * DAY, of="sgx", policy=policy)
    none = replace(_sgx_evidence(make_platform(root, PPID, NOW), SGX), collateral="{}")
    yield _fail("no_collateral", "There is no collateral.", "EvidenceMalformed", none)


def _bindings() -> Iterator[Case]:
    refused = "EvidenceBinding"
    for kind in ("sgx", "tdx4"):
        yield Case(
            f"{kind}_nonce_fail", "It answers another nonce.", refused, nonce=bytes(32), of=kind
        )
        yield Case(
            f"{kind}_context_fail",
            "It is for another log.",
            refused,
            context=b"another log",
            of=kind,
        )
        other = replace(IDENTITY, signing="ed25519:CC")
        about = "It speaks for another identity."
        yield Case(f"{kind}_identity_fail", about, refused, of=kind, identity=other)
    yield Case("nonce_short_fail", "The nonce is none.", "EvidenceNonce", nonce=b"", of="sgx")


def _policies() -> Iterator[Case]:
    changes: dict[str, Any] = {
        "kinds": ["simulation", "tdx", "snp"],
        "measurements": ["ab" * 32],
        "signers": ["ab" * 32],
        "product": 8,
        "launched_for": "none",
        "platforms": ["ab" * 16],
        "smt": False,
        "dynamic_platform": False,
        "tcb_statuses": ["SWHardeningNeeded"],
        "min_svn": 4,
        "min_tcb_evaluation": 2,
    }
    for name, value in changes.items():
        policy = _policy(**{name: value})
        about = f"The policy wants something else of {name}."
        yield Case(f"policy_{name}_fail", about, "AppraisalRefused", of="sgx", policy=policy)


def _cut() -> Iterator[Case]:
    refused = "EvidenceMalformed"
    fields = (("sgx", SGX_FIELDS), ("tdx4", TDX4_FIELDS), ("tdx5_module15", TDX5_FIELDS))
    for base, places in fields:
        for at in places:
            about = f"The quote is cut off after {at} bytes."
            yield Case(f"{base}_cut_{at:04}_fail", about, refused, of=base, keep=at)
        for append in (b"\x00", bytes(70)):
            name = f"{base}_trailing_{len(append)}_fail"
            yield Case(name, "Bytes follow the quote.", refused, of=base, append=append)


def _fail(name: str, about: str, expected: str, evidence: Evidence, of: str = "sgx") -> Case:
    """A case of evidence below the root of its kind, which every sound case has."""
    return Case(f"{name}_fail", about, expected, of=of, evidence=evidence)


def _policy(of: str = "sgx", **changed: Any) -> dict[str, Any]:
    """The policy of another case, with something changed."""
    return {"of": of, **changed}


def _sgx_evidence(machine: Platform, report: EnclaveReport) -> Evidence:
    return Evidence("sgx", QuotingEnclave(machine).quote(report), machine.collateral)


def _tdx_evidence(machine: Platform, report: TDReport, version: int, newer: bool) -> Evidence:
    quote = tdx_quote(machine, report, version=version, newer=newer)
    return Evidence("tdx", quote, machine.collateral)


def _tdx_measurement(report: TDReport) -> str:
    registers = (report.mr_td, report.rtmr0, report.rtmr1, report.rtmr2)
    prefixed = b"".join((48).to_bytes(8, "big") + register for register in registers)
    return hashlib.sha384(b"placet/tdx/v1" + prefixed).hexdigest()


def _root() -> Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    name = published_root().certificate.subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2049, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    return Issuer(key, builder.sign(key, hashes.SHA256()))


def _toml(values: dict[str, Any]) -> str:
    # JSON's literals are TOML's for text, whole numbers, truth values and lists of these.
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for case in cases():
        write(case, target)
