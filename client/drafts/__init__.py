# SPDX-License-Identifier: Apache-2.0
"""What a council is asked for, as TOML, and the templates of these files."""
