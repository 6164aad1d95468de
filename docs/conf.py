"""How the site is built: `scripts/build_docs`, whose source folder is the repository's root.

From there the links of README.md, docs/, examples/ and CONTRIBUTING.md lead to the same files here
as they do where the repository is read.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from simam_deploy.core.version import __version__  # noqa: E402

project = "simam-deploy"
author = "the simam-deploy developers"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "docs/**.md",
    "examples/*/README.md",
    "plugins/simam/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
]
templates_path = ["_templates"]

# A heading is linked to as where the repository is read; 3 is as deep as any page goes.
myst_heading_anchors = 3
# A page that is included says its figures in comments, and has no other HTML than a picture.
myst_enable_extensions = ["attrs_inline"]

# What docstrings have in single backticks.
default_role = "code"

autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
python_display_short_literal_types = True
autodoc_member_order = "bysource"
autoclass_content = "class"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# A field is a line, and what stands before a colon in "Returns:" is not taken for a type.
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = f"simam-deploy {release}"
html_additional_pages = {"index": "to_docs.html"}
html_theme_options = {"navigation_with_keys": True}
html_show_sphinx = False
html_show_copyright = False
# `$ ` and what a command printed stay behind when a block is copied.
copybutton_prompt_text = "$ "


def setup(app) -> None:
    """Take the sidebar from the index's lists, which are links where the repository is read."""
    app.connect("source-read", _sidebar)


def _sidebar(app, name: str, source: list[str]) -> None:
    if name == root_doc:
        for section in source[0].split("\n## ")[1:]:
            entries = re.findall(r"^- \[(.*?)\]\((.*?)\.md\)", section, re.MULTILINE)
            listed = "\n".join(f"{title} <{page}>" for title, page in entries)
            caption = section.partition("\n")[0]
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n"
