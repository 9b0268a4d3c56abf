# SPDX-License-Identifier: Apache-2.0
"""The trusted part: authority and worker, the programs' interface, and the C kernel. Everything
here is measured."""
