"""`python -m world build [assets|texts|sets|sheet ...]`: builds the picture world or parts of it."""

import argparse
import sys

from world import assets

PARTS = ["assets", "texts", "sets", "sheet"]


def main():
    parser = argparse.ArgumentParser(prog="python -m world", description=__doc__)
    parser.add_argument("verb", choices=["build"])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--workers", type=int, default=2, help="processes that write the sets")
    parser.add_argument("--force", action="store_true", help="build assets that are up to date too")
    options = parser.parse_args()
    parts = options.parts or PARTS
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    try:
        if "assets" in parts and (options.force or not assets.is_current()):
            assets.build()
        if "texts" in parts:
            from world import make_texts
            make_texts.build()
        if "sets" in parts:
            from world import shards
            shards.build(options.workers)
        if "sheet" in parts:
            from world import contact_sheet
            contact_sheet.build()
    except RuntimeError as error:
        sys.exit(f"world: {error}")


if __name__ == "__main__":
    main()
