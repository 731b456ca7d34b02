"""Recipes: YAML that names code by dotted path. `load` it, `check` it, `build` it."""

from mmevolve.config.build import build
from mmevolve.config.check import check, check_recipe
from mmevolve.config.errors import ConfigError, Place, Problem
from mmevolve.config.load import Recipe, load, resolved
from mmevolve.config.ranges import Range

__all__ = [
    "ConfigError",
    "Place",
    "Problem",
    "Range",
    "Recipe",
    "build",
    "check",
    "check_recipe",
    "load",
    "resolved",
]
