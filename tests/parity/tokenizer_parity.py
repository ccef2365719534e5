#!/usr/bin/env python3
"""Compares token ids with those of open_clip's SimpleTokenizer, text by text.

    python tests/parity/tokenizer_parity.py -- \\
        build/bin/cliplens tokenize MODEL --truncate --texts {}
    python tests/parity/tokenizer_parity.py --merges MODEL/merges.txt --context 24 \\
        --special '<|startoftext|>' '<|endoftext|>' -- ...

The command is run with {} replaced by a file of one text a line; it must print one JSON array of
ids a line, without the zeros at the end. MODEL must be one without a
vocabulary of its own (the ids are those of CLIP's), or one whose merges are given by --merges.
Exits with 1 if any text differs.
"""

import argparse
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

import regex
from open_clip.tokenizer import SimpleTokenizer, default_bpe

import tokenizer_texts


def respell(tokenizer, special):
    """Gives the start and end token the spelling of Hugging Face's files; ids stay."""
    for token, old in zip(special, (tokenizer.sot_token_id, tokenizer.eot_token_id)):
        del tokenizer.encoder[tokenizer.decoder[old]]
        tokenizer.encoder[token] = old
    tokenizer.cache = {token: token for token in special}
    words = tokenizer.pat.pattern.partition("|'s|")
    names = "|".join(regex.escape(token) for token in special)
    tokenizer.pat = regex.compile(names + words[1] + words[2], regex.IGNORECASE)


def reference(merges, folder):
    """The tokenizer over a merges file; the reference wants it compressed and without a newline
    at its end, which it would take for a token."""
    if merges is None:
        return SimpleTokenizer(default_bpe())
    path = pathlib.Path(folder) / "merges.txt.gz"
    text = pathlib.Path(merges).read_text(encoding="utf-8").rstrip("\n")
    if "#version" not in text.partition("\n")[0]:
        text = "#version\n" + text
    path.write_bytes(gzip.compress(text.encode("utf-8")))
    return SimpleTokenizer(str(path))


def expected_ids(tokenizer, text, context):
    """SimpleTokenizer.__call__ on one text, without the tensor."""
    ids = unpadded_ids(tokenizer, text, context)
    return ids + [0] * (context - len(ids))


def unpadded_ids(tokenizer, text, context):
    ids = [tokenizer.sot_token_id, *tokenizer.encode(text), tokenizer.eot_token_id]
    if len(ids) > context:
        ids = ids[:context]
        ids[-1] = tokenizer.eot_token_id
    return ids


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=18000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--context", type=int, default=77)
    parser.add_argument("--merges", help="the merges of MODEL; without it, CLIP's own")
    parser.add_argument("--special", nargs=2, metavar=("START", "END"),
                        help="how MODEL's vocab.json spells the special tokens")
    parser.add_argument("--texts", help="compare on the lines of this file instead")
    parser.add_argument("--code-points", action="store_true",
                        help="compare on every code point instead (takes minutes)")
    parser.add_argument("--raw", action="store_true",
                        help="also tabs and carriage returns, which a pool file may not hold")
    parser.add_argument("--show", type=int, default=10, help="how many differences to print")
    parser.add_argument("command", nargs="+", help="the program, {} for the file of texts")
    options = parser.parse_args()

    if options.texts:
        with open(options.texts, encoding="utf-8", newline="\n") as file:
            texts = file.read().rstrip("\n").split("\n")
    elif options.code_points:
        texts = list(tokenizer_texts.code_points())
    else:
        texts = list(tokenizer_texts.texts(options.lines, options.seed, options.raw))

    with tempfile.TemporaryDirectory() as folder:
        tokenizer = reference(options.merges, folder)
        if options.special:
            respell(tokenizer, options.special)
        path = pathlib.Path(folder) / "texts.txt"
        path.write_text("".join(t + "\n" for t in texts), encoding="utf-8", newline="\n")
        command = [part.replace("{}", str(path)) for part in options.command]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        lines = output.splitlines()
        if len(lines) != len(texts):
            print(f"{len(texts)} texts, but {len(lines)} lines of ids", file=sys.stderr)
            return 1
        different = 0
        for text, line in zip(texts, lines):
            want = unpadded_ids(tokenizer, text, options.context)
            got = json.loads(line)
            if got != want:
                different += 1
                if different <= options.show:
                    print(f"{text!r}\n  expected {want}\n  got      {got}")
    print(f"{len(texts)} texts, {different} differ")
    return 1 if different else 0


def trim(ids):
    while ids and ids[-1] == 0:
        ids = ids[:-1]
    return ids


if __name__ == "__main__":
    sys.exit(main())
