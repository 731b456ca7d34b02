"""Who may import whom, read from the imports themselves."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import mmevolve

PACKAGE = Path(mmevolve.__file__).parent
LONGEST = 380

# A room may import rooms of lower levels, and itself.
LEVELS = (
    ("types",),
    (
        "protocols",
        "text",
        "answers",
        "prompts",
        "config",
        "statistics",
        "console",
        "durable",
        "ranks",
        "keys",
        "logistic",
        "torchvision_ops",
    ),
    ("data", "samplers", "critics", "selectors", "losses", "schedules", "metrics"),
    ("models", "store", "training", "report", "controls"),
    ("verbs", "benchmarks", "lineage"),
    ("evaluation", "canaries"),
    ("watched",),
    ("loops",),
    (
        "contracts",
        "finale",
        "summary",
        "browse",
        "rehearse",
        "results",
        "parity",
        "explorer",
        "labelled_steps",
        "critique_rows",
        "critique_numbers",
    ),
    ("launch",),
    ("commands", "scoring", "correct"),
    ("critique",),
    ("cli",),
    ("__main__",),
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
PARTS = LEVELS[2]
# Rooms of one level that may see each other, with the reason.
NEIGHBOURS = {
    ("protocols", "types"): "the nouns",
    ("critics", "data"): "the oracle critic is the embedded world's own judge, and looking back knows its words",
    ("training", "models"): "it trains them",
    ("training", "store"): "it keeps its checkpoints in the run folder",
    ("report", "store"): "it reads run folders",
}
ANYWHERE = {"numpy", "yaml"}
HOMES = {
    "torch": {"losses", "models", "training", "torchvision_ops", "contracts", "results"},
    "safetensors": {"models", "training"},
    "transformers": {"models"},
    "tokenizers": {"models"},
    "peft": {"models"},
    "open_clip": {"models"},
    "torchvision": {"models", "torchvision_ops"},
    "lightning": {"training"},
    "datasets": {"data", "store"},
    "PIL": {"data", "models", "report", "controls"},
    "pyarrow": {"data", "store", "report", "lineage"},
    "matplotlib": {"report"},
}
# Breaches that are known; each goes when its place is mended.
KNOWN = {
    ("mmevolve.launch", "transformers"): "quiets its logging, which the models' room should do",
    ("mmevolve.browse", "pyarrow"): "reads a table's head, which the store should do",
}
HEAVY = ("torch", "transformers", "peft", "open_clip", "lightning", "datasets", "PIL", "pyarrow")
LIGHT = ("types", "text", "protocols", "prompts", "answers", "config", "controls")
NO_TORCH = (*LIGHT, "samplers", "critics", "selectors", "metrics")


def name_of(path):
    return ".".join(("mmevolve", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def room(module):
    return module.split(".")[1] if "." in module else ""


@cache
def imports(module, *, at_import=False):
    """Modules that a module imports; with `at_import` only those that importing it brings in."""
    return imported(TREES[module], at_import=at_import)


def imported(tree, *, at_import=False):
    nodes, found = [tree], set()
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import of {node.module}"
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & set(FILES)
            # `from mmevolve import verbs` is about `verbs`; anything else is about the module that is named.
            found |= inner or {node.module}
        elif not (at_import and is_later(node)):
            nodes += ast.iter_child_nodes(node)
    return frozenset(found)


def is_later(node):
    """What importing a module does not run."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def loaded(module):
    """Everything that importing a module brings in, packages on the way included."""
    seen, todo = set(), [module]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in FILES:
            parents = [name.rsplit(".", i)[0] for i in range(1, name.count(".") + 1)]
            todo += [*parents, *imports(name, at_import=True)]
    return seen


def own(names):
    return {n for n in names if n.split(".")[0] == "mmevolve"}


def foreign(names):
    return {n.split(".")[0] for n in names} - {"mmevolve"} - set(sys.stdlib_module_names)


def test_every_module_belongs_to_a_level():
    assert sorted({room(m) for m in FILES} - {""} - set(LEVEL)) == []


def test_a_module_imports_only_from_below():
    breaches = {}
    for module in FILES:
        here = room(module)
        allowed = {r for r in LEVEL if LEVEL[r] < LEVEL.get(here, 99) or r == here or (here, r) in NEIGHBOURS}
        breaches[module] = sorted(n for n in own(imports(module)) if room(n) and room(n) not in allowed)
    assert {m: names for m, names in breaches.items() if names} == {}


def test_the_package_itself_imports_nothing():
    assert imports("mmevolve") == set()


