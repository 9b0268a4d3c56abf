# SPDX-License-Identifier: Apache-2.0
"""Commented templates that `placet init` writes. Each is a complete file; what has to be replaced
is in capitals."""

from collections.abc import Mapping
from string import Template

# The signer of every simulated enclave (placet.attestation.SIMULATION_SIGNER) is filled in, and the
# measurements of the builds that were named; of none that was not, because nobody has chosen it.
_CONSTITUTION = Template("""\
# A council's constitution. Every field is needed; what is to be unrestricted says "any".
# Times are ISO 8601 with an offset. Keys are texts (ed25519:..., p256:...) or the .pub.json files
# of `placet keygen`.
name = "EXAMPLE COUNCIL"
# The labels that data may carry; rules refer to them.
labels = ["health"]
# Neither witnesses nor recovery are built into this version.
witnesses = "none"
recovery = "none"

[[organisations]]
id = "hospital-a"
name = "Hospital A"

[[organisations]]
id = "hospital-b"
name = "Hospital B"

# Seats vote. Several keys may act for a seat; it has one vote.
[[seats]]
id = "alice"
organisation = "hospital-a"
role = "member"
keys = ["alice.pub.json"]
term_start = 2026-01-01T00:00:00Z
term_end = 2036-01-01T00:00:00Z

[[seats]]
id = "bob"
organisation = "hospital-b"
role = "data-protection"
keys = ["bob.pub.json"]
term_start = 2026-01-01T00:00:00Z
term_end = 2036-01-01T00:00:00Z

# Parties own data or submit jobs, and do not vote.
[[parties]]
id = "analyst"
organisation = "hospital-a"
keys = ["analyst.pub.json"]

# Every rule that applies must hold; where none applies, all is refused. A rule always demands
# approvals, organisations, a lifetime and uses, and what else the council wants, such as:
#   { demand = "independence", of = "submitter" }  no approval of its organisation counts; or "owner"
#   { demand = "rationale" }                       each approval gives its reasons
[[rules]]
id = "research"
title = "Research on health data"
demands = [
  { demand = "approvals", at_least = 2 },                      # seats that say placet
  { demand = "organisations", at_least = 2 },                  # that these seats are of
  { demand = "role", role = "data-protection", at_least = 1 }, # among these seats
  { demand = "veto", role = "data-protection" },               # any one seat of it stops the ticket
  { demand = "lifetime", seconds = 2592000 },                  # longest window of a ticket
  { demand = "uses", at_most = 15 },  # of a proposal; a federation uses one a round
]
[rules.when]
actions = ["job", "federate"]
purposes = ["research"]
labels = ["health"]

[[rules]]
id = "amend"
title = "Changes of this constitution"
demands = [
  { demand = "approvals", at_least = 2 },
  { demand = "organisations", at_least = 2 },
  { demand = "lifetime", seconds = 2592000 },
  { demand = "uses", at_most = 1 },
]
[rules.when]
actions = ["amend"]
purposes = "any"
labels = "any"

# Which enclaves are wanted, by role: the measurements of builds that the council has chosen, each
# below the name of its build. `placet measure --enclave BUILD` prints both; BUILD is the folder
# that `make enclave` made, or "release".
[evidence.authority]
kinds = ["simulation"]      # on real data: ["sgx"]
measurements = [
$authority
]
signers = ["$signer"]
product = "any"             # SGX: the product id of the enclave
bound_to = "any"            # "none" or digests: what it must have been launched for
platforms = "any"           # on real data list machines, as `placet verify evidence` shows them
smt = "any"                 # false: no hyper-threading; simulation does not say
dynamic_platform = "any"    # false: no machine of several processors, and nearly all servers are
tcb_statuses = ["UpToDate"]
advisories = "none"
min_svn = "any"
min_snp_tcb = "any"         # SNP: the least of each: fmc.bootloader.tee.snp.microcode
snp_bits_required = "none"  # SNP: what has to be set, such as "platform.ciphertext_hiding"
snp_bits_allowed = "known"  # what else may be: a list, or "any", also of a later firmware
min_tcb_evaluation = "any"
max_collateral_age_seconds = 2592000

[evidence.worker]
kinds = ["simulation"]
# The worker of jobs and rounds, and the one that serves models, worker[onnx]; take out what the
# council does not want.
measurements = [
$workers
]
signers = ["$signer"]
product = "any"
bound_to = "any"
platforms = "any"
smt = "any"
dynamic_platform = "any"
tcb_statuses = ["UpToDate"]
advisories = "none"
min_svn = "any"
min_snp_tcb = "any"
snp_bits_required = "none"
snp_bits_allowed = "known"
min_tcb_evaluation = "any"
max_collateral_age_seconds = 2592000

[limits]
lease_seconds = 300         # how long a job goes on before the authority must let it go on
join_seconds = 3600         # how long a worker may wait for its lease
""")

