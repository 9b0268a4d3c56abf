# SPDX-License-Identifier: Apache-2.0
"""The keys of a round: what clients have sealed to it is opened, to be checked as it comes and to
be handed to a worker.

Everything that this needs is in the log and in the host's store, so a life of the authority that
has seen none of it can go on with a round that an earlier one began.
"""

from collections.abc import Sequence

from placet.enclave.authority.core import Core
from placet.enclave.round_keys import BaseKey, RoundKeys, UpdateKey, key_text
from placet.governance.contexts import update_info
from placet.governance.documents import Federate, Proposal, Receipt, Update
from placet.governance.documents.federation import MODEL
from placet.governance.envelope import Signed, inspect
from placet.governance.federation_state import FederationState
from placet.governance.judgements.rounds import SealedUpdate
from placet.sealing import HPKEPrivateKey, StreamKey, open_envelope


def open_update(
    update: Update, sealed: bytes, key: HPKEPrivateKey, terms: Federate
) -> SealedUpdate:
    """The part of an update that came sealed, checked against the update and the terms.

    Raises what `open_envelope` raises for one that was sealed to another key, round, client or
    stream, `UpdateMalformed` for one that is not within the terms, `KeyCommitmentMismatch` for
    another stream's key.
    """
    info = update_info(update.federation, update.round, update.client, update.object)
    found = SealedUpdate.unpack(open_envelope(sealed, key, info), terms)
    stream = StreamKey(found.key)
    try:
        stream.verify_commitment(update.commitment)
    finally:
        stream.wipe()
    return found


def round_keys(
    core: Core, proposal: Signed[Proposal], lease: str, grants: Sequence[str]
) -> RoundKeys:
    """The keys, for a lease, of the newest round, which is closed: of its updates in the log's
    order, and of the model it starts from.

    Raises `DocumentNotFound` or `KeyNotAtHand` for what has to be fetched first.
    """
    federation = core.ledger.state.federation(proposal.digest)
    terms, current = proposal.document.federate, federation.current
    logged = [core.ledger.update(update.digest).document for update in current.updates.values()]
    # All at hand before the first is opened: opening takes longer than looking.
    sealed = [core.life.documents.envelope(update.sealed) for update in logged]
    base = _base(core, federation, terms, grants)
    key = core.store.open_round(proposal.digest, current.number)
    principal = core.ledger.in_force().constitution.principal
    updates = tuple(
        _update_key(
            update, open_update(update, box, key, terms), principal(update.client).organisation
        )
        for update, box in zip(logged, sealed, strict=True)
    )
    return RoundKeys(lease, base, updates)


def _update_key(update: Update, found: SealedUpdate, organisation: str) -> UpdateKey:
    return UpdateKey(
        client=update.client,
        organisation=organisation,
        object=update.object,
        commitment=update.commitment,
        key=key_text(found.key),
        norm=found.norm.hex(),
        scale=found.scale.hex(),
        weight=found.weight,
    )


def _base(
    core: Core, federation: FederationState, terms: Federate, grants: Sequence[str]
) -> BaseKey | None:
    """The newest model; before there is one the initial model, or nothing."""
    if federation.model:
        receipt = core.life.documents.envelope(core.ledger.state.leases[federation.model].receipt)
        descriptor = inspect(receipt, Receipt).predicate.outputs[MODEL]
        key = core.store.open_result(federation.model)
    elif terms.model is not None:
        descriptor, key = terms.model.object, core.store.open_grant(grants[0])
    else:
        return None
    text = key_text(key.to_bytes())
    key.wipe()
    return BaseKey(descriptor, text)
