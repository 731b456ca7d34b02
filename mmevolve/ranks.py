"""The processes of one run. The first writes; those a trainer started for its other devices work along and wait.

With plain `ddp` a trainer starts the same command again for every further device. Such a process goes through the same
recipe: it reads what is finished, takes its share of training and of spread stages, and where the first process writes
a table or a checkpoint it waits for it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

NAMES = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "NODE_RANK")  # where launchers say which process this is
PAUSE = 0.02  # seconds between two looks


def helps() -> bool:
    """Whether this process is not the first of its run."""
    return any(os.environ.get(name, "0") not in ("0", "") for name in NAMES)


def wait_for(path: Path) -> None:
    """Return when the first process has put the path there.

    Raises:
        ChildProcessError: when the process that started this one is gone.
    """
    parent = os.getppid()
    while not path.exists():
        if os.getppid() != parent:
            raise ChildProcessError(f"the first process of the run ended before it wrote {path}")
        time.sleep(PAUSE)
