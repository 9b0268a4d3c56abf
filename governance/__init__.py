# SPDX-License-Identifier: Apache-2.0
"""Governance: the documents, the rules and the log that decide what may run. Pure logic: no I/O, no
clock.

    documents/    what people and enclaves sign                 codec, checks, keys, envelope: their form and signatures
    evaluate      a ticket on paper                             account: what came out
    admission     what people bring into the log                grants, leasing: what the authority does on it
    state         what the log folds to                         ledger: state, tree and documents together
    privacy       what releases cost, and budgets               gaussian: the exact trade-off of the Gaussian mechanism
    log/          Merkle tree, checkpoints, proofs

Names are imported from their modules, because whoever imports a package loads all of its face, and
enclaves import this one.
"""