_JOB = """\
# A job that the council is asked to let run: `placet propose job.toml`.
action = "job"
# A folder with main.py, which has `def main(job)`; or one Python file. Its bytes are pinned by the
# proposal.
program = "program"
purpose = "research"
reason = \"\"\"
WHY THE COUNCIL SHOULD LET THIS HAPPEN, IN PLAIN WORDS.
\"\"\"
# From when and until when it may run: not_before (else: now) and not_after, or:
valid_for_seconds = 604800
# How many jobs may be submitted under it, how often each may be tried again, and how long each may
# take.
uses = 1
attempts = 2
deadline_seconds = 3600
# What a use costs each owner, if the program's author vouches for it. Without, it costs without
# bound, and only grants that say privacy = "any" let it through.
# privacy = { epsilon = "0.5", delta = "1e-7" }

# What it opens: the .object.json that `placet seal` wrote, and the principal whose grant it takes.
[inputs.train]
object = "train.object.json"
owner = "hospital-a"

# Text, whole numbers, true and false.
[parameters]
epochs = 5

# What it has to write. Outputs are padded to this size, so that their length tells nothing.
[outputs.model]
max_bytes = 1048576

# Who may open the outputs: a name, and an HPKE key as text or in a .pub.json file.
[[recipients]]
id = "analyst"
key = "analyst.pub.json"
"""

_FEDERATION = """\
# A federation that the council is asked to let happen: `placet propose federation.toml`.
action = "federate"
purpose = "research"
reason = \"\"\"
WHY THE COUNCIL SHOULD LET THIS HAPPEN, IN PLAIN WORDS.
\"\"\"
# From when and until when rounds may be held: not_before (else: now) and not_after, or:
valid_for_seconds = 604800

# Who may send updates: ids of seats or parties (not of organisations) that the constitution lists,
# each with a key; and the labels of the data they train on. A rule of the constitution has to name
# the action "federate".
roster = ["hospital-a", "hospital-b", "hospital-c"]
labels = ["health"]
rounds = 15
# Organisations whose updates must count, or nothing is released. Against clients that collude only
# noise protects.
smallest_cohort = 3
# A round is closed when everybody has sent, or after this time.
round_seconds = 3600

# Numbers that may be broken are text: "1", "0.5", "1e-3".
clip = "1"                   # bound of an update's length (L2 norm)
noise = "none"               # or the standard deviation of the noise, in units of clip: "1.1"
rule = "mean"                # or "median"; or { rule = "trimmed-mean", trimmed_percent = 10 },
                             # { rule = "krum", byzantine = 1, selected = 3 }
largest_weight = 10000       # the most that an update may count for; 1 with noise and for every
                             # rule but mean; then clients join with --weight 1
rate = "1"                   # what the aggregate is multiplied by before it is added to the model
quarantine_rounds = 2        # rounds that a client sits out after an update that broke these terms

# How often the aggregation of a round may be tried, and how long it may take.
attempts = 2
deadline_seconds = 600

# The model's arrays. `like` takes names and shapes from a .safetensors or .npz file; or list them
# as [[layout.tensors]] with name and shape.
[layout]
like = "model.safetensors"
encoding = "float32"         # of an update: float32, float16, bfloat16, int8
segment_bytes = 65536

# The initial model, sealed and granted like data: `placet federation vector model.safetensors`
# writes its plaintext. Without this table the first round starts from zeros.
# [model]
# object = "model.object.json"
# owner = "hospital-a"
"""