def test_a_part_never_imports_a_part_of_another_folder():
    seen = {
        (m, n) for m in FILES for n in own(imports(m)) if room(m) in PARTS and room(n) in PARTS and room(m) != room(n)
    }
    assert seen == {
        (
            "mmevolve.critics.look_back_world",
            "mmevolve.data.shapes.program",
        ),
        ("mmevolve.critics.look_back_world", "mmevolve.data.shapes.scene"),
        ("mmevolve.critics.error_oracle", "mmevolve.data.shapes.dataset"),
        ("mmevolve.critics.error_oracle", "mmevolve.data.shapes.oracle"),
        ("mmevolve.critics.gold_critique", "mmevolve.data.shapes.dataset"),
        ("mmevolve.critics.gold_critique", "mmevolve.data.shapes.mended"),
        ("mmevolve.critics.oracle", "mmevolve.data.shapes.dataset"),
        ("mmevolve.critics.oracle", "mmevolve.data.shapes.oracle"),
    }


def test_a_package_from_outside_is_imported_in_its_own_rooms_only():
    used = {(m, package) for m in FILES for package in foreign(imports(m)) - ANYWHERE}
    assert sorted((m, p) for m, p in used - set(KNOWN) if room(m) not in HOMES.get(p, ())) == []


def test_parts_need_nothing_but_the_standard_library():
    used = {m: foreign(imports(m)) for m in FILES if room(m) in PARTS and room(m) not in ("losses", "data")}
    assert {m: packages for m, packages in used.items() if packages} == {}


def test_what_must_be_light_brings_in_nothing_heavy():
    # The oracle's world can also draw, and controls change pictures: they may bring in PIL.
    brought = {
        m: foreign(loaded(m)) & set(HEAVY) - ({"PIL"} if room(m) in ("critics", "controls") else set())
        for m in FILES
        if room(m) in NO_TORCH
    }
    assert {m: packages for m, packages in brought.items() if packages} == {}


def test_light_rooms_are_light_when_they_are_really_imported():
    names = ", ".join(m for m in FILES if room(m) in NO_TORCH)
    code = f"import sys, {names}\nprint(sorted({{'torch', 'transformers', 'lightning', 'peft'}} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_training_knows_no_sampler_critic_or_selector():
    known = {room(n) for m in FILES if room(m) == "training" for n in own(imports(m))}
    assert known & {"samplers", "critics", "selectors", "schedules", "metrics", "data", "loops", "verbs"} == set()


def test_the_library_never_imports_what_stands_beside_it():
    for module in FILES:
        assert {n.split(".")[0] for n in imports(module)} & {"recipes", "eval", "tests", "notebooks"} == set()


def calls(tree):
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


OUTSIDE = {"os", "pathlib", "io", "socket", "urllib", "http", "requests", "subprocess", "shutil", "tempfile"}
DRAWS = ("seed", "random", "shuffle", "choice", "choices", "sample", "randint", "uniform")


def test_parts_touch_no_file_network_environment_or_global_seed():
    breaches = {}
    for module in (m for m in FILES if room(m) in PARTS and room(m) != "data"):
        called = calls(TREES[module])
        breaches[module] = (imports(module) & OUTSIDE) | (called & {"open", "print", "input"})
        breaches[module] |= called & {f"random.{draw}" for draw in DRAWS} | {c for c in called if "manual_seed" in c}
    assert {m: found for m, found in breaches.items() if found} == {}


def test_no_file_is_long():
    lengths = {m: len(path.read_text(encoding="utf-8").splitlines()) for m, path in FILES.items()}
    assert {m: n for m, n in lengths.items() if n > LONGEST} == {}


def test_no_module_is_a_grab_bag():
    bags = {"util", "utils", "common", "misc", "helper", "helpers", "tools", "shared", "stuff"}
    assert [m for m in FILES if set(m.split(".")) & bags] == []


def test_no_part_is_given_another_base():
    bases = {
        f"{m}.{node.name}": [ast.unparse(b) for b in node.bases]
        for m in FILES
        if room(m) in PARTS
        for node in TREES[m].body
        if isinstance(node, ast.ClassDef) and node.bases
    }
    assert {name: b for name, b in bases.items() if any(not x.endswith(("Error", "Exception")) for x in b)} == {}


def test_the_reading_of_imports_sees_those_inside_functions_too():
    tree = ast.parse("import re\ndef f():\n    from mmevolve.samplers.independent import Independent\n    import torch")
    assert imported(tree) == {"re", "mmevolve.samplers.independent", "torch"}
    assert imported(tree, at_import=True) == {"re"}
    assert imported(ast.parse("from mmevolve import verbs, __version__")) == {"mmevolve.verbs"}
