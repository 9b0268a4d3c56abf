# SPDX-License-Identifier: Apache-2.0
"""share: what an owner does with a file, in one command: seal, put, grant, provision."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from placet.auditing.explain import explain_grant
from placet.client.blocking import Client
from placet.client.cli._frame import (
    ActingAs,
    AsJSON,
    KeyFile,
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
from placet.client.cli._words import transfer, write_artifact
from placet.client.cli.starting._known import KnownHere
from placet.client.data.objects import SealedObject, seal_file
from placet.client.files import check_free
from placet.client.keys import Keys
from placet.client.log.reader import Recorded
from placet.governance.documents import Grant
from placet.governance.envelope import inspect
from placet.governance.judgements.admission import check_listed_labels
from placet.refusals import Refusal

app = typer.Typer()


@command(app)
def share(
    source: Annotated[Path, typer.Argument(help="The file, in the clear; it stays here.")],
    key: KeyFile,
    label: Annotated[list[str] | None, typer.Option(help="A data label (repeatable).")] = None,
    kind: Annotated[str, typer.Option(help="What it is: dataset, model, ...")] = "dataset",
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
    acting_as: ActingAs = "",
    simulated: Simulated = False,
    yes: Yes = False,
    as_json: AsJSON = False,
) -> None:
    """Seal a file, put it, grant its use, and give the authority its key: seal, put, grant and
    provision in one. Beside the file lie FILE.sealed, FILE.object.json and FILE.grant.json."""
    flags = GrantFlags(
        purpose, program, parameter, recipient, combine_with, approval,
        uses, expires, privacy, witnesses,
    )  # fmt: skip
    sealed, described, granted = (
        source.with_name(f"{source.name}.{end}") for end in ("sealed", "object.json", "grant.json")
    )
    check_given(flags)
    check_free(sealed, described, granted)
    keys = load_keys(key, acting_as)
    with client(simulated=simulated) as connected:
        terms = terms_from_flags(flags, KnownHere(connected).key)
        check_listed_labels(label or (), connected.council.verify().newest.document)
        with transfer("sealing", as_json) as progress:
            made = seal_file(
                source, sealed, keys.public.hpke, kind=kind, labels=tuple(label or ()),
                progress=progress,
            )  # fmt: skip
        try:
            envelope = connected.grants.sign(keys, made.descriptor, terms)
            if not yes:
                say(*explain_grant(inspect(envelope, Grant)))
            confirm(f"Share {source} under this grant?", yes)
        except BaseException:
            sealed.unlink()  # nobody has it, and its key is gone
            raise
        write_artifact(described, made.to_bytes())
        write_artifact(granted, envelope)
        try:
            recorded = _hand_over(connected, keys, made, sealed, envelope, as_json)
        except Refusal:
            put = shlex.join(["placet", "put", str(sealed), "--object", str(described)])
            rest = ["placet", "provision", str(granted), "--object", str(described)]
            say(f"Sealed and granted. Go on with: {put}; {shlex.join(rest)} --key {key}")
            raise
    value = {"grant": recorded.digest, "index": recorded.index, "object": made.descriptor.digest}
    told = f"Shared {source}: object {made.descriptor.digest}, grant {recorded.digest}."
    show(value, as_json, lines([told]))


def _hand_over(
    connected: Client, keys: Keys, made: SealedObject, sealed: Path, grant: bytes, quiet: bool
) -> Recorded:
    """The ciphertext to the host, and the key to the authority under the grant."""
    owner = keys.public.signing
    with transfer("putting", quiet) as progress:
        connected.blobs.put(made.descriptor.id, sealed, owner=owner, progress=progress)
    secret = made.open_key(keys.hpke)
    recorded = connected.grants.provision(keys, grant, secret)
    secret.wipe()
    return recorded
