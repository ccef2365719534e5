"""Small tokenizers of the kinds that CLIP's relatives use, trained here, and what transformers,
open_clip and sentencepiece make of texts with them.

`write_all(folder)` writes each in every kind of file and gives {name: Layout}.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import random
import shutil
from collections.abc import Callable

import sentencepiece
import tokenizers
from open_clip.tokenizer import HFTokenizer
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

import tokenizer_texts

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass
class Layout:
    """A directory, the rule that text_tokens is given, and the ids by the reference."""

    path: pathlib.Path
    rule: dict
    encode: Callable[[list[str]], list[list[int]]]


# A small map of characters in place of sentencepiece's own, which takes 240 KB.
RULES = {"\t": " ", "\n": " ", "\r": " ", "\u3000": " ", "\xa0": " ", "ﬁ": "fi", "㍿": "株式会社",
         "e\u0301": "é", "E\u0301": "É", "\u200b": "", "™": "TM"} | {
    chr(c + 0xFEE0): chr(c) for c in range(0x21, 0x7F)}


def corpus(lines: int = 1500) -> list[str]:
    rng = random.Random(5)
    out = [line.split("\t")[0] for path in sorted((ROOT / "world/texts").glob("*.txt"))
           for line in path.read_text().splitlines() if line.strip()]
    out += [tokenizer_texts.caption(rng) for _ in range(lines)]
    samples = ["schön voilà à la carte", "naïve café Øystein Ærø", "Привет мир Ελλάδα", "日本語 の 猫",
               "żółć ğüş", "مرحبا हिन्दी", "한국어 고양이", "€100 ±5° © 2020", "😀 fun 👍"]
    return out + samples * 20


def write(folder: pathlib.Path, config: dict, **files) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        if isinstance(content, pathlib.Path):
            shutil.copy(content, path)
        else:
            path.write_text(content)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def train_sentencepiece(folder: pathlib.Path, name: str, size: int = 1000, **options) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    settings = dict(vocab_size=size, model_type="unigram", character_coverage=0.999,
                    hard_vocab_limit=False, minloglevel=2) | options
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()), model_prefix=str(folder / name), **settings)
    return folder / f"{name}.model"


def bert_tokens(size: int = 600) -> list[str]:
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=size, show_progress=False, special_tokens=[
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.train_from_iterator(corpus(), trainer)
    vocab = tokenizer.get_vocab()
    return sorted(vocab, key=vocab.get)


def gemma_tokenizer(size: int = 1200) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"] + [f"<0x{b:02X}>" for b in range(256)]
    # Few characters, so that many fall back to bytes.
    trainer = trainers.BpeTrainer(vocab_size=size, limit_alphabet=90, show_progress=False,
                                  special_tokens=specials + ["▁▁", "▁▁▁"])
    tokenizer.train_from_iterator(corpus(), trainer)
    text = json.loads(tokenizer.to_str())
    text["pre_tokenizer"] = None
    text["added_tokens"] = [t for t in text["added_tokens"] if not t["content"].startswith("<0x")]
    for token in text["added_tokens"]:
        token["special"] = token["content"].startswith("<")
    text["post_processor"] = json.loads(processors.TemplateProcessing(
        single="$A <eos>", pair="$A <eos> $B <eos>", special_tokens=[("<eos>", 1)]).__getstate__())
    return tokenizers.Tokenizer.from_str(json.dumps(text))


def by_transformers(path: pathlib.Path, context: int, cls=AutoTokenizer):
    tokenizer = cls.from_pretrained(path)

    def encode(texts):
        return tokenizer(texts, max_length=context, padding="max_length", truncation=True).input_ids

    return tokenizer, encode


def by_open_clip(path: pathlib.Path, context: int, **kwargs):
    tokenizer = HFTokenizer(str(path), context_length=context, **kwargs)
    return lambda texts: tokenizer(texts).tolist()


def write_all(folder: pathlib.Path) -> dict[str, Layout]:
    out = {}

    def add(name, path, rule, encode):
        out[name] = Layout(path, {"fill": True} | rule, encode)

    ids = dict(pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    t5_config = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "pad_token": "</s>",
                 "eos_token": "</s>", "unk_token": "<unk>"}
    t5_model = train_sentencepiece(folder / "trained", "t5", **ids)
    t5 = write(folder / "t5", t5_config, spiece__model=t5_model)
    tokenizer, encode = by_transformers(t5, 64)
    add("T5's spiece.model", t5, {"context": 64}, encode)
    tokenizer.save_pretrained(folder / "t5-saved")
    add("T5's tokenizer.json", folder / "t5-saved", {"context": 64},
        by_transformers(folder / "t5-saved", 64)[1])
    add("T5's tokenizer.json through open_clip", folder / "t5-saved",
        {"context": 64, "clean": "canonicalize"},
        by_open_clip(folder / "t5-saved", 64, clean="canonicalize"))
    extra = write(folder / "t5-extra", t5_config | {"extra_ids": 5}, spiece__model=t5_model)
    add("T5's spiece.model with extra ids", extra, {"context": 64}, by_transformers(extra, 64)[1])

    # As older versions of transformers converted such models.
    steps = json.loads((folder / "t5-saved/tokenizer.json").read_text())
    steps["normalizer"] = {"type": "Sequence", "normalizers": [
        steps["normalizer"], {"type": "Strip", "strip_left": False, "strip_right": True},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]}
    for scheme in ("always", "first", "never"):
        steps["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "split": scheme != "first",
                                  "prepend_scheme": scheme}
        path = write(folder / f"steps-{scheme}", {"tokenizer_class": "PreTrainedTokenizerFast",
                                                  "pad_token": "<pad>", "eos_token": "</s>"},
                     tokenizer__json=json.dumps(steps))
        add(f"the steps of a tokenizer.json, {scheme}", path, {"context": 64},
            by_transformers(path, 64)[1])
    byte_steps = json.loads((folder / "t5-saved/tokenizer.json").read_text())
    bytes_model = train_sentencepiece(folder / "trained", "bytes", byte_fallback=True,
                                      character_coverage=0.98, **ids)
    proto = sentencepiece.SentencePieceProcessor(model_file=str(bytes_model))
    byte_steps["model"] |= {"byte_fallback": True, "vocab": [
        [proto.id_to_piece(i), proto.get_score(i)] for i in range(len(proto))]}
    path = write(folder / "byte-steps", {"tokenizer_class": "PreTrainedTokenizerFast",
                                         "pad_token": "<pad>", "eos_token": "</s>"},
                 tokenizer__json=json.dumps(byte_steps))
    add("a unigram tokenizer.json with byte fallback", path, {"context": 64},
        by_transformers(path, 64)[1])
    forms = json.loads((folder / "t5-saved/tokenizer.json").read_text())
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        forms["normalizer"] = {"type": "Sequence", "normalizers": [
            {"type": form}, {"type": "Lowercase"},
            {"type": "Prepend", "prepend": "x "},
            {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}]}
        forms["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"String": "a"}, "behavior": behavior, "invert": False}
            for behavior in ("Isolated", "MergedWithNext")] + [
            {"type": "Split", "pattern": {"String": "e"}, "behavior": behavior, "invert": False}
            for behavior in ("Contiguous", "MergedWithPrevious")] + [
            {"type": "Split", "pattern": {"String": "o"}, "behavior": "Removed", "invert": False},
            {"type": "BertPreTokenizer"}]}
        path = write(folder / f"forms-{form}", {"pad_token": "<pad>", "eos_token": "</s>"},
                     tokenizer__json=json.dumps(forms))
        add(f"the steps of a tokenizer.json, {form}", path, {"context": 64},
            by_transformers(path, 64)[1])

    xlm_model = train_sentencepiece(folder / "trained", "xlm")
    xlm = write(folder / "xlm", {"tokenizer_class": "XLMRobertaTokenizer"},
                sentencepiece__bpe__model=xlm_model)
    tokenizer, encode = by_transformers(xlm, 77)
    add("XLM-R's sentencepiece.bpe.model", xlm, {"context": 77}, encode)
    tokenizer.save_pretrained(folder / "xlm-saved")
    add("XLM-R's tokenizer.json", folder / "xlm-saved", {"context": 77, "fill": False},
        by_transformers(folder / "xlm-saved", 77)[1])
    add("XLM-R's tokenizer.json through open_clip", folder / "xlm-saved",
        {"context": 77, "clean": "whitespace"}, by_open_clip(folder / "xlm-saved", 77))
    marked = write(folder / "xlm-marked", {
        "tokenizer_class": "XLMRobertaTokenizer", "mask_token": "<mask>", "added_tokens_decoder": {
            "1001": {"content": "<mask>", "lstrip": True, "rstrip": False, "normalized": False,
                     "single_word": False, "special": True},
            "1002": {"content": "Cat", "lstrip": True, "rstrip": True, "normalized": True,
                     "single_word": False, "special": False}}},
        tokenizer__json=folder / "xlm-saved/tokenizer.json")
    add("XLM-R's tokenizer.json with added tokens", marked, {"context": 77},
        by_transformers(marked, 77)[1])

    for name, options in {"": {}, ", identity": dict(normalization_rule_name="identity"),
                          ", case folded": dict(normalization_rule_name="nmt_nfkc_cf"),
                          ", with bytes": dict(byte_fallback=True, character_coverage=0.98),
                          ", without prefix": dict(add_dummy_prefix=False),
                          ", all blanks": dict(remove_extra_whitespaces=False),
                          ", suffixes": dict(treat_whitespace_as_suffix=True)}.items():
        model = train_sentencepiece(folder / "trained", "siglip" + name.replace(", ", "-"),
                                    **ids, **options)
        path = write(folder / ("siglip" + name.replace(", ", "-")),
                     {"tokenizer_class": "SiglipTokenizer"}, spiece__model=model)
        tokenizer, encode = by_transformers(path, 64)
        add(f"SigLIP's spiece.model{name}", path, {"context": 64}, encode)
    tokenizer.save_pretrained(folder / "siglip-saved")
    add("SigLIP's spiece.model, saved", folder / "siglip-saved", {"context": 64},
        by_transformers(folder / "siglip-saved", 64)[1])

    gemma_config = {"tokenizer_class": "GemmaTokenizer", "padding_side": "right",
                    "pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>",
                    "unk_token": "<unk>"}
    text = gemma_tokenizer().to_str()
    gemma = write(folder / "gemma", gemma_config, tokenizer__json=text)
    add("Gemma's tokenizer.json", gemma, {"context": 64}, by_transformers(gemma, 64)[1])
    eos = write(folder / "gemma-eos", gemma_config | {"add_bos_token": True, "add_eos_token": True},
                tokenizer__json=text)
    add("Gemma's tokenizer.json through open_clip", eos, {"context": 64, "clean": "canonicalize"},
        by_open_clip(eos, 64, clean="canonicalize"))
    siglip2 = write(folder / "siglip2", gemma_config | {"tokenizer_class": "Siglip2Tokenizer"},
                    tokenizer__json=text)
    add("SigLIP 2's tokenizer.json", siglip2, {"context": 64}, by_transformers(siglip2, 64)[1])
    few = json.loads(text)  # without the bytes of most characters
    few["model"]["vocab"] = {token if not token.startswith("<0x8") else f"[{token}]": i
                             for token, i in few["model"]["vocab"].items()}
    few = write(folder / "gemma-few", gemma_config, tokenizer__json=json.dumps(few))
    add("Gemma's tokenizer.json without some bytes", few, {"context": 64},
        by_transformers(few, 64)[1])

    bert_config = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    tokens = bert_tokens()
    bert = write(folder / "bert", bert_config, vocab__txt="\n".join(tokens) + "\n")
    tokenizer, encode = by_transformers(bert, 32)
    add("BERT's vocab.txt", bert, {"context": 32}, encode)
    tokenizer.save_pretrained(folder / "bert-saved")
    add("BERT's tokenizer.json", folder / "bert-saved", {"context": 32},
        by_transformers(folder / "bert-saved", 32)[1])
    add("BERT's vocab.txt through open_clip", bert,
        {"context": 32, "clean": "whitespace", "strip_sep": True},
        by_open_clip(bert, 32, strip_sep_token=True))
    cased = write(folder / "bert-cased", bert_config | {"do_lower_case": False},
                  vocab__txt="\n".join(tokens) + "\n")
    add("BERT's vocab.txt, cased", cased, {"context": 32}, by_transformers(cased, 32)[1])
    plain = write(folder / "bert-plain", {"pad_token": "[PAD]"},
                  tokenizer__json=(folder / "bert-saved/tokenizer.json").read_text())
    add("the steps of BERT's tokenizer.json", plain, {"context": 32}, by_transformers(plain, 32)[1])
    return out
