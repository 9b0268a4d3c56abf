# SPDX-License-Identifier: Apache-2.0
"""`python -m placet.client` is the `placet` command."""

from placet.client.cli import main

if __name__ == "__main__":
    main()
