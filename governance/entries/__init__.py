# SPDX-License-Identifier: Apache-2.0
"""The kinds of entries that a log has, and what each changes: the log is the fold of its entries.

A kind is one row of table.py: its name, the fields that its entries have, and how the state takes
one in. The fields say which of them name documents, so an audit knows what to ask for; how the
audit judges an entry again stands beside the row in `placet.auditing.judges`.

A new kind is its fields and its function here, its row, its judge, and its line in docs/formats.md.
"""
