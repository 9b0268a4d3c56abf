# SPDX-License-Identifier: Apache-2.0
"""What owners do: seal, open, put, grant, provision, withdraw, delete."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast

import typer

from placet.auditing.explain import explain_grant
from placet.client.cli._frame import (
    ActingAs,
    AsJSON,
    Force,
    KeyFile,
    OutFile,
    Simulated,
    Yes,
    client,
    command,
    confirm,
    lines,
    load_keys,
    say,
    show,
)
from placet.client.cli._terms import (
    Approvals,
    CombineWith,
    Cost,
    GrantFlags,
    HowMany,
    Parameters,
    Programs,
    Purposes,
    Recipients,
    Until,
    Witnesses,
    check_given,
    terms_from_flags,
)
from placet.client.cli._words import read_artifact, transfer, write_artifact
from placet.client.cli.lookup.grants import earlier_grants, earlier_told
from placet.client.cli.starting._known import KnownHere
from placet.client.data.objects import SealedObject, check_sealed, open_file, seal_file
from placet.client.drafts.job import GrantDraft, load_evidence, load_grant
from placet.client.drafts.toml import KeyOf
from placet.client.errors import UsageRefused
from placet.client.files import check_free
from placet.client.keys import PublicKeys
from placet.governance.documents import Grant
from placet.governance.envelope import inspect, parse_envelope
from placet.governance.judgements.admission import check_labels

app = typer.Typer()

ObjectFile = Annotated[Path, typer.Option("--object", help="The .object.json that seal wrote.")]


@command(app)
def seal(
    source: Annotated[Path, typer.Argument(help="The file to seal.")],
    owner: Annotated[Path, typer.Option(help="Your .pub.json: to whom the key is sealed.")],
    label: Annotated[list[str] | None, typer.Option(help="A data label (repeatable).")] = None,
    kind: Annotated[str, typer.Option(help="What it is: dataset, model, ...")] = "dataset",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="SOURCE.sealed")] = None,
    force: Force = False,
    as_json: AsJSON = False,
) -> None:
    """Seal a file at home: FILE.sealed to put, FILE.object.json with its descriptor and key."""
    sealed_path = out or source.with_name(source.name + ".sealed")
    object_path = sealed_path.with_name(sealed_path.name.removesuffix(".sealed") + ".object.json")
    recipient = PublicKeys.load(owner).hpke
    if force:
        _tell_lost(object_path)
    else:
        check_free(sealed_path, object_path)
    with transfer("sealing", as_json) as progress:
        made = seal_file(
            source, sealed_path, recipient, kind=kind, labels=tuple(label or ()),
            progress=progress, force=force,
        )  # fmt: skip
    write_artifact(object_path, made.to_bytes())
    value = {
        "sealed": str(sealed_path),
        "object": str(object_path),
        "digest": made.descriptor.digest,
        "descriptor": made.descriptor.to_dict(),
    }
    told = [f"Wrote {sealed_path} and {object_path}: object {made.descriptor.digest}."]
    show(value, as_json, lines(told))


def _tell_lost(object_path: Path) -> None:
    """Name the object whose only key a new one takes the place of."""
    if object_path.exists():
        lost = SealedObject.load(object_path).descriptor.digest
        say(f"{object_path} is replaced, and with it the key of object {lost}.")


@command(app, "open")
def open_command(
    source: Annotated[Path, typer.Argument(help="The sealed file.")],
    object_file: ObjectFile,
    key: KeyFile,
    out: OutFile,
    force: Force = False,
    as_json: AsJSON = False,
) -> None:
    """Verify and open a file that was sealed to you."""
    made, keys = SealedObject.load(object_file), load_keys(key)
    with transfer("opening", as_json) as progress:
        open_file(source, out, made, keys.hpke, progress, force)
    show({"file": str(out), "bytes": made.descriptor.length}, as_json, lines([f"Wrote {out}."]))


@command(app)
def put(
    source: Annotated[Path, typer.Argument(help="The sealed file.")],
    object_file: ObjectFile,
    owner: Annotated[
        Path | None, typer.Option(help="The .pub.json of who may delete it; else nobody may.")
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Put a sealed file to the host, after a check that it is one; what was interrupted goes on
    where it stopped."""
    descriptor = SealedObject.load(object_file).descriptor
    id = descriptor.id
    check_sealed(source, descriptor)
    deleter = PublicKeys.load(owner).signing if owner else None
    with client() as connected, transfer("putting", as_json) as progress:
        blob = connected.blobs.put(id, source, owner=deleter, progress=progress)
    show(blob, as_json, lines([f"The host has all {blob.length} bytes of {id}."]))


def _grant_draft(
    source: Path | None, object_file: Path | None, flags: GrantFlags, key_of: KeyOf
) -> GrantDraft:
    if source is not None:
        return load_grant(source)
    described = SealedObject.load(cast("Path", object_file))
    return GrantDraft(described, terms_from_flags(flags, key_of))


