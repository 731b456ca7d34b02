"""Where evidence is written: one section a study in `eval/results.md`, replaced when the study runs again."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import torch

RESULTS = Path("eval/results.md")


def record(title: str, lines: Sequence[str], *, command: str, path: Path = RESULTS) -> None:
    """Write or replace the section `title`, with the command, the commit, the machine and the day."""
    said = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    commit = said.stdout.strip() or "unknown"
    where = f"commit {commit}, {os.cpu_count()} cores {platform.machine()}, torch {torch.__version__}"
    section = "\n".join([f"## {title}", "", f"`{command}` ({where}, {date.today()})", "", *lines, ""])
    text = path.read_text() if path.exists() else "# Results\n\nFigures as the scripts printed them; failures too.\n"
    old = re.search(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    text = text.replace(old.group(0), section + "\n") if old else f"{text.rstrip()}\n\n{section}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.rstrip() + "\n")
