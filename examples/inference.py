# SPDX-License-Identifier: Apache-2.0
"""The model of the first demo answers two doctors who never see it, and nobody sees what they ask.
One of them asks too much. Then a language model, of real size; and in the middle of it the
patients' council says no.

    python examples/inference.py [--state FOLDER] [--sentences FOLDER]

--sentences: where `make demo-inference` has put the language model. Everything runs on this
machine, in simulation, and is marked as that.
"""

import argparse
import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from demo import begin, console, load_model, propose, share, step, train
from hospitals import running_host
from numpy.typing import NDArray
from rich.table import Table
from serving import diagnosis, traces
from serving.sentences import ANSWER, WIDTH, Sentences
from serving.ward import DECIMALS, DOCTORS, Ward, diagnosis_terms, sentence_terms
from shares import HOSPITALS, load_shares

from placet.auditing.explain_serving import explain_card, explain_serving
from placet.client import Client, Home, Result, ServedModel
from placet.governance.documents import Serve
from placet.refusals import Refused

Array = NDArray[Any]
NOTES = (
    "Short of breath when lying flat, and wakes up gasping.",
    "Cannot sleep without three pillows under her head.",
    "Swollen ankles in the evening, worse in summer.",
    "The wound on the left knee has healed well.",
    "Afraid of the operation, and asks for her sister.",
    "No known allergies; takes aspirin once a day.",
    "Coughs at night since the beginning of March.",
)
QUESTION = "Who has trouble breathing at night?"
NEAREST = {0, 1, 6}  # of the notes
MANY = 256  # sentences in the measured stream
SOME = 100  # answers before the veto


@dataclass
class Scene:
    """Where the host is, who is in it, and what nobody else may ever have seen."""

    folder: Path
    ward: Ward
    client: Client
    homes: dict[str, Home] = field(default_factory=lambda: dict[str, Home]())
    answers: int = 0
    secrets: dict[str, bytes] = field(default_factory=lambda: dict[str, bytes]())

    @contextlib.contextmanager
    def model(self, doctor: str, service: str) -> Generator[ServedModel]:
        """What a doctor does: verify a worker down from the log's key, as themselves."""
        with (
            Client.at_home(
                self.homes[doctor], simulated=True, keys=self.ward.doctors[doctor]
            ) as client,
            client.services.open(service, user=self.ward.doctors[doctor]) as model,
        ):
            yield model

    def keep(self, name: str, array: Array) -> None:
        """Remember how an array begins, to look for it where it must not be."""
        self.secrets[name] = np.ascontiguousarray(array).tobytes()[:64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, help="a new folder to keep everything in")
    parser.add_argument("--sentences", type=Path, default=Path("build/sentences"))
    given = parser.parse_args()
    sentences = Sentences(given.sentences)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="placet-inference-") as temporary:
        folder: Path = given.state or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        secrets = tell(folder, sentences)
        search(folder, secrets)
    console.print(f"\n{time.monotonic() - started:.0f} seconds, everything SIMULATED.")
    print("demo-inference: ok")


def tell(folder: Path, sentences: Sentences) -> dict[str, bytes]:
    """The story; returns what nobody but doctors and enclaves may have seen."""
    ward = Ward(folder)
    with running_host(folder) as (address, pin), ward.connect(address, pin) as client:
        scene = Scene(folder, ward, client)
        result = train_together(scene)
        # Only now is there a charter that the doctors can be told.
        scene.homes = {name: ward.home(name, address, pin) for name in DOCTORS}
        diagnoses(scene, result)
        letters(scene, sentences)
        report = client.log.audit()
        step("10. Anybody can check it afterwards.")
        console.print(
            f"   log replayed: {report.checked} of {report.size} entries judged again; of "
            f"{scene.answers} answers they name users and rows drawn, and nothing else"
        )
        if not report.complete:
            raise RuntimeError("The audit is not complete.")
    return scene.secrets


def train_together(scene: Scene) -> Result:
    """The first four steps of the first demo, as they are there."""
    shares = load_shares()
    begin(scene.client, scene.ward)
    for name in HOSPITALS:
        share(scene.client, scene.ward, name, shares.training[name])
    proposal = propose(scene.client, scene.ward)
    return train(scene.client, scene.ward, proposal, scene.folder)


