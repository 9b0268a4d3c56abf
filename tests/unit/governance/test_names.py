# SPDX-License-Identifier: Apache-2.0
"""What importing governance loads."""

import subprocess
import sys


def test_the_codec_loads_what_it_uses_and_no_more() -> None:
    code = (
        "import sys, placet.governance.codec\n"
        "print(*sorted(name for name in sys.modules if name.startswith('placet.governance.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    used = ("codec", "text")
    assert done.stdout.split() == [f"placet.governance.{name}" for name in used]
