# SPDX-License-Identifier: Apache-2.0
"""Answering questions with a model: loading, batching, what is shown of an answer."""
