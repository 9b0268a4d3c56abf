# SPDX-License-Identifier: Apache-2.0
"""Setting up: init, keygen, pass, measure, host, config, status."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console

from placet.attestation import SIMULATION_SIGNER
from placet.client.cli._frame import (
    EXIT_REFUSED,
    ActingAs,
    AsJSON,
    KeyFile,
    OutFile,
    Yes,
    client,
    command,
    confirm,
    home,
    lines,
    load_keys,
    say,
    show,
    table,
)
from placet.client.cli._runs import proposals_of, run_table, runs_json
from placet.client.cli._words import choose_proposal, short, when
from placet.client.connection.channel import check_certificate, fetch_certificate, pin_of
from placet.client.connection.passes import read_pass, sign_pass
from placet.client.drafts.templates import constitution_template, template
from placet.client.errors import SettingMissing, UsageRefused
from placet.client.files import read_file, write_file
from placet.client.home import MAX_CERTIFICATE
from placet.client.installing import install
from placet.client.keys import Keys, PublicKeys, named_in, needs_passphrase, public_path
from placet.client.links import CouncilLink, spoken
from placet.client.trust.builds import DEVELOPMENT, named_measurements
from placet.governance.documents.passes import Pass, Scope
from placet.refusals import DocumentMalformed

app = typer.Typer()

_SETTING = ("setting", "value", "whence")

WHICH = (
    "The build of the enclaves: the folder that `make enclave` made, `release`, or `development`."
)


@command(app)
def init(
    link: Annotated[
        str, typer.Argument(help="What `placet charter show` prints for another member.")
    ] = "",
    host: Annotated[str, typer.Option(help="Where the host listens: address:port.")] = "",
    pin: Annotated[str, typer.Option(help="The pin that the host prints when it starts.")] = "",
    charter: Annotated[
        str, typer.Option(help="The digest of the council's charter, from another member of it.")
    ] = "",
    ca: Annotated[
        Path | None,
        typer.Option(help="CAs (PEM) to trust for the host's certificate, instead of a pin."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", "-k", help="Your .key file, by which commands log in at the host."),
    ] = None,
    acting_as: ActingAs = "",
    certificate: Annotated[
        Path | None,
        typer.Option(help="Your certificate and its key (PEM), for a host that asks for one."),
    ] = None,
    templates: Annotated[
        Path | None,
        typer.Option(
            help="Write constitution.toml, grant.toml, job.toml, federation.toml and serve.toml "
            "there."
        ),
    ] = None,
    enclave: Annotated[
        str, typer.Option(help=f"{WHICH} Its measurements go into constitution.toml.")
    ] = "",
    yes: Yes = False,
) -> None:
    """Make a home folder for one council: its host, your key, and commented templates."""
    if key is not None:
        key = key.absolute()
        named_in(key)
    if certificate is not None:
        check_certificate(read_file(certificate, MAX_CERTIFICATE))
    if link:
        if host or pin or charter:
            raise UsageRefused("The link says host, pin and charter. Give either it or these.")
        given = CouncilLink.from_text(link)
        host, pin, charter = given.host, given.pin, given.charter
    if not (host or charter or key or ca or certificate or templates):
        raise SettingMissing(
            "Say what to set up: a member's link, --host ADDRESS:PORT, --charter, --key, "
            "--certificate, --templates FOLDER."
        )
    _configure(host, pin, charter, ca, yes)
    if key is not None:
        home().use_key(key, acting_as)
    if certificate is not None:
        home().use_certificate(certificate)
    if host or charter or key or certificate:
        say(f"Wrote {home().config}.")
    if host or charter:
        say(_pinned(charter or home().memory().charter))
    if templates is not None:
        _write_templates(templates, enclave)


def _configure(host: str, pin: str, charter: str, ca: Path | None, yes: bool) -> None:
    """Write down the host and the council, as far as they are given."""
    if ca is not None:
        if not host or pin:
            raise UsageRefused("--ca goes with --host, and takes the place of the pin.")
        home().configure(host, "", charter, ca=ca)
    elif host:
        found = pin or pin_of(fetch_certificate(host))
        if not pin:
            confirm(f"The host at {host} shows the certificate {found}. Is it the operator's?", yes)
        home().configure(host, found, charter)
    elif charter:
        home().host()
        home().know(charter)


def _pinned(charter: str) -> str:
    if charter:
        return f"The council is {charter}; compare aloud: {spoken(charter)}"
    return (
        "No council is known yet. A founder learns it from its charter; a member who joins says "
        "it: placet init --charter sha256:..."
    )


def _write_templates(folder: Path, enclave: str) -> None:
    builds = named_measurements(enclave) if enclave else {}
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "constitution.toml": constitution_template(builds, SIMULATION_SIGNER),
        **{f"{name}.toml": template(name) for name in ("grant", "job", "federation", "serve")},
    }
    for name, text in contents.items():
        path = folder / name
        if path.exists():
            say(f"{path} is there already, and stays as it is.")
            continue
        write_file(path, text.encode())
        say(f"Wrote {path}.")


@command(app)
def keygen(
    id: Annotated[str, typer.Argument(help="Your seat's or party's id in the constitution.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The key file (ID.key).")] = None,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask for a passphrase and encrypt the key file.")
    ] = False,
    as_json: AsJSON = False,
) -> None:
    """Make a signing key and an HPKE key: ID.key to keep, ID.pub.json to give to others."""
    path = out or Path(f"{id}.key")
    keys = save_new_keys(id, path, passphrase)
    value = {
        "id": id,
        "key_file": str(path),
        "public_file": str(public_path(path)),
        "encrypted": needs_passphrase(path),
        "signing": keys.public.signing.text,
        "hpke": keys.public.hpke.to_text(),
    }
    told = [f"Wrote {path} (keep it) and {public_path(path)} (give it to the council)."]
    show(value, as_json, lines(told))


def save_new_keys(id: str, path: Path, passphrase: bool) -> Keys:
    """Make keys and save them, with a passphrase that is asked for. Raises `UsageRefused` or
    `KeyFileRefused`."""
    secret = os.environ.get("PLACET_PASSPHRASE", "") if passphrase else ""
    if passphrase and not secret:
        secret = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    keys = _generate(id)
    keys.save(path, secret)
    return keys


def _generate(id: str) -> Keys:
    try:
        return Keys.generate(id)
    except DocumentMalformed as error:
        raise UsageRefused(
            f"{id!r} is no id. Choose {error.details['expected']}.", claim="id"
        ) from None


@command(app, "pass")
def pass_command(
    holder: Annotated[Path, typer.Argument(help="The .pub.json file of whoever gets the pass.")],
    key: KeyFile,
    scope: Annotated[
        list[str],
        typer.Option(help="run: start work, follow it, fetch results. put: store blobs."),
    ],
    out: OutFile,
    proposal: Annotated[
        list[str] | None,
        typer.Option(help="A proposal whose work `run` is for; without any, of all of yours."),
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, max=Pass.MOST_DAYS, help="How long it is good: it ends alone.")
    ] = 7,
    acting_as: ActingAs = "",
    as_json: AsJSON = False,
) -> None:
    """Let another key, a build server's for example, call the host in your name (PLACET_PASS)."""
    scopes: list[Scope] = [each for each in get_args(Scope) if each in scope]
    if set(scope) - set(scopes):
        raise UsageRefused("A scope is run or put.", claim="scope")
    other, keys, digests = PublicKeys.load(holder), load_keys(key, acting_as), list[str]()
    if proposal:
        with client() as connected:
            for name in proposal:
                digests.append(choose_proposal(connected, name, "Pass on", quiet=as_json).digest)
    charter = home().memory().charter
    if not charter:
        raise SettingMissing("A pass is for one council. Run: placet init --charter sha256:...")
    envelope = sign_pass(keys, other, charter, scopes=scopes, proposals=digests, days=days)
    write_file(out, envelope)
    until = when(read_pass(envelope).not_after)
    value = {"pass_file": str(out), "holder": other.signing.text, "by": keys.id, "until": until}
    told = f"Wrote {out}: until {until} the key of {other.id} calls as {keys.id}, for "
    show(value, as_json, lines([f"{told}{' and '.join(scopes)} alone. Nothing takes it back."]))


