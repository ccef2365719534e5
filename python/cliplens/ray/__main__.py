"""``python -m cliplens.ray``: the cluster from a shell."""

from __future__ import annotations

import argparse
import sys
import warnings
from typing import Any

from .._writer import SHARD_IMAGES
from ..errors import Error, LossWarning
from . import copy, decompose, evaluate, label, search


def _workers(text: str) -> int | tuple[int, int]:
    least, dash, most = text.partition("-")
    return (int(least), int(most)) if dash else int(least)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cliplens.ray",
        description="cliplens on the Ray cluster that RAY_ADDRESS names, or on this machine. Paths are seen by every "
                    "machine; s3:// and gs:// are addresses of stores of objects.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    verb = verbs.add_parser("decompose", help="make a store; its bytes are those of one machine")
    verb.add_argument("model", metavar="MODEL", help="name or path, there on every machine")
    verb.add_argument("--images", required=True, help="folder, table or .tar shards: a path or an address")
    verb.add_argument("--out", required=True, help="store to make: a path or an address")
    verb.add_argument("--resume", action="store_true", help="go on with what an interrupted run left")
    verb.add_argument("--on-error", choices=("stop", "skip"), default="stop", help="pictures that cannot be read")
    verb.add_argument("--stats-only", action="store_true", help="keep statistics only")
    verb.add_argument("--store-dtype", choices=("fp32", "fp16"), default="fp32", help="numbers in the store")
    verb.add_argument("--slices", type=int, help="parts of the pictures that give figures their spread")
    verb.add_argument("--shard-images", type=int, default=SHARD_IMAGES, help="pictures in a shard")
    verb.add_argument("--split", default="", help="only this split of the pictures")
    verb.add_argument("--path-column", default="", help="column of a table that holds the paths")
    verb.add_argument("--allow-absolute", action="store_true", help="a table's paths may lead anywhere")
    verb.add_argument("--exif-orientation", action="store_true", help="turn pictures upright")
    verb.add_argument("--precision", choices=("fp32", "bf16", "auto"), default="fp32", help="of the products")
    verb.add_argument("--arch", default="", help="of a checkpoint file without a configuration")
    verb.add_argument("--weights", default="", help="of a checkpoint with several models")
    verb.add_argument("--level", choices=("blocks", "pool"), default="blocks", help="whose heads")
    verb.add_argument("--image-size", type=int, default=0, help="pixels of a side other than the model's own")
    verb.add_argument("--workers", type=_workers, help="N, or LEAST-MOST; default: as many as there is room for")
    verb.add_argument("--cpus", type=float, default=1, help="of each worker, which has as many threads")

    verb = verbs.add_parser("search", help="pictures of a store by item, text or picture")
    verb.add_argument("store", metavar="STORE", help="a path or an address")
    for name, text in (("--image", "like this file"), ("--item", "like this item of the store"),
                       ("--text", "of this text"), ("--heads", "compared in these heads"),
                       ("--model", "the store's model, where it is not where the store says")):
        verb.add_argument(name, help=text)
    verb.add_argument("--count", type=int, default=10, help="pictures to find")

    verb = verbs.add_parser("label", help="one property for each head, or none")
    verb.add_argument("store", metavar="STORE", help="a path or an address")
    verb.add_argument("--truth", help="attributes of the pictures: labels against what is known (evaluate labels)")
    for name, text in (("--properties", "property table"), ("--texts", "pool of the scores"), ("--heads", "these heads"),
                       ("--model", "the store's model, where it is not where the store says")):
        verb.add_argument(name, help=text)
    verb.add_argument("--cpus", type=float, default=1, help="of the machine that it uses")

    verb = verbs.add_parser("copy", help="copy a store or a folder from or to an address")
    verb.add_argument("source", metavar="FROM")
    verb.add_argument("out", metavar="TO")
    return parser


def run(options: dict[str, Any]) -> str:
    """Runs a verb; gives what is to be printed."""
    verb = options.pop("verb")
    if verb == "copy":
        copy(options["source"], options["out"])
        return f"{options['source']} copied to {options['out']}"
    if verb == "decompose":
        made = decompose(options.pop("model"), options.pop("images"), options.pop("out"), **options)
        if made.complete_already:
            return f"{made.out} was complete already: {made.images} pictures"
        return (f"{made.images} pictures decomposed in {made.seconds:.1f} s ({made.images / made.seconds:.0f}/s) into "
                f"{made.out}\ncertificate: |sum of contributions - embedding| / |embedding| is {made.certificate:.1e} at "
                "most")
    given = {name: value for name, value in options.items() if value is not None}
    store = given.pop("store")
    if verb == "label":
        return (evaluate if "truth" in given else label)(store, **given).to_json()
    return search(store, **given).to_json()


def main() -> int:
    """Runs the command line; 1 where an error is printed, as by the program."""
    options = vars(_parser().parse_args())
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", LossWarning)
        try:
            print(run(options))
            status = 0
        except Error as error:
            print(f"error: {error.code}: {error}", file=sys.stderr)
            status = 1
    for warning in said:
        if issubclass(warning.category, LossWarning):
            print(f"warning: {warning.message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
