"""One command of ``quatrefoil bench all`` in a process of its own: ``python -m quatrefoil.cli.bench_child PARENT ...``.

It is interrupted when the process PARENT ends, however that is, and then stops what it has started itself: a run that
is killed leaves nothing behind that would disturb the next one."""

from __future__ import annotations

import signal
import sys

from quatrefoil.cli import main
from quatrefoil.secrecy import ends_with_its_parent

if __name__ == "__main__":
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored, where a shell started all this in the background
    ends_with_its_parent(int(sys.argv[1]), signal.SIGINT)
    sys.exit(main(sys.argv[2:]))
