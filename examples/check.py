#!/usr/bin/env python3
"""Runs a program and compares what it prints with what is expected.

    examples/check.py EXPECTED PROGRAM [ARGUMENT...]

The program must end with status 0 and print the text of the file EXPECTED, character by character.
A number there may state how far the printed one may be from it: `12.4±0.1`. Machines differ in the
last digits that they print, and in nothing else.
"""

import re
import subprocess
import sys
from pathlib import Path

NUMBER = r"(-?[0-9.]+(?:e[+-]?[0-9]+)?)"
TOLERANT = re.compile(f"( *){NUMBER}±{NUMBER}")


def agrees(expected, printed):
    """Whether a printed line is the expected one, its numbers within what is stated."""
    # Numbers in columns are padded, so spaces before one that may differ are any number of spaces.
    pattern, end = "", 0
    for match in TOLERANT.finditer(expected):
        pattern += re.escape(expected[end:match.start()]) + (" *" if match[1] else "") + NUMBER
        end = match.end()
    found = re.fullmatch(pattern + re.escape(expected[end:]), printed)
    return found is not None and all(
        abs(float(number) - float(match[2])) <= float(match[3]) * (1 + 1e-9)
        for number, match in zip(found.groups(), TOLERANT.finditer(expected)))


def main(arguments):
    expected = Path(arguments[0]).read_text(encoding="utf-8").splitlines()
    done = subprocess.run(arguments[1:], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return 1
    printed = done.stdout.splitlines()
    wrong = 0
    for number in range(max(len(expected), len(printed))):
        wanted = expected[number] if number < len(expected) else "(nothing more)"
        found = printed[number] if number < len(printed) else "(nothing more)"
        if not agrees(wanted, found):
            print(f"{arguments[0]}:{number + 1}\n  expected {wanted}\n  printed  {found}")
            wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
