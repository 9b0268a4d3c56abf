# SPDX-License-Identifier: Apache-2.0
"""A processor made of software: real DCAP quotes under a root whose key is published.

service     stands for the processor        quote      what it signs for an enclave
platform    the machine and its collateral  pki, root  certificates, from the root down
"""
