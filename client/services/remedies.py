# SPDX-License-Identifier: Apache-2.0
"""What to do about a model that a worker refuses, for its owner, who has the file."""

from collections.abc import Mapping, Sequence

from placet.governance.documents.serving import MAX_QUESTION
from placet.governance.documents.work.serve import Serve

_ZIPMAP = (
    "scikit-learn's converter writes probabilities as a list of maps. Convert it with "
    'skl2onnx.to_onnx(model, rows, options={"zipmap": False}).'
)
_STRINGS = (
    "Text is not served. Turn it into numbers before the model, or leave this output out of "
    "[answers]."
)
_KINDS = {
    "seq(": _ZIPMAP,
    "map(": _ZIPMAP,
    "tensor(string)": _STRINGS,
    "optional(": "Export it without optional values: with a tensor that is always there.",
    "sparse_tensor(": "Export it with dense tensors.",
}
_CAST = (
    "Let the model cast it to float32 at its edge: a Cast after the input, or before the output."
)
_EXTERNAL = (
    "Write it into one file: onnx.save(onnx.load('model.onnx'), 'one-file.onnx'), for models up to "
    "2 GB."
)
_RUNTIMES = (
    "These operators are the runtime's own, as its optimiser and some quantisers write them. Serve "
    "the file from before that, or quantise it in the QDQ format."
)
_CUSTOM = "Export it with the operators of ONNX alone, or with local functions made of them."
_OPSET = (
    "Export it with an older opset: opset_version=17 in torch.onnx.export, target_opset=17 in "
    "skl2onnx."
)
_SAMPLE = (
    "No numbers that were made up suit it. Give it a sample in the terms, for each input that "
    "needs one: [samples] NAME = { shape = [1, 3], values = [0.5] }."
)
_WHOLE = "Check that the file is whole, and that it is ONNX."


def remedy_for(details: Mapping[str, str], notes: Sequence[str], terms: Serve) -> str:
    """What to do, in a sentence or two; "" where the refusal itself says it all."""
    claim, actual = details.get("claim", ""), details.get("actual", "")
    said = " ".join(notes)
    if claim.startswith(("inputs.", "outputs.")):
        return next((told for kind, told in _KINDS.items() if actual.startswith(kind)), _CAST)
    if claim.startswith("largest_question"):
        return _larger(details.get("expected", ""), terms)
    if claim in ("largest_request", "rations"):
        names = "largest_request" if claim == "largest_request" else "tranche and minute of rations"
        return f"Raise {names}: a question of this model has so many rows at least."
    if claim == "file":
        return _OPSET if "opset" in said.lower() or "ir_version" in said.lower() else _WHOLE
    known = {
        "operators": _RUNTIMES if "'com.m" in said else _CUSTOM,
        "external data": _EXTERNAL,
        "model": _SAMPLE,
    }
    return known.get(claim, "")


def _larger(expected: str, terms: Serve) -> str:
    needed = int("".join(filter(str.isdigit, expected)) or 0)
    if needed > MAX_QUESTION:
        return (
            f"No question or answer may have more than {MAX_QUESTION} bytes. Give the model "
            "smaller inputs, such as uint8 in place of float32, or let it answer less."
        )
    return f"Say largest_question = {needed} or more in the terms; it is {terms.largest_question}."
