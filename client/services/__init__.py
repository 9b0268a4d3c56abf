# SPDX-License-Identifier: Apache-2.0
"""Asking a served model: a question of NumPy arrays goes in sealed, an answer comes out, and nobody
between sees either.

    keys = Keys.load(Path("clinic.key"))                 # or Token.load(Path("clinic.token"))
    with Model(Home.default(), service, user=keys) as model:      # the worker is verified down from the log's key
        print(model.card.title, model.inputs)
        answers = model.predict(rows)                    # array in, array out; of several inputs or outputs: dicts

The parts are here too:

    chain       which worker this is: every step of its verification      users     as whom one asks; tokens
    arrays      arrays as questions, and back                            asking    sessions, renewal, what is asked again
    stream      many questions under way                                 predicting  many rows as many questions
    drafts      what the council is asked for, as TOML                   files     rows in CSV, NPY, NPZ and JSON
    status      what the host tells of a service
"""

from placet.client.services.arrays import Array, Arrays
from placet.client.services.chain import ServedWorker
from placet.client.services.status import ServiceStatus
from placet.client.services.users import Token

__all__ = ["Array", "Arrays", "ServedWorker", "ServiceStatus", "Token"]
