# Sphinx: sphinx-build doc doc/_build. The version is that of configure.ac.
import pathlib
import re

_ac = pathlib.Path(__file__).parent.parent / "configure.ac"
release = re.search(r"AC_INIT\(\[mlvpn\], \[([^]]+)\]", _ac.read_text())[1]
version = release
project = "mlvpn"
author = "the mlvpn authors"
copyright = author
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_show_copyright = False
highlight_language = "none"
