# SPDX-License-Identifier: Apache-2.0
"""Federated training: a state of NumPy arrays goes in at home, a sealed update comes out.

    keys = Keys.load(Path("hospital-a.key"))
    with Client.at_home(Home.default()) as client:
        # Proposal, ballots, roster and evidence are verified.
        federation = client.federations.join(id, keys)
        for round in federation.rounds():                # waits for each; ends with the federation
            state = round.model()                        # float32 arrays by name, receipt verified
            trained, examples = train(state)
            round.send(trained, weight=examples)         # clipped, sealed, sent; its receipt

The difference to the round's model leaves, clipped to the bound that the council decided
on, encoded, and sealed to a key that the authority made for this round. Nothing that is not finite,
and no array that the layout does not name, leaves at all. The parts are here too, for who wants to
do it in another way:

    vectors     a state as one vector, and back
    encoding    clipping, encodings, the norm that is declared
    updates     sealing, and keeping until it is in
    receipts    proof that the log has an update
    rounds      waiting, fetching, sending
    models      a round's model, verified
    adapters    PyTorch and files
"""

from placet.client.federations.adapters import (
    from_safetensors,
    from_torch,
    layout_of,
    layout_of_file,
    load_state,
    save_state,
    to_safetensors,
    to_torch,
)
from placet.client.federations.encoding import (
    Encoded,
    add_noise,
    clip,
    decode,
    encode,
    norm_above,
)
from placet.client.federations.models import RoundModel
from placet.client.federations.receipts import UpdateReceipt, VerifiedUpdate
from placet.client.federations.rounds import AsyncFederation, AsyncRound
from placet.client.federations.updates import Bound, OpenRound, Pending, make_update
from placet.client.federations.vectors import State, Vector, flatten, unflatten

__all__ = [
    "AsyncFederation",
    "AsyncRound",
    "Bound",
    "Encoded",
    "OpenRound",
    "Pending",
    "RoundModel",
    "State",
    "UpdateReceipt",
    "Vector",
    "VerifiedUpdate",
    "add_noise",
    "clip",
    "decode",
    "encode",
    "flatten",
    "from_safetensors",
    "from_torch",
    "layout_of",
    "layout_of_file",
    "load_state",
    "make_update",
    "norm_above",
    "save_state",
    "to_safetensors",
    "to_torch",
    "unflatten",
]
