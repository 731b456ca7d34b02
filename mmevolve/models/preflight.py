"""A model's folder looked at before anything is loaded: is everything there that a vision-language model needs?"""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
_PROCESSORS = ("processor_config.json", "preprocessor_config.json")
_PACKAGED = "mmevolve:"
_ADAPTER = "adapter_config.json"
_UNSAFE = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def preflight(target: str, **settings: object) -> Iterator[str]:
    """What is wrong with the settings of a model part, one sentence each; `target` is the part's name."""
    if target == "ServedVLM":
        yield from _beside("served_preflight")["preflight"](**settings)
    name = settings.get("name")
    if isinstance(name, str):
        yield from model_folder_problems(name)


def model_folder_problems(name: str) -> Iterator[str]:
    """What a model's name or folder lacks. A hub id (`org/name`) is taken as it is: the network is not asked."""
    if name.startswith(_PACKAGED):
        yield from _packaged_problems(name.removeprefix(_PACKAGED))
        return
    folder = Path(name).expanduser()
    if folder.is_file():
        yield f"'{name}' is a file, not a model's folder"
    elif folder.is_dir():
        yield from _folder_problems(folder, name)
    elif _looks_like_path(name):
        yield f"there is no folder '{name}'{_advice(folder)}"


def _packaged_problems(name: str) -> Iterator[str]:
    """`mmevolve:tiny_vlm` must be a model that ships with the package."""
    shipped = [config.parent.name for config in Path(__file__).parent.glob("*/config.json")]
    if name in shipped:
        yield from _folder_problems(Path(__file__).parent / name, f"{_PACKAGED}{name}")
    elif shipped:
        near = get_close_matches(name, shipped, n=1, cutoff=0.0)
        yield f"no model '{name}' ships with the package: the nearest is '{_PACKAGED}{near[0]}'"


def _folder_problems(folder: Path, name: str) -> Iterator[str]:
    if (folder / _ADAPTER).is_file():
        yield from _adapter_problems(folder, name)
        return
    config = _json(folder / "config.json")
    if config is None:
        yield f"the model folder '{name}' has no readable config.json"
    else:
        yield from _beside("checkpoint_preflight")["architecture_problems"](config, name)
    if not any((folder / file).is_file() for file in _TOKENIZERS):
        yield f"the model folder '{name}' has no tokenizer (such as tokenizer.json)"
    if not any(_json(folder / file) is not None for file in _PROCESSORS):
        yield f"the model folder '{name}' has no processor (processor_config.json or preprocessor_config.json)"
    if not _has_chat_template(folder):
        yield f"the model folder '{name}' has no chat template (chat_template.jinja)"
    yield from _weight_problems(folder, name)


def _weight_problems(folder: Path, name: str) -> Iterator[str]:
    look = _beside("checkpoint_preflight")["weight_file_problems"]
    index = _json(folder / "model.safetensors.index.json")
    if index is not None:
        places = index.get("weight_map")
        files: dict[str, set[str]] = {}
        for weight, file in places.items() if isinstance(places, dict) else ():
            files.setdefault(str(file), set()).add(weight)
        lost = sorted(file for file in files if not (folder / file).is_file())
        if lost:
            yield f"the model folder '{name}' lacks {len(lost)} of {len(files)} weight files, the first is {lost[0]}"
        for file in sorted(files.keys() - set(lost)):
            yield from look(folder / file, frozenset(files[file]))
    elif (folder / "model.safetensors").is_file():
        yield from look(folder / "model.safetensors")
    elif not any(folder.glob("*.safetensors")):
        unsafe = any(path for pattern in _UNSAFE for path in folder.glob(pattern))
        why = ": its weights are pickled, which can run code; convert them to safetensors" if unsafe else ""
        yield f"the model folder '{name}' has no safetensors weights{why}"


def _adapter_problems(folder: Path, name: str) -> Iterator[str]:
    """An adapter's folder holds its own weights and names the model below it."""
    weights = folder / "adapter_model.safetensors"
    if weights.is_file():
        yield from _beside("checkpoint_preflight")["weight_file_problems"](weights)
    else:
        yield f"the adapter folder '{name}' has no {weights.name}"
    spec = _json(folder / _ADAPTER)
    base = spec.get("base_model_name_or_path") if spec is not None else None
    if spec is None:
        yield f"the adapter folder '{name}' has no readable {_ADAPTER}"
    elif isinstance(base, str) and Path(base).expanduser().resolve() != folder.resolve():
        yield from (f"{sentence} (the model below the adapter '{name}')" for sentence in model_folder_problems(base))


def _has_chat_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    if any((folder / "additional_chat_templates").glob("*.jinja")):
        return True
    specs = [_json(folder / file) for file in ("processor_config.json", "tokenizer_config.json")]
    return any(spec is not None and spec.get("chat_template") for spec in specs)


def _beside(module: str) -> dict[str, Any]:
    """A file of this room, run by itself as this one is: the room's own __init__ loads torch."""
    return runpy.run_path(str(Path(__file__).with_name(f"{module}.py")))


def _json(path: Path) -> dict[str, object] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _looks_like_path(name: str) -> bool:
    """Whether a name means a place on this machine rather than a model on a hub (`org/name`, at most one slash)."""
    first = name.split("/")[0]
    return name.startswith(("/", ".", "~")) or name.count("/") > 1 or ("/" in name and Path(first).is_dir())


def _advice(folder: Path) -> str:
    """The nearest folder beside where it should be, or which run has yet to make it."""
    parent = folder.parent
    beside = [path.name for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
    near = get_close_matches(folder.name, beside, n=1)
    if near:
        return f": the nearest is '{parent / near[0]}'"
    return ": run the recipe that makes it first" if "runs" in folder.parts or "checkpoint" in folder.name else ""
