# SPDX-License-Identifier: Apache-2.0
"""Governance: the documents, the rules and the log that decide what may run. Pure logic: no I/O, no
clock.

    documents/    what people and enclaves sign
    codec, checks, keys, envelope   their form and signatures
    rules/        the kinds of demand
    evaluate      a ticket on paper
    account       what came out
    judgements/   what may come into the log
    ledger        what they judge by
    entries/      the kinds of entry, and what each does to the state
    state         what the log folds to
    log/          Merkle tree, checkpoints, proofs
    privacy       what releases cost, and budgets
    gaussian      the exact trade-off of the Gaussian mechanism

Names are imported from their modules, because whoever imports a package loads all of its face, and
enclaves import this one.
"""
