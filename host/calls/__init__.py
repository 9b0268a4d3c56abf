# SPDX-License-Identifier: Apache-2.0
"""The calls of the contract: server, services, interceptor, refusals, TLS."""
