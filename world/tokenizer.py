"""Vocabularies of the picture world, in CLIP's and in SigLIP's form.

`Tokenizer`: byte pairs. Token ids follow CLIP's rule: 256 byte symbols, the same 256 with "</w>", one token per merge, then
the start and the end token. The files `vocab.json` and `merges.txt` are those of Hugging Face's
CLIP tokenizer; ids are equal to open_clip's `SimpleTokenizer` built from the same merges.
Byte-pair encoding: "Neural Machine Translation of Rare Words with Subword Units", arXiv 1508.07909.

`SentencePieces`: a unigram model of sentencepiece in `spiece.model`, with the ids of transformers'
`SiglipTokenizer`: texts in lower case without punctuation, filled up with the end token.
"""
import collections
import gzip
import json
import os
import io
import re
import string
import tempfile

import torch

from world.model import CONTEXT, write_text

HEADER = "#version: 0.2"
START, END = "<|startoftext|>", "<|endoftext|>"
VOCABULARY = 2304
MERGES = VOCABULARY - 512 - 2


def learn_merges(word_counts, count):
    """The `count` most useful merges of a {word: weight} table; ties go to the first in order."""
    words = {w: tuple(w[:-1]) + (w[-1] + "</w>",) for w in sorted(word_counts)}
    merges = []
    while len(merges) < count:
        pairs = collections.Counter()
        for word, parts in words.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += word_counts[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        joined = best[0] + best[1]
        for word, parts in words.items():
            if best[0] not in parts:
                continue
            out, i = [], 0
            while i < len(parts):
                if parts[i:i + 2] == best:
                    out.append(joined)
                    i += 2
                else:
                    out.append(parts[i])
                    i += 1
            words[word] = tuple(out)
    return merges


def count_words(texts, weight, counts):
    """Adds the lower-case words of `texts` to `counts`, `weight` for each occurrence."""
    for text in texts:
        for word in re.findall(r"[a-z]+", text.lower()):
            counts[word] += weight


class Tokenizer:
    """Texts to ids [M, context] with start and end tokens, zero padded, cut to the context."""
    FILE = "merges.txt"

    def __init__(self, merges):
        from open_clip.tokenizer import SimpleTokenizer
        self.merges = [tuple(m) for m in merges]
        lines = "\n".join([HEADER] + [" ".join(m) for m in self.merges])
        # A newline after the last merge would read as one more (empty) token.
        with tempfile.NamedTemporaryFile(suffix=".txt.gz", delete=False) as f:
            f.write(gzip.compress(lines.encode("utf-8")))
        try:
            self.inner = SimpleTokenizer(bpe_path=f.name, context_length=CONTEXT)
        finally:
            os.unlink(f.name)
        self.vocab_size = self.inner.vocab_size

    def __call__(self, texts):
        return self.inner(list(texts)) if len(texts) else torch.zeros(0, CONTEXT, dtype=torch.long)

    def save(self, directory):
        vocab = {self.inner.decoder[i]: i for i in range(self.vocab_size - 2)}
        vocab[START] = self.vocab_size - 2
        vocab[END] = self.vocab_size - 1
        write_text(os.path.join(directory, "vocab.json"),
                   json.dumps(vocab, ensure_ascii=False, separators=(",", ":")))
        write_text(os.path.join(directory, "merges.txt"),
                   "\n".join([HEADER] + [" ".join(m) for m in self.merges]))
        settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": CONTEXT,
                    "bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END,
                    "add_prefix_space": False, "do_lower_case": True}
        write_text(os.path.join(directory, "tokenizer_config.json"),
                   json.dumps(settings, indent=2) + "\n")

    @classmethod
    def learn(cls, word_counts):
        return cls(learn_merges(word_counts, MERGES))

    @classmethod
    def load(cls, directory):
        with open(os.path.join(directory, cls.FILE), encoding="utf-8") as f:
            lines = f.read().split("\n")
        return cls([tuple(line.split()) for line in lines[1:] if line])


class SentencePieces:
    """Texts to ids [M, context] with an end token, filled up with it, cut to the context."""
    FILE = "spiece.model"
    UNKNOWN, END = 0, 1

    def __init__(self, model):
        import sentencepiece
        self.model = model
        self.inner = sentencepiece.SentencePieceProcessor(model_proto=model)
        self.vocab_size = self.inner.vocab_size()

    def __call__(self, texts):
        out = torch.full((len(texts), CONTEXT), self.END)
        for row, text in zip(out, texts):
            plain = text.lower().translate(str.maketrans("", "", string.punctuation))
            ids = self.inner.encode(" ".join(plain.split()))[:CONTEXT - 1]
            row[:len(ids)] = torch.tensor(ids)
        return out

    def save(self, directory):
        with open(os.path.join(directory, self.FILE), "wb") as f:
            f.write(self.model)
        settings = {"tokenizer_class": "SiglipTokenizer", "model_max_length": CONTEXT, "eos_token": "</s>",
                    "unk_token": "<unk>", "pad_token": "</s>", "do_lower_case": True}
        write_text(os.path.join(directory, "tokenizer_config.json"),
                   json.dumps(settings, indent=2) + "\n")

    @classmethod
    def load(cls, directory):
        with open(os.path.join(directory, cls.FILE), "rb") as f:
            return cls(f.read())

    @classmethod
    def learn(cls, word_counts):
        import sentencepiece
        out = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(f"{word}\t{count}" for word, count in sorted(word_counts.items())),
            input_format="tsv", model_writer=out, vocab_size=VOCABULARY, model_type="unigram",
            hard_vocab_limit=False, normalization_rule_name="identity", character_coverage=1.0,
            unk_id=cls.UNKNOWN, eos_id=cls.END, bos_id=-1, pad_id=-1, minloglevel=2, num_threads=1)
        return cls(out.getvalue())


def load_tokenizer(directory):
    """The tokenizer of an exported model, of whichever kind its files are."""
    kinds = [kind for kind in (Tokenizer, SentencePieces)
             if os.path.exists(os.path.join(directory, kind.FILE))]
    if not kinds:
        raise FileNotFoundError(f"{directory}: neither {Tokenizer.FILE} nor {SentencePieces.FILE}")
    return kinds[0].load(directory)


def build(kind, captions, names, prompts):
    """A tokenizer of class `kind` from sampled captions, prompt sentences and a list of plain English names.

    Every word of a prompt should be one token, so prompts weigh most; names only teach the common
    pieces of English words.
    """
    counts = collections.Counter()
    count_words(prompts, 50, counts)
    count_words(captions, 2, counts)
    count_words(names, 1, counts)
    return kind.learn(counts)
