"""The pages of the documentation."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Made when the site is built, so there in some checkouts only.
MADE = ROOT / "docs" / "c1219" / "tables"
WRITTEN = [page for page in sorted((ROOT / "docs").rglob("*.rst")) if page.parent != MADE]
PAGES = [ROOT / "README.rst", ROOT / "CHANGES.rst", *WRITTEN]
