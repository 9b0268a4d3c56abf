# SPDX-License-Identifier: Apache-2.0
"""What an operator sees: metrics and who may scrape them, health, and what is not ready."""
