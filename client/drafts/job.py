# SPDX-License-Identifier: Apache-2.0
"""Documents drafted in TOML: constitutions, grants, jobs. Federations are in federation.py.
`placet init` writes a commented template of each."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from placet.attestation import Policy
from placet.client.data.grants import GrantTerms
from placet.client.data.objects import SealedObject
from placet.client.drafts.toml import (
    hpke_key,
    load_toml,
    nothing_left,
    signing_key,
    take,
    take_action,
    take_window,
)
from placet.client.errors import FileRefused
from placet.client.jobs.bundles import Bundle, build_bundle
from placet.governance.codec import Json, from_plain
from placet.governance.documents import Constitution, Evidence, Job
from placet.refusals import Refusal
from placet.sealing import ObjectDescriptor

_TERMS = (
    "purposes",
    "programs",
    "parameters",
    "recipients",
    "combine_with",
    "witnesses",
    "approvals",
    "privacy",
    "uses",
    "expires",
    "recoverable",
)


class Known(Protocol):
    """What a file need not bring, because a home and its log have it."""

    def key(self, id: str) -> str:
        """The HPKE key of a member, as text."""
        ...

    def object(self, owner: str, digest: str) -> ObjectDescriptor:
        """The object that an owner has granted; `digest` is its own, or enough of its beginning,
        or empty where there is one alone."""
        ...


@dataclass(frozen=True, slots=True)
class GrantDraft:
    """What a grant file says: the object with its key sealed to the owner, and the terms."""

    object: SealedObject
    terms: GrantTerms


@dataclass(frozen=True, slots=True)
class JobDraft:
    """What a job file says: what a proposal is made from, and the program's bundle. Times are Unix
    seconds."""

    body: Job
    bundle: Bundle
    purpose: str
    reason: str
    not_before: int
    not_after: int
    uses: int


def load_constitution(
    path: Path, *, version: int = 1, predecessor: str | None = None
) -> Constitution:
    """A constitution from a TOML file; it gets fresh random bytes.

    Raises `FileRefused`, `DocumentMalformed` or `ConstitutionInvalid`, naming the field.
    """
    values = load_toml(path)
    tables: list[object] = [*values.get("seats", []), *values.get("parties", [])]
    for table in (cast("Json", one) for one in tables if isinstance(one, dict)):
        if isinstance(table.get("keys"), list):
            table["keys"] = [signing_key(key, path.parent) for key in table["keys"]]
    values.setdefault("parties", [])
    _check_policies(path, values.get("evidence"))
    return from_plain(
        Constitution,
        {
            **values,
            "nonce": secrets.token_hex(16),
            "version": version,
            "predecessor": predecessor,
        },
    )


def load_grant(path: Path) -> GrantDraft:
    """A grant from a TOML file. Raises `FileRefused` or `DocumentMalformed`, naming the field."""
    values, folder = load_toml(path), path.parent
    sealed = SealedObject.load(folder / take(values, path, "object", str))
    evidence = values.pop("evidence", None)
    if evidence == "constitution":
        evidence = None
    elif not isinstance(evidence, dict):
        raise FileRefused(
            f'In {path} evidence must be "constitution" or tables for authority and worker.'
        )
    else:
        _check_policies(path, evidence)
    if isinstance(values.get("recipients"), list):
        values["recipients"] = [hpke_key(key, folder) for key in values["recipients"]]
    if isinstance(values.get("programs"), list):
        values["programs"] = [_program(program, folder) for program in values["programs"]]
    taken: Json = {name: values.pop(name) for name in _TERMS if name in values}
    nothing_left(values, path)
    return GrantDraft(sealed, from_plain(GrantTerms, {**taken, "evidence": evidence}))


def load_evidence(path: Path) -> Evidence:
    """An owner's own evidence policies, tables `authority` and `worker`. Raises `FileRefused` or
    `DocumentMalformed`."""
    values = load_toml(path)
    _check_policies(path, values)
    return from_plain(Evidence, values)


def load_job(path: Path, now: int, known: Known | None = None) -> JobDraft:
    """A job from a TOML file, its window from `now` on unless the file names a start. Inputs
    without a file and recipients without a key are `known`.

    Raises `FileRefused` or `DocumentMalformed`, naming the field.
    """
    values, folder = load_toml(path), path.parent
    take_action(values, path, "job")
    bundle = build_bundle(folder / take(values, path, "program", str))
    not_before, not_after = take_window(values, path, now)
    draft = JobDraft(
        body=_job(values, path, bundle, known),
        bundle=bundle,
        purpose=take(values, path, "purpose", str),
        reason=take(values, path, "reason", str),
        not_before=not_before,
        not_after=not_after,
        uses=take(values, path, "uses", int, 1),
    )
    nothing_left(values, path)
    return draft


def _job(values: Json, path: Path, bundle: Bundle, known: Known | None) -> Job:
    folder = path.parent
    inputs: Json = {}
    for name, given in take(values, path, "inputs", dict, {}).items():
        table = dict(_table(given))
        named = take(table, path, "object", str, "")
        if known is not None and (not named or named.startswith("sha256:")):
            described = known.object(str(table.get("owner", "")), named)
        else:
            described = SealedObject.load(folder / named).descriptor
        inputs[name] = {"object": described.to_dict(), **table}
    recipients = [
        {**_table(one), "key": _recipient(_table(one), folder, known)}
        for one in take(values, path, "recipients", list)
    ]
    return from_plain(
        Job,
        {
            "program": bundle.digest,
            "inputs": inputs,
            "parameters": take(values, path, "parameters", dict, {}),
            "outputs": take(values, path, "outputs", dict),
            "recipients": recipients,
            "privacy": take(values, path, "privacy", dict, None),
            "attempts": take(values, path, "attempts", int, 1),
            "deadline_seconds": take(values, path, "deadline_seconds", int),
        },
    )


def _recipient(table: Json, folder: Path, known: Known | None) -> Any:
    """The key that the table names, or else that of a member whom its id names."""
    if "key" in table or known is None:
        return hpke_key(table.get("key"), folder)
    return known.key(str(table.get("id", "")))


def _program(text: Any, folder: Path) -> Any:
    """A program's digest: as text, or that of the bundle of a folder or file."""
    if isinstance(text, str) and not text.startswith("sha256:"):
        return build_bundle(folder / text).digest
    return text


def _check_policies(path: Path, evidence: Any) -> None:
    """Refuse policies at home that no relying party could read."""
    for role, policy in _table(evidence).items():
        try:
            Policy.from_dict(policy)
        except Refusal as error:
            raise FileRefused(
                f"In {path} the evidence policy for {role} does not hold: {error}",
                claim=f"evidence.{role}",
            ) from None


def _table(value: Any) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}