def diagnoses(scene: Scene, result: Result) -> None:
    """The released model, served to two doctors."""
    released = load_model(result.outputs["model"])
    scene.keep("the released model", released["weights"])
    file = diagnosis.export(released)
    scene.secrets["the ONNX file"] = file[len(file) // 2 :][:64]
    step("5. The university makes an ONNX file of the model, seals it, and proposes to serve it.")
    made = scene.ward.give_model(scene.client, "diagnosis", file, ("health",))
    terms = diagnosis_terms(made, result.receipt.digest)
    for sentence in explain_serving(terms):
        if sentence not in explain_card(terms.card):  # that comes later
            console.print(f"   {sentence}")
    service = start(scene, terms, "Two doctors are to try the model on their patients.")
    step("6. ada verifies the worker, is shown the model's card, and asks.")
    judging = load_shares().judging
    patients = judging[:, :-1].astype(np.float32)
    scene.keep("measurements of patients", patients)
    with scene.model("ada", service) as model:
        show_card(scene, model)
        answers = cast("dict[str, Array]", model.predict(patients))
    scene.keep("probabilities of patients", answers[diagnosis.PROBABILITIES])
    agree(answers, diagnosis.probabilities(released, patients))
    scene.answers += len(patients)
    right = (answers[diagnosis.LABEL] == judging[:, -1]).mean()
    console.print(
        f"   ada: {len(patients)} patients whom no training has seen, {right:.1%} right; "
        f"as the model says in the clear, to {DECIMALS} decimals"
    )
    overdraw(scene, service, patients, terms)


def overdraw(scene: Scene, service: str, patients: Array, terms: Serve) -> None:
    """The other doctor goes on asking until nothing is left."""
    step(
        f"7. ben verifies it too. Each of them may have {terms.rations.user} answers, and he asks "
        "for more."
    )
    answered = 0
    with scene.model("ben", service) as model:
        show_worker(model)
        try:
            while answered <= terms.rations.user:
                answered += len(cast("dict[str, Array]", model.predict(patients[:16]))["label"])
        except Refused as refusal:
            console.print(f"   {answered} patients answered, 16 at a time; then")
            expect(refusal, "ANSWERS_USED_UP")
            scene.answers += answered
            return
    raise RuntimeError(f"{answered} rows were answered, of {terms.rations.user}.")


def letters(scene: Scene, sentences: Sentences) -> None:
    """A language model: found in what doctors write, stopped by those about whom they write."""
    step(
        "8. A language model of 23 MB is served; the doctors' words become numbers at home, and "
        "vectors in the enclave."
    )
    made = scene.ward.give_model(scene.client, "sentences", sentences.model(), ())
    service = start(scene, sentence_terms(made), "To find notes by what they mean.")
    with scene.model("ada", service) as model:
        near(scene, model, sentences)
        tokens = sentences.tokens([NOTES[i % len(NOTES)] for i in range(MANY)])
        began = time.monotonic()
        model.predict(tokens)
        rate = MANY / (time.monotonic() - began)
        console.print(f"   {MANY} sentences through the host: {rate:.0f} answers a second")
        scene.answers += MANY
        veto(scene, model, service, tokens)


def near(scene: Scene, model: ServedModel, sentences: Sentences) -> None:
    """Which notes are nearest to a question, by the cosine: vectors have length 1."""
    tokens = sentences.tokens([QUESTION, *NOTES])
    vectors = cast("Array", model.predict(tokens))
    if vectors.shape != (1 + len(NOTES), WIDTH):
        raise RuntimeError(f"The answer {ANSWER} has the shape {vectors.shape}.")
    scene.secrets["the text of a note"] = NOTES[0].encode()
    scene.keep("the tokens of a note", tokens["input_ids"][1])
    scene.keep("the vector of a note", vectors[1])
    scene.answers += len(vectors)
    cosines = vectors[1:] @ vectors[0]
    order: list[int] = np.argsort(-cosines).tolist()
    table = Table(QUESTION, "cosine")
    for place in order:
        table.add_row(NOTES[place], f"{cosines[place]:.2f}")
    console.print(table)
    if set(order[: len(NEAREST)]) != NEAREST:
        raise RuntimeError("The nearest notes are not those about breathing and the night.")


def veto(scene: Scene, model: ServedModel, service: str, tokens: Mapping[str, Array]) -> None:
    """A seat with a veto ends it while questions are under way."""
    step("9. While a stream of questions runs, the patients' council says non placet.")
    some = threading.Event()
    ended: list[tuple[float, Refused]] = []
    answered = 0

    def progress(rows: int, _: int) -> None:
        nonlocal answered
        answered = rows
        if rows >= SOME:
            some.set()

    def ask() -> None:
        longer = {name: np.tile(array, (40, 1)) for name, array in tokens.items()}
        try:
            model.predict(longer, progress=progress)
        except Refused as refusal:
            ended.append((time.monotonic(), refusal))

    asking = threading.Thread(target=ask)
    asking.start()
    if not some.wait(60):
        raise RuntimeError("The stream has no answers.")
    said = time.monotonic()
    patients = scene.ward.seats["patients"]
    scene.client.council.stop(patients, "veto", service, reason="These notes are about us.")
    recorded = time.monotonic()
    asking.join()
    if not ended:
        raise RuntimeError("The stream was answered to its end.")
    at, refusal = ended[0]
    console.print(f"   {answered} answers; then")
    expect(refusal, "VETOED")
    console.print(
        f"   refused {at - said:.2f} s after the veto was sent, which was in the log after "
        f"{recorded - said:.2f} s"
    )
    scene.answers += answered


def start(scene: Scene, terms: Serve, reason: str) -> str:
    """Propose a service, have it voted for, and wait until a worker is ready; the service's id."""
    service = scene.ward.propose_service(scene.client, terms, reason)
    began = time.monotonic()
    scene.client.runs.start(scene.client.council.ticket(service), workers=1)
    for status in scene.client.runs.watch(service):
        if status.ended:
            raise status.refusal or RuntimeError(f"The service is {status.state}.")
        if status.settled:
            break
    console.print(
        f"   approved, and served by one worker: ready after {time.monotonic() - began:.1f} s"
    )
    return service


def show_card(scene: Scene, model: ServedModel) -> None:
    """What a user is shown before the first question."""
    show_worker(model)
    for sentence in explain_card(model.card):
        console.print(f"   {sentence}")
    origin = scene.client.services.origin(model.terms)
    if origin is None:
        raise RuntimeError("The card names no receipt.")
    said = origin.receipt.receipt.predicate
    console.print(
        f"   that receipt, verified: trained on {', '.join(said.inputs)}; approved by "
        f"{', '.join(said.approved_by)}"
    )
    if not origin.output:
        console.print(
            "   the file is not what that job released, byte for byte: that it was made from it is "
            "its owner's word"
        )


def show_worker(model: ServedModel) -> None:
    """What was verified of whom a user asks."""
    worker = model.worker
    console.print(
        f"   worker verified: {len(worker.checks)} checks hold, launched for this proposal and no "
        "other" + (" (SIMULATED)" if worker.simulated else "")
    )


def agree(answers: Mapping[str, Array], clear: Array) -> None:
    """Sealed answers are those of the model in the clear, but for what the terms round away."""
    apart = np.abs(answers[diagnosis.PROBABILITIES] - clear).max()
    if apart > 0.5 * 10**-DECIMALS + 1e-5:
        raise RuntimeError(f"The answers are {apart} from the model's.")
    if not np.array_equal(answers[diagnosis.LABEL], clear.argmax(axis=1)):
        raise RuntimeError("The labels are not the model's.")


def expect(refusal: Refused, reason: str) -> None:
    """Show a refusal, which has to be for this reason."""
    if refusal.reason != reason:
        raise RuntimeError(f"Refused for {refusal.reason}, not {reason}.") from refusal
    console.print(f"   [red]{refusal.reason}[/red] {refusal}")


def search(folder: Path, secrets: Mapping[str, bytes]) -> None:
    """Nothing of all that lies with the host; but the search finds what it has to have."""
    host = folder / "host"
    if hits := traces.found(host, secrets):
        raise RuntimeError(f"The host keeps {', '.join(hits)}.")
    planted = host / "tmp" / "planted"
    for name, secret in secrets.items():
        for form in traces.forms(secret):
            planted.write_bytes(os.urandom(999) + form + os.urandom(77))
            if f"{name} in planted" not in traces.found(planted.parent, {name: secret}):
                raise RuntimeError(f"The search does not find {name}.")
    planted.unlink()
    sizes = [path.stat().st_size for path in host.rglob("*") if path.is_file()]
    console.print(
        f"   nothing of {', '.join(secrets)} is in what the host keeps: {len(sizes)} files, "
        f"{sum(sizes) / 1e6:.0f} MB, the log and the logs among them"
    )


if __name__ == "__main__":
    main()
