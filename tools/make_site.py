#!/usr/bin/env python3
"""Makes the documentation site: `make docs`, after Doxygen.

    tools/make_site.py      with the packages of tools/requirements-docs.txt

Runs MkDocs with mkdocs.yml, a warning is an error, and checks that no page takes a script, a style, a font or a picture
from elsewhere. The site is build/docs/site.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "build/docs/site"
# What a browser fetches by itself when it shows a page.
FETCHED = [re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^\"'>\s]+", re.IGNORECASE),
           re.compile(r"url\([\"']?(?:https?:)?//[^)]+\)"), re.compile(r"@import\s+[\"'](?:https?:)?//[^\"']+")]


def from_elsewhere(site):
    """Lines `page: what it fetches` of all that is not in the site."""
    found = []
    for path in sorted(site.rglob("*")):
        if path.suffix in (".html", ".css"):
            text = path.read_text(encoding="utf-8")
            found += [f"{path.relative_to(site)}: {match[0]}" for pattern in FETCHED for match in pattern.finditer(text)]
    return found


def main():
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--clean"], cwd=ROOT, check=False,
                          env=os.environ | {"NO_MKDOCS_2_WARNING": "1"})
    if done.returncode:
        return done.returncode
    found = from_elsewhere(SITE)
    if found:
        print("\n".join(["the site would fetch from elsewhere:", *found]), file=sys.stderr)
        return 1
    print(f"{SITE}/index.html ({time.monotonic() - begin:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
