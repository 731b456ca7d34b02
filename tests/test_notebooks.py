"""Each notebook runs from a clean kernel in an empty folder, and gives what its prose says; what is stored is clean."""

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NAMES = ("one_round_by_hand", "reading_a_run", "your_own_part", "comparing_methods", "your_own_data_and_vlm")
LARGEST = 300_000  # bytes
each = pytest.mark.parametrize("name", NAMES)


def executed(name, folder):
    spec = importlib.util.spec_from_file_location("refresh", FOLDER / "refresh.py")
    refresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(refresh)
    return refresh.executed(FOLDER / f"{name}.ipynb", folder)


def outputs(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def printed(notebook):
    return "".join(output.text for output in outputs(notebook) if output.output_type == "stream")


def pictures(notebook):
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


def number(pattern, text):
    found = re.search(pattern, text)
    assert found, f"{pattern!r} is not in:\n{text}"
    return float(found[1])


def stderr(notebook):
    return [output.text for output in outputs(notebook) if output.get("name") == "stderr"]


def test_there_is_a_test_for_every_notebook():
    assert {p.stem for p in FOLDER.glob("*.ipynb")} == set(NAMES)


@each
def test_a_stored_notebook_has_clean_outputs_of_all_its_cells(name):
    file = FOLDER / f"{name}.ipynb"
    text = file.read_text()
    assert len(text) < LARGEST
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert stderr(notebook) == []
    assert [o for o in outputs(notebook) if o.output_type == "error"] == []
    assert [noise for noise in ("%|", "/home/", "/root/", "/tmp/", "/work/", "it/s]") if noise in text] == []
    assert printed(notebook) and (name == "your_own_part" or pictures(notebook))


@each
def test_a_link_of_a_notebook_leads_somewhere(name):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", prose) + re.findall(r"`(\w+\.ipynb)`", prose)
    assert [link for link in links if not (FOLDER / link).exists()] == []


def test_one_round_by_hand(tmp_path):
    done = executed("one_round_by_hand", tmp_path)
    text = printed(done)
    assert stderr(done) == [] and pictures(done) == 1
    kinds = ("", ", every step true", ", some step not true")
    right, all_true, lucky = (number(rf"right answer{kind} +(\d+)", text) for kind in kinds)
    assert right == all_true + lucky and lucky > 0
    assert number(r"right before: ([\d.]+)%", text) > 40
    assert number(r"95 % interval \+([\d.]+) to", text) > 0  # the gain: its whole interval is above zero
    assert "the policy is now mmevolve:tiny_vlm@evolve/round=000" in text
    assert (tmp_path / "runs/by_hand/evolve/round=000/checkpoint/trained.safetensors").is_file()


def test_reading_a_run(tmp_path):
    done = executed("reading_a_run", tmp_path)
    text = printed(done)
    assert stderr(done) == [] and pictures(done) == 2
    assert number(r"recall +([\d.]+)", text) > 0.5 and number(r"precision +([\d.]+)", text) > 0.8
    assert number(r"first choice +(\d+)%", text) > number(r"at random +(\d+)%", text)
    assert number(r"wrong -> right +(\d+)", text) > 0


def test_your_own_part(tmp_path):
    done = executed("your_own_part", tmp_path)
    text = printed(done)
    assert stderr(done) == []
    assert "Books: keeps the contract of a critic" in text and "Tidy: keeps the contract of a selector" in text
    assert "no setting 'moist': the nearest is 'most'" in text
    logic, seeing = (number(rf"wrong \({kind}\) +found +(\d+)", text) for kind in ("logic", "perception"))
    assert logic > seeing
    assert number(r"false alarms +(\d+)", text) == 0


def test_comparing_methods(tmp_path):
    done = executed("comparing_methods", tmp_path)
    text = printed(done)
    assert stderr(done) == [] and pictures(done) == 1
    outcome, sound = (
        number(rf"{method} +[\d. %]+right answer, wrong step (\d+)%", text) for method in ("outcome", "sound")
    )
    assert outcome > sound
    assert len(list((tmp_path / "runs").glob("*/summary.json"))) == 6
    assert "runs/outcome_0" in text and list(tmp_path.glob("runs/**/*.html"))


def test_your_own_data_and_vlm(tmp_path):
    done = executed("your_own_data_and_vlm", tmp_path)
    text = printed(done)
    assert stderr(done) == [] and pictures(done) == 1
    assert "no such file in 'mine'" in text and "4 problems" in text
    assert "no column 'querry': the nearest is 'query'" in text
    assert re.search(r"held-out accuracy ([\d.]+) % -> ([\d.]+) %", text)
    assert 0 < number(r"([\d,]+) of [\d,]+ weights learn", text.replace(",", "")) < 1e6
    assert (tmp_path / "runs/pixels/summary.json").is_file()