_SERVE = """\
# A model that the council is asked to let serve: `placet propose serve.toml`. It takes a rule of
# the constitution that names the action serve and this purpose, and allows so long a window and so
# many uses; `placet init` writes none.
action = "serve"
purpose = "care"
reason = \"\"\"
WHY THE COUNCIL SHOULD LET THIS HAPPEN, IN PLAIN WORDS.
\"\"\"
# From when and until when it may serve: not_before (else: now) and not_after, or:
valid_for_seconds = 2592000
# From then on it goes on only by votes that have not expired: review, a date, or:
review_after_seconds = 1296000
# How many workers there may ever be, and how long each of them serves. Numbers may be left out
# where they are the usual ones.
uses = 100
deadline_seconds = 604800

# Rows of one question; whether rows of several users are run together ("shared") or not ("apart");
# how many at most.
largest_request = 1024
batch = "shared"
batch_rows = 64
not_finite = "refuse"        # questions with NaN or infinities; or "accept"
# What all answers together cost the owner's ledger, if somebody vouches for it. Without, it has no
# bound from then on.
# privacy = { epsilon = "0.5", delta = "1e-7" }

# The sealed ONNX file: the .object.json that `placet seal` wrote, and the principal whose grant it
# takes.
[model]
object = "model.object.json"
owner = "hospital-a"

# What users are shown before they first ask.
[card]
title = "WHAT THE MODEL IS FOR"
labels = ["health"]          # of the data that it was trained on
# receipt = "receipt.json"   # of the job that made it, or the receipt's digest
# privacy = { epsilon = "3", delta = "1e-6" }   # what its training cost the people in that data
# retire_by = 2027-12-31T00:00:00Z  # else: when the window closes; or retire_by_after_seconds

# Who may ask: { who = "roster", users = [...] }, { who = "organisations", organisations = [...] },
# or tokens, each by a name and the digest that `placet token new` prints.
[users]
who = "roster"
users = ["analyst"]

# Rows that are answered: to each user, in total, to a user in a minute; a worker holds a tranche of
# a user's at a time.
[rations]
user = 10000
total = 100000
minute = 600
tranche = 1000

# By output of the model, what users see of it: "raw", "top-class", or { show = "rounded", decimals
# = 2 }. Others are not computed. The names are those of the file's outputs. "top-class" is for the
# output with a number of each class, not for one of labels.
[answers]
probabilities = "top-class"
"""

_GRANT = """\
# Under which terms the authority may use the key of one object: `placet grant grant.toml`.
# Every field is a bound, or the word "any".
object = "train.object.json"
purposes = ["research"]
# Digests of bundles, or folders and files to take the digest of.
programs = ["program"]
# Who may get outputs: HPKE keys as text or in .pub.json files.
recipients = ["analyst.pub.json"]
# Principals whose data may be in the same job; an empty list allows nobody's, "any" everybody's.
combine_with = "any"
witnesses = "any"            # or "demanded"
approvals = []               # seats that must have said placet, whatever the rules say
# What all jobs on any of your data may come to, this one included: "any"; "none" for no job that
# costs privacy; or { epsilon = "3", delta = "1e-6" }, which lets no job through without privacy
# terms.
privacy = "any"
uses = 3
expires = 2027-12-31T00:00:00Z
recoverable = false
# "constitution": the evidence policies in force when the grant is signed; or tables as in
# constitution.toml.
evidence = "constitution"

# For each parameter its value or its range; a job may have no other. Or above the tables:
# parameters = "any".
[parameters]
epochs = { low = 1, high = 50 }
"""


def constitution_template(builds: Mapping[str, Mapping[str, str]], signer: str) -> str:
    """constitution.toml with the measurements of builds, by name and enclave.

    Without a build they are left to be filled in.
    """
    return _CONSTITUTION.substitute(
        authority=_measurements(builds, "authority"),
        workers=_measurements(builds, "worker"),
        signer=signer,
    )


def _measurements(builds: Mapping[str, Mapping[str, str]], role: str) -> str:
    """The lines of a role: each measurement below the names of its enclave and its build."""
    if not builds:
        return f'  "MEASUREMENT OF THE {role.upper()} OF A BUILD"'
    return "\n".join(
        f'  # {enclave}: {name}\n  "{measurement}",'
        for name, enclaves in builds.items()
        for enclave, measurement in enclaves.items()
        if enclave.partition("[")[0] == role
    )


def job_template() -> str:
    """job.toml."""
    return _JOB


def federation_template() -> str:
    """federation.toml."""
    return _FEDERATION


def serve_template() -> str:
    """serve.toml."""
    return _SERVE


def grant_template() -> str:
    """grant.toml."""
    return _GRANT
