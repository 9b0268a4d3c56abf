# SPDX-License-Identifier: Apache-2.0
"""Auditing: what relying parties make of governance, and no enclave loads. Pure logic, as
governance is: no I/O, no clock.

    audit         a whole log judged again; entry_form: the form of its entries
    consistency   does a log extend what was seen of it
    explain       documents, rules and refusals as sentences
    grants        what has become of grants; inbox: what waits for whom
    timeline      the entries of a log as sentences, which told.py writes
    differences   what one constitution changes of another; powers: who can do what alone
    tiles         a log as the files that others read
"""
