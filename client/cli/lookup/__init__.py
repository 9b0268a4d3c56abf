# SPDX-License-Identifier: Apache-2.0
"""What the log says, looked up: grants, what waits for somebody, and who did what. All of it comes
from the log that this client has verified and replayed."""
