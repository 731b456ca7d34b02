"""Sphinx: the pages of this folder, and a reference made from docstrings. `make docs` builds it."""

import re
import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import reference

reference.write()

project = "mmevolve"
author = "the mmevolve authors"
version = release = metadata.version("mmevolve")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
exclude_patterns = ["reference.py"]
html_theme = "alabaster"
html_show_copyright = False
html_theme_options = {
    "description": "Train vision-language models on their own judged answers",
    "page_width": "1120px",
    "font_family": "system-ui, sans-serif",
    "head_font_family": "system-ui, sans-serif",
    "font_size": "16px",
}

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_class_signature = "separated"
autodoc_inherit_docstrings = False
napoleon_use_ivar = True

LITERAL = re.compile(r"(\w?)(?<!`)`([^`]+)`(?!`)(\w?)")
DRAWN = re.compile(r"((?:^ {4}.*\n?|^\n)+)", re.MULTILINE)  # a table or a folder in a module's docstring
OUTSIDE = re.compile(r"\[([^\]]+)\]\((\.\./[^)#]+\.md)(?:#[^)]*)?\)")
NOTEBOOK = re.compile(r"\[([^\]]+)\]\(\.\./notebooks/(\w+)\.ipynb\)")


def literal(match):
    """Markdown's code as reStructuredText's, which wants an end of the word on both sides and no space inside."""
    before, code, after = match.groups()
    edges = re.sub(r"^ | $", "\N{OPEN BOX}", code)
    return (rf"{before}\ " if before else "") + f"``{edges}``" + (rf"\ {after}" if after else "")


def docstring(app, what, name, thing, options, lines):
    """Docstrings write code as Markdown does, and |x| for a size; here these would be roles and substitutions."""
    text = "\n".join(lines)
    parts = DRAWN.split(text) if what == "module" else [text]
    for i, part in enumerate(parts):
        if i % 2 and part.strip():
            parts[i] = f"\n::\n\n{part}\n"
        elif not i % 2:
            parts[i] = LITERAL.sub(literal, part.replace("|", r"\|"))
    lines[:] = "".join(parts).split("\n")


def page(app, name, source):
    """Links that leave this folder: a notebook is a page beside these, another text a file to download."""
    text = NOTEBOOK.sub(r'<a href="notebooks/\2.html">\1</a>', source[0])
    source[0] = OUTSIDE.sub(r"{download}`\1 <\2>`", text)


def setup(app):
    """Sphinx calls this."""
    app.connect("autodoc-process-docstring", docstring, priority=400)  # before napoleon
    app.connect("source-read", page)