@command(app, "measure")
def measure_command(
    enclave: Annotated[str, typer.Option(help=WHICH)] = DEVELOPMENT, as_json: AsJSON = False
) -> None:
    """Print the name of a build of the enclaves, and its measurements, for the constitution."""
    found = named_measurements(enclave)
    value = [{"build": name, "measurements": each} for name, each in found.items()]

    def text(console: Console) -> None:
        for name, each in found.items():
            lines([name])(console)
            table(("enclave", "measurement"), list(each.items()), "")(console)

    show(value, as_json, text)


@command(
    app,
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    },
)
def host(context: typer.Context) -> None:
    """Start a host in the foreground; takes what `python -m placet.host` takes (--help lists
    it)."""
    if importlib.util.find_spec("sqlalchemy") is None:
        raise SettingMissing(
            f"The host's packages are not installed. Run: {install('host', 'enclave')}"
        )
    arguments = [sys.executable, "-m", "placet.host", *context.args]
    os.execv(sys.executable, arguments)  # signals reach the host itself


@command(app, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def config(context: typer.Context, as_json: AsJSON = False) -> None:
    """Show every setting and whence it is: of this home, and of a host that is started with the
    flags that follow (`placet config --max-puts 64`)."""
    found = [*_of_home(context), *_of_host(context.args)]
    rows = [tuple(_setting_text(setting[column]) for column in _SETTING) for setting in found]
    show(found, as_json, table(_SETTING, rows, "There are no settings."))


def _of_home(context: typer.Context) -> list[dict[str, Any]]:
    """The home's folder, and what its configuration says."""
    whence = "PLACET_HOME" if os.environ.get("PLACET_HOME") else "default"
    if context.find_root().params.get("home") is not None:
        whence = "flag"
    settings = [{"setting": "home", "value": str(home().folder), "whence": whence}]
    told = [{"setting": n, "value": v, "whence": w} for n, (v, w) in home().said().items()]
    return [*settings, *told]


def _of_host(flags: list[str]) -> list[dict[str, Any]]:
    """What `placet host` would take from these flags; nothing where its packages are missing."""
    if importlib.util.find_spec("sqlalchemy") is None:
        return []
    told = subprocess.run(
        [sys.executable, "-m", "placet.host", "config", "--json", *flags],
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode:
        said = told.stderr.strip().rpartition("error: ")[2]
        raise UsageRefused(f"A host takes no such flags: {said}. See `placet host --help`.")
    settings: list[dict[str, Any]] = json.loads(told.stdout)
    return [{**each, "setting": _flag(each["setting"])} for each in settings]


def _flag(name: str) -> str:
    return "placet host --" + name.replace("_", "-")


def _setting_text(value: object) -> str:
    return "none" if value in (None, []) else str(value)


@command(app)
def status(
    evidence: Annotated[
        Path | None,
        typer.Option(help="Write the evidence, for a nonce of ours, for `placet verify evidence`."),
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Show host, log, evidence, and the newest runs. The exit code is 1 where the authority is away
    or is not to be believed."""
    with client() as connected:
        found = connected.status()
        known = proposals_of(connected, [run.id for run in found.runs or ()])
        if evidence is not None:
            write_file(evidence, connected.authority.evidence().to_bytes())
    value = {
        "host": found.address,
        "log": found.log,
        "size": found.size,
        "constitution": found.constitution,
        "evidence": found.evidence,
        "marks": list(found.marks),
        "well": found.well,
        "runs": None if found.runs is None else runs_json(found.runs, known),
    }
    rows = [
        ("host", found.address),
        ("log", found.log or "not founded"),
        ("entries", found.size),
        ("constitution", short(found.constitution) or "none"),
        ("evidence", found.evidence),
        ("marks", " ".join(found.marks)),
    ]

    def text(console: Console) -> None:
        table(("", ""), rows, "")(console)
        if found.runs is None:
            console.print("Runs are shown to seats and parties: placet init --key FILE.")
        else:
            run_table(found.runs, known)(console)

    show(value, as_json, text)
    if not found.well:
        raise typer.Exit(EXIT_REFUSED)


@command(app)
def pin(host: Annotated[str, typer.Argument(help="address:port")], as_json: AsJSON = False) -> None:
    """Print the pin of the certificate that a host shows; compare it with what its operator
    says."""
    found = pin_of(fetch_certificate(host))
    show({"host": host, "pin": found}, as_json, lines([found]))
