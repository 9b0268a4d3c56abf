# SPDX-License-Identifier: Apache-2.0
"""Asking a served model: a question of NumPy arrays goes in sealed, an answer comes out, and nobody
between sees either.

    keys = Keys.load(Path("clinic.key"))                 # or Token.load(Path("clinic.token"))
    with Client.at_home(Home.default()) as client:
        # The worker is verified down from the log's key.
        with client.services.open(service, user=keys) as model:
            print(model.card.title, model.inputs)
            answers = model.predict(rows)                # an array, or a dict of several by name

The parts are here too:

    chain       which worker this is: every step of its verification
    users       as whom one asks; tokens
    arrays      arrays as questions, and back
    asking      sessions, renewal, and questions that are asked again
    stream      many questions under way
    predicting  many rows as many questions
    files       rows in CSV, NPY, NPZ and JSON
"""

from placet.client.services.arrays import Array, Arrays
from placet.client.services.chain import ServedWorker
from placet.client.services.users import Token

__all__ = ["Array", "Arrays", "ServedWorker", "Token"]
