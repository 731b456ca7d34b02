"""Execute the notebooks from a clean kernel in an empty folder, and store them with what they gave.

python notebooks/refresh.py                    all of them
python notebooks/refresh.py one_round_by_hand  one, or several
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
SECONDS = 600  # longest that one cell may take


def executed(path: Path, folder: Path) -> nbformat.NotebookNode:
    """The notebook as it is after a run of all its cells, in order, in a kernel of its own that works in `folder`.

    Raises:
        nbclient.exceptions.CellExecutionError: when a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.metadata.clear()
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",  # sums in one order, so that the next refresh finds nothing to change
        "IPYTHONDIR": str(folder / ".ipython"),  # no history, and nobody's start-up files
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # a word of the debugger's about frozen modules
        "PYTHONWARNINGS": "ignore:IProgress not found",  # progress bars are off
    }
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        startup_timeout=SECONDS,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env=environment)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = nbformat.from_dict({"kernelspec": kernel, "language_info": {"name": "python"}})
    return notebook


def main(names: list[str]) -> None:
    """Refresh the named notebooks, or all."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        if names and path.stem not in names:
            continue
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            notebook = executed(path, Path(folder))
        nbformat.write(notebook, path)
        print(f"{path.name}: {time.monotonic() - start:.0f} s, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
