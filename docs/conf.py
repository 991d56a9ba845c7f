"""Sphinx settings; ``make docs`` builds the site with warnings as errors."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from smartmeter.version import VERSION  # noqa: E402

project = "SmartMeter"
version = release = VERSION
extensions = ["sphinx.ext.autodoc", "table_pages"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {
    "description": "Open ANSI C12.18, C12.19 and C12.22",
    "page_width": "72rem",
    "body_max_width": "none",
    "fixed_sidebar": True,
    # The pages of single tables are reached from their index.
    "sidebar_includehidden": False,
}
html_static_path = ["_static"]
html_css_files = ["smartmeter.css"]
html_show_sourcelink = False
html_show_copyright = False  # the licence is in the repository
html_copy_source = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
add_module_names = False