@command(app)
def grant(
    key: KeyFile,
    out: OutFile,
    source: Annotated[Path | None, typer.Argument(help="grant.toml, in place of flags.")] = None,
    object_file: Annotated[Path | None, typer.Option("--object", help="The .object.json.")] = None,
    purpose: Purposes = None,
    program: Programs = None,
    parameter: Parameters = None,
    recipient: Recipients = None,
    combine_with: CombineWith = None,
    uses: HowMany = "",
    expires: Until = "",
    privacy: Cost = "",
    witnesses: Witnesses = "",
    approval: Approvals = None,
    evidence: Annotated[
        Path | None,
        typer.Option(help="Your own evidence policies, as TOML; else the constitution's."),
    ] = None,
    acting_as: ActingAs = "",
    as_json: AsJSON = False,
) -> None:
    """Sign a grant for the use of an object, from a TOML file or from flags; nothing is sent."""
    if source is None and object_file is None:
        raise UsageRefused("Give a grant.toml, or --object and the other terms as flags.")
    flags = GrantFlags(
        purpose, program, parameter, recipient, combine_with, approval,
        uses, expires, privacy, witnesses,
    )  # fmt: skip
    if source is None:
        check_given(flags)
    keys = load_keys(key, acting_as)
    with client() as connected:
        draft = _grant_draft(source, object_file, flags, KnownHere(connected).key)
        terms = draft.terms
        if evidence is not None:
            terms = replace(terms, evidence=load_evidence(evidence))
        envelope = connected.grants.sign(keys, draft.object.descriptor, terms)
        council = connected.council.verify()
        earlier = earlier_grants(connected, keys.id, draft.object.descriptor)
    document, digest = inspect(envelope, Grant), parse_envelope(envelope).digest
    check_labels(document, council.newest.document)  # as the authority does, before it is kept
    write_artifact(out, envelope)
    origin = str(evidence or source) if terms.evidence else council.newest.digest
    whose = "yours, from" if terms.evidence else "those of the council, from its constitution"
    told = [
        f"Wrote {out}: grant {digest}.",
        *explain_grant(document),
        f"The evidence policies are {whose} {origin}.",
        *earlier_told(earlier),
    ]
    digests = [one.record.digest for one in earlier]
    value = {
        "file": str(out),
        "grant": digest,
        "terms": document,
        "evidence_from": origin,
        "earlier": digests,
    }
    show(value, as_json, lines(told))


@command(app)
def provision(
    grant_file: Annotated[Path, typer.Argument(help="The signed grant.")],
    object_file: ObjectFile,
    key: KeyFile,
    simulated: Simulated = False,
    as_json: AsJSON = False,
) -> None:
    """Check the authority's evidence under the grant's policy, and give it the object's key."""
    keys = load_keys(key)
    secret = SealedObject.load(object_file).open_key(keys.hpke)
    with client(simulated=simulated) as connected:
        recorded = connected.grants.provision(keys, read_artifact(grant_file), secret)
    secret.wipe()
    value = {"grant": recorded.digest, "index": recorded.index}
    show(value, as_json, lines([f"Provisioned: grant {recorded.digest}, entry {recorded.index}."]))


@command(app)
def withdraw(
    grant_digest: Annotated[str, typer.Argument(metavar="GRANT", help="Digest, or the file.")],
    key: KeyFile,
    reason: Annotated[str, typer.Option(help="Why, for the council.")] = "",
    acting_as: ActingAs = "",
    yes: Yes = False,
    as_json: AsJSON = False,
) -> None:
    """Withdraw a grant, for ever and at once, also for jobs that run."""
    path = Path(grant_digest)
    digest = parse_envelope(read_artifact(path)).digest if path.is_file() else grant_digest
    keys = load_keys(key, acting_as)
    with client() as connected:
        known = connected.log.ledger().state.grants.get(digest)
        if known is not None and known.withdrawn:
            told = "It was withdrawn before: this would change nothing, and nothing was sent."
            show({"stop": None, "index": None}, as_json, lines([told]))
            return
        confirm(f"Withdraw {digest} for ever, also from jobs that run?", yes)
        recorded = connected.council.stop(keys, "withdraw", digest, reason=reason)
    told = f"Withdrawn: the log has it as entry {recorded.index}."
    show({"stop": recorded.digest, "index": recorded.index}, as_json, lines([told]))


@command(app)
def delete(
    object_id: Annotated[str, typer.Argument(help="The object's id, or its .object.json.")],
    key: KeyFile,
    yes: Yes = False,
    as_json: AsJSON = False,
) -> None:
    """Have the host forget the sealed bytes of an object that was put with your key as owner."""
    path = Path(object_id)
    id = SealedObject.load(path).descriptor.id if path.is_file() else object_id
    keys = load_keys(key)
    confirm(f"Have the host forget {id}? No job can read it then; keep your own copy.", yes)
    with client() as connected:
        connected.blobs.delete(id, keys)
    show({"deleted": id}, as_json, lines([f"The host says that {id} is deleted."]))
