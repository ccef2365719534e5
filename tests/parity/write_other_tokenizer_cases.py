#!/usr/bin/env python3
"""Writes the files and cases of tests/model/file_tokenizer_test.cc: small tokenizers of the kinds
that CLIP's relatives use, and the ids of transformers and open_clip.

    python tests/parity/write_other_tokenizer_cases.py

  tests/data/tokenizers/NAME/    the files of a tokenizer
  tests/data/tokenizers/cases.json   {"texts": [text], "layouts": [{"name", "rule", "ids": [[id]]}]}

Unlike the lines of test_other_tokens.py the texts hold line ends.
"""

import json
import pathlib
import shutil
import tempfile

import other_tokenizers
import tokenizer_texts
from other_tokenizers import by_open_clip, by_transformers, train_sentencepiece, write

DATA = pathlib.Path(__file__).resolve().parents[1] / "data/tokenizers"
CONTEXT = 24
BY_HAND = ["", " ", "a photo of a cat", "A  Photo, of_a CAT!", "x" * 300, "\u2581a \u2581", "a\tb\r\nc\u2028d",
           "\ufb01ne \u33ff \uff21\uff12 \u337f \u200b", "cafe\u0301 e\u0301e\u0323\u0301 \u0600e\u0301 \t\u0301",
           "\u732b\u3068\u72ac cat\u732b", "</s> a", "a</s>", "a </s>", "<unk> cat <pad>", "<eos>a<bos>", "[SEP] a [CLS] [mask]",
           "<mask> a  <mask>", "\u0130stanbul \u039f\u0394\u039f\u03a3 \u017f\ufb05", "\U0001f600\u200d\U0001f431 \u00e9\u0000x"]


def main():
    texts = BY_HAND + [text[:80] for text in tokenizer_texts.texts(70, 21, raw=True)]
    shutil.rmtree(DATA, ignore_errors=True)
    layouts = []

    def add(name, rule, encode, context=CONTEXT):
        layouts.append(dict(name=name, rule=dict(context=context, fill=True) | rule,
                            ids=encode(texts)))

    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        rules = folder / "rules.tsv"
        rules.write_text("".join(
            " ".join(f"{ord(c):X}" for c in key) + "\t" + " ".join(f"{ord(c):X}" for c in value) + "\n"
            for key, value in other_tokenizers.RULES.items()))
        options = dict(size=400, normalization_rule_tsv=str(rules), character_coverage=0.99)
        ids = dict(pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
        model = train_sentencepiece(folder, "t5", **options, **ids)
        write(DATA / "t5", {"tokenizer_class": "T5Tokenizer", "extra_ids": 2, "pad_token": "</s>"},
              spiece__model=model)
        tokenizer, encode = by_transformers(DATA / "t5", CONTEXT)
        add("t5", {}, encode)
        add("t5", {"clean": "canonicalize"},
            by_open_clip(DATA / "t5", CONTEXT, clean="canonicalize"))
        tokenizer.save_pretrained(DATA / "t5-saved")
        encode = by_transformers(DATA / "t5-saved", CONTEXT)[1]
        add("t5-saved", {}, encode)
        steps = json.loads((DATA / "t5-saved/tokenizer.json").read_text())
        steps["normalizer"] = {"type": "Sequence", "normalizers": [
            steps["normalizer"], {"type": "Strip", "strip_left": False, "strip_right": True},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]}
        steps["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "split": True,
                                  "prepend_scheme": "first"}
        steps["truncation"] = steps["padding"] = None
        write(DATA / "steps", {"pad_token": "<pad>", "eos_token": "</s>"},
              tokenizer__json=json.dumps(steps, ensure_ascii=False))
        add("steps", {}, by_transformers(DATA / "steps", CONTEXT)[1])

        model = train_sentencepiece(folder, "xlm", **options)
        write(DATA / "xlm", {"tokenizer_class": "XLMRobertaTokenizer"},
              sentencepiece__bpe__model=model)
        add("xlm", {"fill": False}, by_transformers(DATA / "xlm", CONTEXT)[1])
        add("xlm", {"fill": False, "clean": "whitespace"}, by_open_clip(DATA / "xlm", CONTEXT))

        model = train_sentencepiece(folder, "siglip", byte_fallback=True, **(options | {"size": 600}),
                                    **ids)
        write(DATA / "siglip", {"tokenizer_class": "SiglipTokenizer"}, spiece__model=model)
        add("siglip", {}, by_transformers(DATA / "siglip", CONTEXT)[1])

        write(DATA / "siglip2", {
            "tokenizer_class": "GemmaTokenizer", "padding_side": "right", "pad_token": "<pad>",
            "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>", "add_bos_token": True},
            tokenizer__json=other_tokenizers.gemma_tokenizer(600).to_str())
        add("siglip2", {}, by_transformers(DATA / "siglip2", CONTEXT)[1])
        from transformers import Siglip2Tokenizer
        add("siglip2", {"class": "Siglip2Tokenizer"},
            by_transformers(DATA / "siglip2", CONTEXT, Siglip2Tokenizer)[1])

        tokens = other_tokenizers.bert_tokens(300)
        write(DATA / "bert", {"tokenizer_class": "BertTokenizer", "do_lower_case": True},
              vocab__txt="\n".join(tokens) + "\n")
        tokenizer, encode = by_transformers(DATA / "bert", CONTEXT)
        add("bert", {}, encode)
        add("bert", {"clean": "whitespace", "strip_sep": True},
            by_open_clip(DATA / "bert", CONTEXT, strip_sep_token=True))
        tokenizer.save_pretrained(DATA / "bert-saved")
        add("bert-saved", {}, by_transformers(DATA / "bert-saved", CONTEXT)[1])
    for path in DATA.glob("*/*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()), ensure_ascii=False,
                                   separators=(",", ":")) + "\n")
    lines = [json.dumps(layout, separators=(",", ":")) for layout in layouts]
    path = DATA / "cases.json"
    path.write_text('{"texts":%s,"layouts":[\n%s\n]}\n' % (json.dumps(texts), ",\n".join(lines)))
    total = sum(file.stat().st_size for file in DATA.rglob("*") if file.is_file())
    print(f"{len(texts)} texts, {len(layouts)} layouts, {total} bytes")


if __name__ == "__main__":
    main()
