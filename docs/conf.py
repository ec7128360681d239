"""The settings of the documentation site; `make docs` builds it."""

import sys
from pathlib import Path

import kemu

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "kemu"
version = release = kemu.__version__
copyright = "the kemu authors, GPL-2.0-only"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.intersphinx", "sphinx_click",
              "ext.docstrings", "ext.kernel_tables"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "substitution"]
myst_heading_anchors = 3
intersphinx_mapping: dict[str, tuple[str, None]] = {}       # the build needs no network

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
nitpick_ignore_regex = [("py:class", ".*")]     # a type in a signature need not have a page

smartquotes = False                 # "--all" is an option, not a dash

html_theme = "furo"
html_title = f"kemu {version}"
html_static_path = ["_static"]
html_css_files = ["kemu.css"]
html_theme_options = {"navigation_with_keys": True}
html_copy_source = False
pygments_style = "friendly"
highlight_language = "text"         # a "::" in a docstring is a table or a diagram

