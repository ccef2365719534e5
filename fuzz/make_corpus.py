"""Writes the seeds of the fuzz targets: python3 fuzz/make_corpus.py

Small valid files of every kind that a reader knows, and some that it refuses. Files whose names
begin with `found-` are inputs that a fuzzer found; they are kept as they are.
"""

import base64
import gzip
import io
import json
import pickle
import struct
import sys
import tarfile
import zlib
from pathlib import Path

CORPUS = Path(__file__).resolve().parent / "corpus"
TYPE = {"F64": "d", "F32": "f"}


def put(target, name, content):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        content = content.encode()
    (folder / name).write_bytes(content)


def parts(**files):
    """One input of several files; `_` stands for the dot of a name's ending."""
    out = b""
    for name, content in files.items():
        stem, ending = name.rsplit("_", 1)
        content = content if isinstance(content, bytes) else content.encode()
        out += b"--- " + f"{stem}.{ending}\n".encode() + content + b"\n"
    return out[:-1]


def count(shape):
    n = 1
    for d in shape:
        n *= d
    return n


def safetensors(tensors, metadata=None):
    """tensors: {name: (dtype, shape, bytes or None for small numbers)}"""
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, (dtype, shape, content) in tensors.items():
        if content is None:
            n = count(shape)
            values = [(i * 7 % 11) / 8 + 0.25 for i in range(n)]
            content = struct.pack(f"<{n}{TYPE[dtype]}", *values)
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def make_safetensors():
    put("safetensors", "one", safetensors({"a": ("F32", [2, 3], None)}))
    put("safetensors", "types", safetensors(
        {"d": ("F64", [1], None), "f": ("F32", [2], None), "h": ("F16", [2], b"\0\x3c\1\0"),
         "b": ("BF16", [2], b"\x80\x3f\xc0\x7f"), "i": ("I64", [1], b"\1" + b"\0" * 7),
         "u": ("U8", [3], b"abc"), "t": ("BOOL", [1], b"\1"), "none": ("F32", [0, 5], b""),
         "scalar": ("F32", [], b"\0\0\x80\x3f")}, {"format": "pt"}))
    put("safetensors", "huge-header", struct.pack("<Q", 1 << 60) + b"{}")
    put("safetensors", "overflow", safetensors({"a": ("F32", [1 << 62, 4], b"")}))
    put("safetensors", "lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n")


def npy(version, dictionary, data):
    size = struct.pack("<H" if version == 1 else "<I", len(dictionary))
    return b"\x93NUMPY" + bytes([version, 0]) + size + dictionary.encode() + data


def make_npy():
    head = "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }\n"
    put("npy", "f4", npy(1, head % ("<f4", False, "(2, 2)"), struct.pack("<4f", 1, 2, 3, 4)))
    put("npy", "f8", npy(2, head % ("<f8", False, "(3,)"), struct.pack("<3d", 1, 2, 1e300)))
    put("npy", "f2", npy(3, head % ("<f2", False, "()"), b"\0\x3c"))
    put("npy", "fortran", npy(1, head % ("<f4", True, "(1, 1)"), b"\0\0\0\0"))
    put("npy", "fields", npy(1, "{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,)}",
                             b"\0\0\0\0"))
    put("npy", "huge", npy(1, head % ("<f4", False, "(4611686018427387904, 4)"), b""))


def make_json():
    put("json", "all", '{"a": [1, -2, 3.5e-7, true, false, null, "x\\u00e9\\ud83d\\ude00\\n"],'
        ' "id": 18446744073709551615, "": {"o": {}}, "b": 1e308}')
    put("json", "twice", '{"a": 1, "a": 2}')
    put("json", "nested", "[" * 80 + "]" * 80)
    put("json", "utf8", b'["\xff\xc3\x28"]')
    put("json", "bom", b"\xef\xbb\xbf[]")


TOWERS = {"embed_dim": 2, "quick_gelu": True,
          "vision_cfg": {"image_size": 2, "layers": 1, "width": 2, "head_width": 2,
                         "patch_size": 1, "mlp_ratio": 1.5},
          "text_cfg": {"context_length": 3, "vocab_size": 4, "width": 2, "heads": 1, "layers": 1,
                       "mlp_ratio": 2.0}}


HUGGING_FACE = {
    "model_type": "clip", "projection_dim": 2, "architectures": ["CLIPModel"],
    "vision_config": {"hidden_size": 2, "intermediate_size": 3, "num_hidden_layers": 1,
                      "num_attention_heads": 1, "image_size": 2, "patch_size": 1},
    "text_config": {"hidden_size": 2, "intermediate_size": 4, "num_hidden_layers": 1,
                    "num_attention_heads": 1, "max_position_embeddings": 3, "vocab_size": 4,
                    "eos_token_id": 3}}


def make_config():
    full = {"embed_dim": 512, "init_logit_scale": 2.6,
            "vision_cfg": {"image_size": [224, 224], "layers": 12, "width": 768, "head_width": 64,
                           "patch_size": 32, "mlp_ratio": 4.0, "patch_dropout": 0.5,
                           "ls_init_value": None, "norm_kwargs": {"eps": 1e-6},
                           "pool_type": "tok"},
            "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8,
                         "layers": 12, "pad_id": 0, "act_kwargs": None, "pool_type": "argmax"}}
    pre = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.5, 1], "interpolation": "bilinear",
           "resize_mode": "longest", "fill_color": 7, "mode": "RGB", "size": [224, 224]}
    put("config", "small", json.dumps(TOWERS))
    put("config", "full", json.dumps({"model_cfg": full, "preprocess_cfg": pre}))
    put("config", "wrong-types", json.dumps({"model_cfg": {**full, "vision_cfg": {"layers": "x"}}}))
    put("config", "timm", json.dumps({**TOWERS, "vision_cfg": {"timm_model_name": "resnet50"}}))
    put("config", "hugging-face", json.dumps(HUGGING_FACE))
    put("config", "hugging-face-old", json.dumps(
        {"model_type": "clip", "vision_config_dict": {"hidden_act": "gelu"},
         "text_config_dict": {"hidden_act": "gelu", "eos_token_id": 2}, "projection_dim": 512}))
    put("config", "siglip", json.dumps({"model_type": "siglip"}))
    put("config", "huge", json.dumps({**TOWERS, "embed_dim": 1 << 63}))


def make_preprocessor():
    old = {"crop_size": 224, "do_center_crop": True, "do_normalize": True, "do_resize": True,
           "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": [0.5, 0.4, 0.3],
           "image_std": [0.2, 0.3, 0.4], "resample": 3, "size": 224}
    new = {"crop_size": {"height": 2, "width": 2}, "do_center_crop": False, "image_mean": 0.5,
           "do_convert_rgb": True, "do_rescale": False,
           "image_processor_type": "CLIPImageProcessor",
           "resample": 2, "rescale_factor": 0.00392156862745098, "default_to_square": True,
           "size": {"height": 2, "width": 2}, "image_std": None}
    put("preprocessor", "old", json.dumps(old))
    put("preprocessor", "new", json.dumps(new))
    put("preprocessor", "shortest", json.dumps({**new, "do_center_crop": True,
                                                "size": {"shortest_edge": 3}}))
    put("preprocessor", "pair", json.dumps(
        {"size": [3, 4], "do_resize": False, "crop_size": [5, 5]}))


def block(prefix, width, mlp):
    return {f"{prefix}.{name}": ("F32", shape, None) for name, shape in {
        "ln_1.weight": [width], "ln_1.bias": [width], "ln_2.weight": [width], "ln_2.bias": [width],
        "attn.in_proj_weight": [3 * width, width], "attn.in_proj_bias": [3 * width],
        "attn.out_proj.weight": [width, width], "attn.out_proj.bias": [width],
        "mlp.c_fc.weight": [mlp, width], "mlp.c_fc.bias": [mlp],
        "mlp.c_proj.weight": [width, mlp], "mlp.c_proj.bias": [width]}.items()}


def hugging_face_block(prefix, width, mlp):
    shapes = {f"layer_norm{n}.{what}": [width] for n in (1, 2) for what in ("weight", "bias")}
    for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
        shapes |= {f"self_attn.{part}.weight": [width, width], f"self_attn.{part}.bias": [width]}
    shapes |= {"mlp.fc1.weight": [mlp, width], "mlp.fc1.bias": [mlp],
               "mlp.fc2.weight": [width, mlp], "mlp.fc2.bias": [width]}
    return {f"{prefix}.{name}": ("F32", shape, None) for name, shape in shapes.items()}


def make_checkpoint():
    vision, text = "vision_model.", "text_model."
    tensors = {name: ("F32", shape, None) for name, shape in {
        vision + "embeddings.patch_embedding.weight": [2, 3, 1, 1],
        vision + "embeddings.class_embedding": [2],
        vision + "embeddings.position_embedding.weight": [5, 2],
        vision + "pre_layrnorm.weight": [2], vision + "pre_layrnorm.bias": [2],
        vision + "post_layernorm.weight": [2], vision + "post_layernorm.bias": [2],
        text + "embeddings.token_embedding.weight": [4, 2],
        text + "embeddings.position_embedding.weight": [3, 2],
        text + "final_layer_norm.weight": [2], text + "final_layer_norm.bias": [2],
        "visual_projection.weight": [2, 2], "text_projection.weight": [2, 2],
        "logit_scale": []}.items()}
    tensors |= hugging_face_block(vision + "encoder.layers.0", 2, 3)
    tensors |= hugging_face_block(text + "encoder.layers.0", 2, 4)
    put("checkpoint", "hugging-face", parts(
        config_json=json.dumps(HUGGING_FACE), model_safetensors=safetensors(tensors),
        preprocessor_config_json=json.dumps({"size": 2, "crop_size": 2})))
    tensors = {name: ("F32", shape, None) for name, shape in {
        "visual.conv1.weight": [2, 3, 1, 1], "visual.class_embedding": [2],
        "visual.positional_embedding": [5, 2], "visual.ln_pre.weight": [2],
        "visual.ln_pre.bias": [2], "visual.ln_post.weight": [2], "visual.ln_post.bias": [2],
        "visual.proj": [2, 2], "token_embedding.weight": [4, 2], "positional_embedding": [3, 2],
        "ln_final.weight": [2], "ln_final.bias": [2], "text_projection": [2, 2],
        "logit_scale": []}.items()}
    tensors |= block("visual.transformer.resblocks.0", 2, 3)
    tensors |= block("transformer.resblocks.0", 2, 4)
    put("checkpoint", "small", parts(open_clip_config_json=json.dumps(TOWERS),
                                     open_clip_model_safetensors=safetensors(tensors)))
    put("checkpoint", "alone", parts(
        arch_json=json.dumps(TOWERS), alone_pt=archive(
            {"a/data.pkl": program(dictionary({"epoch": number(1), "state_dict": dictionary(
                {"module." + key: tensor("FloatStorage", "0", 40, 0, shape, strides(shape))
                 for key, (_, shape, _) in tensors.items()})})), "a/data/0": bytes(160)})))
    del tensors["visual.proj"]
    put("checkpoint", "missing", parts(open_clip_config_json=json.dumps(TOWERS),
                                       open_clip_model_safetensors=safetensors(tensors)))


def byte_names():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]


def make_vocabulary():
    start, end = "<|startoftext|>", "<|endoftext|>"
    # A vocabulary without most bytes is allowed where a token for unknown ones is named.
    letters = "elowrst"
    names = [*letters, *[c + "</w>" for c in letters], "lo", "low</w>", "er</w>", start, end]
    ids = {name: i for i, name in enumerate(names)}
    merges = "#version: 0.2\nl o\nlo w</w>\ne r</w>\n"
    special = {"bos_token": {"content": start}, "eos_token": end}
    put("vocabulary", "pair", parts(vocab_json=json.dumps(ids), merges_txt=merges,
                                    special_tokens_map_json=json.dumps(special)))
    put("vocabulary", "merges", parts(merges_txt=merges))
    put("vocabulary", "tokenizer", parts(tokenizer_json=json.dumps(
        {"model": {"type": "BPE", "end_of_word_suffix": "</w>", "unk_token": end,
                   "vocab": {n: i for n, i in ids.items() if n != start},
                   "merges": ["l o", ["lo", "w</w>"], "e r</w>"], "fuse_unk": False},
         "added_tokens": [{"id": ids[token], "content": token} for token in (start, end)]})))
    full = [*byte_names(), *[c + "</w>" for c in byte_names()], "lo", "low</w>", start, end]
    put("vocabulary", "bytes", parts(
        vocab_json=json.dumps({n: i for i, n in enumerate(full)}, ensure_ascii=False),
        merges_txt="l o\nlo w</w>\n", tokenizer_config_json=json.dumps({"bos_token": start})))
    put("vocabulary", "added", parts(
        vocab_json=json.dumps(ids), merges_txt=merges, added_tokens_json=json.dumps({"<x>": 30}),
        special_tokens_map_json=json.dumps({"bos_token": start, "eos_token": end,
                                            "pad_token": "<x>", "unk_token": end})))
    put("vocabulary", "decoder", parts(
        vocab_json=json.dumps(ids), merges_txt=merges, tokenizer_config_json=json.dumps(
            {"added_tokens_decoder": {str(ids[end]): {"content": end, "special": True},
                                      "40": {"content": "low", "normalized": True}},
             "bos_token": start, "eos_token": end, "unk_token": end, "pad_token": end,
             "model_max_length": 6, "tokenizer_class": "CLIPTokenizer"})))
    put("vocabulary", "twice", parts(vocab_json='{"a</w>": 1, "b": 1}', merges_txt="a b\n"))


def make_tokenizer():
    for name, text in {
            "plain": "The lowest and the lower: it's 3.14% of them",
            "mojibake": "schÃ¶n â\x80\x99 Ã©tÃ© &amp;amp; &eacute; &#x1F600; &#0; &unknown;",
            "scripts": "日本語 العربية हिन्दी ไทย 🏳️‍🌈 é ﬁ İ Σς ǅ",
            "blanks": " \t\n\u00a0\u2003\u200b\u2028 x \x00\x1b[31m \u001c ",
            "special": "<start_of_text> a <end_of_text> <|endoftext|>",
            "quotes": "“it’s” ‘don’t’ we'll I'VE 'S ''s"}.items():
        put("tokenizer", name, text)
    put("tokenizer", "not-utf8", b"a\xff\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80b")
    put("tokenizer", "long", "lower and " * 60)


def proto(number, value):
    """A field of a protocol buffer: bytes, a float or a whole number."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3) + varint(value)


def character_map(key, value):
    """sentencepiece's map of characters with one rule: each byte's unit in a block of its own."""
    units, at = [0] * 256 * (len(key) + 2), 0
    for i, byte in enumerate(key):
        offset = (at & ~0xFF) ^ 256 * (i + 1)
        units[at] |= offset << 10
        at ^= offset ^ byte
        units[at] = byte
    offset = (at & ~0xFF) ^ 256 * (len(key) + 1)
    units[at] |= offset << 10 | 1 << 8
    units[at ^ offset] = 1 << 31
    array = struct.pack(f"<{len(units)}I", *units)
    return struct.pack("<I", len(array)) + array + value + b"\0"


def sentencepiece(pieces, rule=b"", trainer=b"", normalizer=b""):
    out = b"".join(proto(1, proto(1, text.encode()) + proto(2, float(score)) + proto(3, kind))
                   for text, score, kind in pieces)
    return out + proto(2, trainer) + proto(3, (proto(2, rule) if rule else b"") + normalizer)


PIECES = [("<pad>", 0, 3), ("</s>", 0, 3), ("<unk>", 0, 2), ("▁", -2, 1), ("▁a", -1, 1),
          ("▁cat", -3, 1), ("c", -4, 1), ("at", -2.5, 1), ("fi", -3, 1)]
SIGLIP = {"tokenizer_class": "SiglipTokenizer"}


def make_sentencepiece():
    put("sentencepiece", "plain", sentencepiece(PIECES))
    put("sentencepiece", "map", sentencepiece(PIECES, character_map("ﬁ".encode(), b"fi")))
    put("sentencepiece", "bytes", sentencepiece(
        PIECES + [(f"<0x{b:02X}>", 0, 6) for b in range(256)], trainer=proto(35, 1)))
    put("sentencepiece", "blanks", sentencepiece(
        PIECES, trainer=proto(24, 1), normalizer=proto(3, 1) + proto(4, 0) + proto(5, 0)))


def make_token_files():
    model = sentencepiece(PIECES, character_map("ﬁ".encode(), b"fi"))
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    put("token_files", "t5", parts(spiece_model=model, tokenizer_config_json=json.dumps(
        {"tokenizer_class": "T5Tokenizer", "extra_ids": 2})))
    put("token_files", "siglip", parts(spiece_model=model, tokenizer_config_json=json.dumps(SIGLIP)))
    xlm = sentencepiece([("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3)] + PIECES[3:])
    put("token_files", "xlm", parts(**{"sentencepiece.bpe_model": xlm}))
    unigram = {"type": "Unigram", "unk_id": 2, "vocab": [[t, s] for t, s, _ in PIECES]}
    template = {"type": "TemplateProcessing", "single": [
        {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}],
        "special_tokens": {"</s>": {"ids": [1]}}}
    rule = base64.b64encode(character_map(b"e", b"c")).decode()
    steps = [{"type": "Precompiled", "precompiled_charsmap": rule},
             {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
             {"type": "NFKC"}, {"type": "Lowercase"}, {"type": "Prepend", "prepend": "▁"},
             {"type": "Strip", "strip_left": True, "strip_right": True}]
    splits = [{"type": "WhitespaceSplit"},
              {"type": "Split", "pattern": {"String": "t"}, "behavior": "MergedWithPrevious"},
              {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}]
    put("token_files", "steps", parts(
        tokenizer_json=json.dumps({
            "model": unigram, "normalizer": {"type": "Sequence", "normalizers": steps},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": splits},
            "post_processor": template, "added_tokens": [
                {"id": 1, "content": "</s>"},
                {"id": 9, "content": "<x>", "lstrip": True, "rstrip": True, "normalized": True}]}),
        tokenizer_config_json=json.dumps(special)))
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "a", "c", "t", "at", "cat", "▁", "▁a"]
    tokens += [f"<0x{b:02X}>" for b in (0xE7, 0x8C, 0xAB)]
    put("token_files", "gemma", parts(
        tokenizer_json=json.dumps({"model": {
            "type": "BPE", "vocab": {t: i for i, t in enumerate(tokens)}, "byte_fallback": True,
            "merges": ["a t", ["c", "at"], "▁ a"], "unk_token": "<unk>", "fuse_unk": True},
            "added_tokens": [], "post_processor": {
                "type": "BertProcessing", "cls": ["<bos>", 2], "sep": ["<eos>", 1]}}),
        tokenizer_config_json=json.dumps({"tokenizer_class": "Siglip2Tokenizer", "padding_side": "right"})))
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "##t", "ca", "猫", ","]
    put("token_files", "bert", parts(vocab_txt="\n".join(words)))
    put("token_files", "older", parts(
        vocab_txt="\n".join(words), tokenizer_config_json=json.dumps({"do_lower_case": False}),
        special_tokens_map_json=json.dumps({"unk_token": {"content": "[UNK]"}, "sep_token": ",",
                                            "additional_special_tokens": ["<y>"]}),
        added_tokens_json=json.dumps({"<x>": 11, "<y>": 12})))
    put("token_files", "bert-json", parts(
        tokenizer_json=json.dumps({"added_tokens": [], "model": {
            "type": "WordPiece", "vocab": {t: i for i, t in enumerate(words)},
            "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 9}, "normalizer": {"type": "BertNormalizer"},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3]}}),
        tokenizer_config_json=json.dumps({"pad_token": "[PAD]", "eos_token": "[SEP]"})))


def make_hub():
    commit = "a" * 40
    put("hub", "listing", "--- listing\n" + json.dumps({"sha": commit, "siblings": [
        {"rfilename": "config.json"}, {"rfilename": "../../x"}]}))

    def head(name, status, **headers):
        lines = [f"HTTP/1.1 {status}", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items()), "", ""]
        put("hub", name, "--- head\n" + "\r\n".join(lines))

    head("small", "200 OK", ETag=f'"{"b" * 40}"', X_Repo_Commit=commit, Content_Length=5000)
    head("large", "302 Found", X_Linked_ETag=f'"{"c" * 64}"', X_Linked_Size=5000, X_Repo_Commit=commit,
         Location="https://cdn.example.org/x?signature=secret")
    head("renamed", "307 Temporary Redirect", Location="/c/d/resolve/main/config.json", ETag='W/"x-1.y_z"')
    head("astray", "301 Moved", Location="http://example.org:80/", ETag='""')
    head("part", "206 Partial Content", Content_Range="bytes 1000-4999/5000", ETag='"e"')
    head("wait", "429 Too Many Requests", Retry_After="Wed, 21 Oct 2026 07:28:00 GMT")
    head("seconds", "503 Busy", Retry_After=120)
    head("gated", "403 Forbidden", X_Error_Code="GatedRepo")
    head("none", "404 Not Found", X_Error_Code="RevisionNotFound")
    put("hub", "proxy", "--- head\nHTTP/1.1 200 Connection established\r\nETag: x\r\n\r\nHTTP/2 200\r\n"
        'etag: "y"\r\nno colon\r\n: no name\r\n\r\n')


def make_texts():
    put("texts", "pool", "\ufeffa duck\tobject\n\n  in the snow\tplace \na sketch\n")
    put("texts", "classes", "a duck\tduck\r\na swan\n")
    put("texts", "templates", "a photo of a {}.\n{} and {}, {{}}\n")
    put("texts", "not-utf8", b"a\nb\xff\n")
    put("texts", "blank", " \n\t\n")


def png(width, height, depth, color, rows, extra=b"", interlace=0):
    def chunk(kind, content):
        return (struct.pack(">I", len(content)) + kind + content +
                struct.pack(">I", zlib.crc32(kind + content)))
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra +
            chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def make_pictures():
    """Small pictures of the formats that Pillow writes. Without Pillow those that are there stay."""
    try:
        import numpy
        sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
        import format_pictures
    except ImportError:
        print("no Pillow: pictures are left as they are", file=sys.stderr)
        return
    wanted = {
        "bmps": ["P-17x13.bmp", "header-12-4-bits.bmp", "565.bmp", "32-fields-5.bmp", "runs-8.bmp", "runs-4.bmp"],
        "gifs": ["P-17x13.gif", "part-clear-palette.gif", "local-none.gif", "interlaced.gif"],
        "tiffs": ["tiff_lzw-L.tif", "P-17x13.tif", "packbits-1.tif", "group4.tif", "jpeg-RGB.tif", "ycbcr-lzw.tif",
                  "ii-gray-f4.tif", "mm-gray-i2.tif", "mm-rgb-5-2-0-8.tif", "ii-rgb-4-2-8-packed-planes.tif",
                  "packed-tiles-3.tif", "orientation-6.tif"],
        "avifs": ["RGB-17x13.avif", "RGBA-17x13.avif", "400-limited-RGB.avif", "orientation-7.avif"],
        "jpeg2000s": ["L-17x13.j2k", "RGBA-17x13.jp2", "I;16-5x40.jp2", "tiles.jp2", "ycc.jp2"],
        "heics": ["RGB-17x13-60.heic", "LA-17x13-60.heic"],
    }
    for kind, names in wanted.items():
        try:
            pictures = dict(getattr(format_pictures, kind)(numpy.random.default_rng(1)))
        except ImportError:
            continue
        for name in names:
            put("image", name.replace(";", "-"), pictures[name])


def make_image():
    make_pictures()
    # The pictures of tests/data/pixels are seeds too.
    put("image", "flat.png", png(600, 400, 8, 2, (b"\0" + b"\x40" * 1800) * 400))
    put("image", "claims.png", png(60_000, 60_000, 8, 2, b"\0" * 4096))
    put("image", "gif", b"GIF89a\1\0\1\0\0\0\0;")
    # A lossless WebP of one colour takes a few bytes whatever its sides.
    bits = 0x2F | 0x3FFF << 8 | 0x3FFF << 22
    put("image", "claims.webp", b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8L" +
        struct.pack("<I", 18) + struct.pack("<Q", bits)[:5] + bytes(13))
    # A JPEG that ends after claiming 65,500 x 65,500 and one of 12,000 x 12,000.
    for name, side in (("claims.jpg", 65_500), ("claims-12000.jpg", 12_000)):
        put("image", name, b"\xff\xd8\xff\xc0\0\x0b\x08" + struct.pack(">HH", side, side) +
            b"\1\1\x11\0\xff\xda\0\x08\1\1\0\0\x3f\0\0\0")


def tar(members, form=tarfile.USTAR_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    # tarfile fills up to 10 KB; the end mark is enough.
    return out.getvalue().rstrip(b"\0").ljust(1, b"\0") if not members else trim(out.getvalue())


def trim(archive):
    size = (len(archive.rstrip(b"\0")) + 511) // 512 * 512
    return archive[:size] + bytes(1024)


def matlab(kind, content):
    return struct.pack("<II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def matlab_array(array_class, shape, name, content):
    return matlab(14, matlab(6, struct.pack("<II", array_class, 0)) +
                  matlab(5, struct.pack(f"<{len(shape)}i", *shape)) + matlab(1, name) + content)


def make_matlab5():
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
    number = matlab_array(6, [1, 1], b"", struct.pack("<IBxxx", 1 << 16 | 2, 7))
    text = matlab_array(4, [1, 9], b"", matlab(4, "n02119789".encode("utf-16-le")))
    fields = struct.pack("<II", 4 << 16 | 5, 32) + matlab(1, b"".join(
        f.ljust(32, b"\0") for f in [b"ILSVRC2012_ID", b"WNID", b"words"]))
    synsets = matlab_array(2, [1, 1], b"synsets", fields + number + text + text)
    packed = zlib.compress(synsets)
    put("matlab5", "plain", header + synsets)
    put("matlab5", "packed", header + struct.pack("<II", 15, len(packed)) + packed)
    put("matlab5", "cells", header + matlab_array(1, [2, 1], b"c", number + matlab(14, b"")))
    put("matlab5", "huge", header + matlab_array(6, [1 << 30, 1 << 30], b"x", matlab(9, b"")))
    put("matlab5", "hdf5", b"MATLAB 7.3 MAT-file".ljust(512))


def make_table():
    put("table", "plain", "path,label,mask,split\na.png,duck,a.mask.png,test\nb.png,,,train\n")
    put("table", "quoted", '\ufeff,file,note\r\n0,a.png,"x, ""y""\r\nz"\r\n\r\n1,b.png,\r\n')
    put("table", "tabs", "image\tsplit\nd/a.png\ttest\n")
    put("table", "ragged", "path,label\na.png\n")
    put("table", "open", 'path,label\na.png,"duck\n')
    put("table", "outside", "path\n../../a.png\n")


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def thrift_value(value):
    """Type and bytes of a value in Thrift's compact protocol; a dictionary is a struct."""
    if isinstance(value, bool):
        return (1 if value else 2), b""
    if isinstance(value, int):
        return 6, varint(2 * value if value >= 0 else -2 * value - 1)
    if isinstance(value, bytes):
        return 8, varint(len(value)) + value
    if isinstance(value, dict):
        return 12, thrift(value)
    elements = [thrift_value(element) for element in value]
    kind = elements[0][0] if elements else 12
    return 9, bytes([0xF0 | kind]) + varint(len(value)) + b"".join(b for _, b in elements)


def thrift(fields):
    """A struct: {number of the field: value}."""
    out, last = b"", 0
    for number, value in fields.items():
        kind, content = thrift_value(value)
        out += bytes([(number - last) << 4 | kind]) + content
        last = number
    return out + b"\0"


def parquet_page(kind, content, values, encoding=0, size=None):
    """A page (0 data, 2 dictionary) that claims `size` unpacked bytes."""
    header = {1: kind, 2: len(content) if size is None else size, 3: len(content)}
    header[5 if kind == 0 else 7] = {1: values, 2: encoding} | ({3: 3, 4: 3} if kind == 0 else {})
    return thrift(header) + content


def parquet(pages, values, rows=None, codec=0, kind=6, element=None, groups=1):
    """A table of one column, "path", whose pages every row group shares."""
    rows = values if rows is None else rows
    data = b"PAR1" + pages
    schema = [{4: b"schema", 5: 1}] + (element or [{1: kind, 3: 0, 4: b"path", 6: 0}])
    chunk = {2: 4, 3: {1: kind, 2: [0], 3: [b"path"], 4: codec, 5: values, 6: len(pages),
                       7: len(pages), 9: 4}}
    footer = thrift({1: 2, 2: schema, 3: rows * groups,
                     4: [{1: [chunk], 2: len(pages), 3: rows}] * groups})
    return data + footer + struct.pack("<I", len(footer)) + b"PAR1"


def parquet_texts(*texts):
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


# optional group path (LIST) { repeated group list { optional binary element (UTF8); } }
PARQUET_LIST = [{3: 1, 4: b"path", 5: 1, 6: 3}, {3: 2, 4: b"list", 5: 1},
                {1: 6, 3: 1, 4: b"element", 6: 0}]


def make_parquet():
    plain = parquet_page(0, parquet_texts(b"a.png", b"b.png"), 2)
    put("parquet", "plain", parquet(plain, 2))
    put("parquet", "overlap", parquet(plain, 2, groups=3))
    put("parquet", "rows", parquet(plain, 2, rows=1 << 40))
    words = parquet_page(2, parquet_texts(b"a.png", b"b.png"), 2)
    put("parquet", "dictionary", parquet(words + parquet_page(0, b"\1\3\x05", 8, 8), 8))
    put("parquet", "no-width", parquet(words + parquet_page(0, b"\0" + varint(2 << 20), 1 << 20, 8),
                                       1 << 20))
    levels = b"\2\0\0\0\x03\x06", b"\2\0\0\0\x08\x03"
    put("parquet", "list", parquet(parquet_page(0, b"".join(levels) + parquet_texts(
        b"a", b"b", b"c", b"d"), 4), 4, rows=2, element=PARQUET_LIST))
    put("parquet", "brotli", parquet(plain, 2, codec=4))
    put("parquet", "deep", b"PAR1" + b"\x1c" * 80 + struct.pack("<I", 80) + b"PAR1")


def make_webdataset():
    item = [("a/0.png", b"\x89PNG"), ("a/0.mask.png", b"mask"), ("a/0.cls", b"3\n"),
            ("a/0.json", b'{"label": "duck", "n": [1, 2]}'), ("a/0.txt", b" a duck ")]
    put("webdataset", "ustar", tar(item))
    put("webdataset", "gnu", tar([("d" * 120 + "/1.jpg", b"\xff\xd8\xff"), ("1.cls", b"x")],
                                 tarfile.GNU_FORMAT))
    put("webdataset", "pax", tar([("d" * 120 + "/\u00e9.webp", b"RIFF"), ("2.json", b"{}")],
                                 tarfile.PAX_FORMAT))
    put("webdataset", "twice", tar([("0.png", b"1"), ("0.png", b"2")]))
    put("webdataset", "cut", tar(item)[:1300])
    put("webdataset", "gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\3")
    head = bytearray(tar([("0.png", b"")])[:512])
    # A member of 8 GB in octal and one of 2^62 bytes in base 256.
    for name, size in (("huge", b"77777777777\0"), ("huge-binary", b"\x80\0\0\0\x40" + bytes(7))):
        head[124:136] = size
        head[148:156] = b" " * 8
        head[148:156] = b"%06o\0 " % sum(head)
        put("webdataset", name, bytes(head) + bytes(1024))


def make_cifar():
    pixels = bytes(range(256)) * 12
    ten = [(f"cifar-10-batches-bin/{name}", content) for name, content in
           [("batches.meta.txt", b"airplane\nautomobile\n\n"), ("test_batch.bin", b"\1" + pixels)]]
    hundred = [(f"cifar-100-binary/{name}", content) for name, content in
               [("coarse_label_names.txt", b"insects\n"), ("fine_label_names.txt", b"bee\n"),
                ("test.bin", b"\0\0" + pixels)]]
    put("cifar", "ten", tar(ten))
    put("cifar", "hundred", tar(hundred))
    put("cifar", "packed", gzip.compress(tar(ten), mtime=0))
    put("cifar", "cut", gzip.compress(tar(ten), mtime=0)[:400])
    put("cifar", "twice", tar(ten + ten))
    put("cifar", "short", tar([*ten[:1], (ten[1][0], b"\1")]))


def triangle(n):
    return n * (n + 1) // 2


def fixed(shape):
    """Numbers of the statistics: 128-bit integers in units of 2^-72."""
    return ("I64", [*shape, 2], b"".join(
        ((i % 7 + 1) << 68).to_bytes(16, "little") for i in range(count(shape))))


def store(images, slices=2, stats_only=False, part=None, skipped=()):
    layers, heads, width, embed = 1, 2, 2, 3
    factor = width + 3
    per_slice = [images - (slices - 1) * (images // slices)] + [images // slices] * (slices - 1)
    stats = {name: fixed(shape) for name, shape in {
        "head_sum": [slices, layers, heads, factor],
        "head_square": [slices, layers, heads, triangle(factor)],
        "mlp_sum": [slices, layers + 1, embed], "mlp_square": [slices, layers + 1],
        "cls_attn_sum": [slices, layers, embed], "cls_attn_square": [slices, layers],
        "embedding_sum": [slices, embed], "embedding_square": [slices],
        "shared": [slices, layers * heads + layers + 1],
        "mlp_total_square": [layers + 1, triangle(embed)],
        "cls_attn_total_square": [layers, triangle(embed)], "certificate_sum": [1]}.items()}
    stats["count"] = ("I64", [slices], struct.pack(f"<{slices}q", *per_slice))
    stats["certificate_max"] = ("F64", [1], struct.pack("<d", 1e-7))
    shard = safetensors({name: ("F32", shape, None) for name, shape in {
        "head_z": [layers, heads, images, width], "ln": [images, 3],
        "mlp": [layers + 1, images, embed], "cls_attn": [layers, images, embed],
        "embedding": [images, embed]}.items()})
    items = "".join(json.dumps(
        {"path": f"{i}.png", **({"label": "duck", "attributes": {"n": i}} if i % 2 else {})}) + "\n"
        for i in range(images))
    manifest = {
        "format": "cliplens.store/3", "version": 3,
        "model": {"name": "m", "path": "/m", "architecture": "", "fingerprint": "0" * 32,
                  "config": {"a": 1}},
        "precision": "fp32", "store_dtype": "fp32", "stats_only": stats_only, "images": images,
        "slices": slices, "certificate": {"max": 1e-7, "mean": 1e-8},
        **({"part": {"index": part[0], "of": part[1]}} if part else {}),
        "data": [{"kind": "folder", "root": "/p", "images": images,
                  "set_images": images + len(skipped), "set_checksum": "0" * 32,
                  "shard_images": 1024}],
        **({"skipped": [{"index": i, "path": f"{i}.png", "message": "cut off", "data": 0}
                        for i in skipped]} if skipped else {}),
        "statistics": {"file": "stats.safetensors", "checksum": "@stats.safetensors@"},
        "basis": {"file": "basis.safetensors", "checksum": "@basis.safetensors@"},
        "shards": [] if stats_only else [
            {"file": "shard-00000.safetensors", "images": images,
             "checksum": "@shard-00000.safetensors@", "items": "items-00000.jsonl",
             "items_checksum": "@items-00000.jsonl@", "data": 0, "range": 0}],
        "checksum": "@manifest.json@"}
    files = {"manifest_json": json.dumps(manifest, indent=2) + "\n",
             "stats_safetensors": safetensors(stats),
             "basis_safetensors": safetensors(
                 {"heads": ("F32", [layers, heads, factor, embed], None)})}
    if not stats_only:
        files |= {"items-00000_jsonl": items, "shard-00000_safetensors": shard}
    return parts(**files)


def make_store():
    put("store", "small", store(3))
    put("store", "stats-only", store(4, stats_only=True))
    put("store", "one-slice", store(1, slices=1))
    put("store", "part", store(2, part=(1, 3)))
    put("store", "skipped", store(2, skipped=(2, 3)))
    put("store", "first-format", store(3).replace(b"store/3", b"store/1"))


def edit(components, means=True, note=None):
    document = {"format": "cliplens.edit/1",
                "model": {"name": "m", "fingerprint": "0" * 32, "layers": 2, "heads": 2,
                          "embed_width": 3},
                **({"means": {"store": "s", "images": 9}} if means else {}),
                **({"note": note} if note else {}), "components": components,
                "checksum": "@edit.json@"}
    return json.dumps(document, indent=2) + "\n"


def make_edit():
    mean = {"mode": "mean", "mean": [0.5, -1e-3, 2]}
    put("edit", "mean", edit([{"component": "L1.H0", **mean}], note="by hand"))
    put("edit", "scale", edit([{"component": "L0", "mode": "scale", "scale": 0.5},
                               {"component": "L1.MLP", "mode": "scale", "scale": -1}], False))
    put("edit", "all", edit([{"component": c, **mean}
                             for c in ("INPUT", "L0", "L0.MLP", "L1.H1", "L1.MLP")]))


def archive(entries, deflated=(), crc=False):
    """A zip archive. Checksums are 0, as writers that compute none leave them, because with them
    no change would get past. An entry may be (deflated bytes, size)."""
    out, directory = b"", b""
    for name, content in entries.items():
        whole = isinstance(content, bytes)
        packed, size = (content, len(content)) if whole else content
        if name in deflated:
            packer = zlib.compressobj(9, zlib.DEFLATED, -15)
            packed = packer.compress(content) + packer.flush()
        common = struct.pack("<HHHHHIIIHH", 20, 0, 0 if whole and name not in deflated else 8, 0,
                             33, zlib.crc32(content) if crc else 0, len(packed), size, len(name), 0)
        directory += (b"PK\1\2" + struct.pack("<H", 20) + common +
                      struct.pack("<HHHII", 0, 0, 0, 0, len(out)) + name.encode())
        out += b"PK\3\4" + common + name.encode() + packed
    n = len(entries)
    return out + directory + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, n, n, len(directory),
                                                     len(out), 0)


def make_zip():
    put("zip", "stored", archive({"a/one": b"12345", "a/two": b""}))
    put("zip", "deflated", archive({"one": b"x" * 500, "two": b"yz"}, deflated={"one"}))
    put("zip", "checked", archive({"one": b"x" * 50, "two": b"yz"}, deflated={"two"}, crc=True))
    put("zip", "bomb", archive({"zeros": bytes(1 << 20)}, deflated={"zeros"}))
    put("zip", "empty", archive({}))


def name(text):
    return b"c" + text.replace(" ", "\n").encode() + b"\n"


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(n):
    return b"K" + bytes([n]) if n < 256 else b"J" + struct.pack("<i", n)


def numbers(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(kind, key, size):
    return (b"(" + text("storage") + name(f"torch {kind}") + text(key) + text("cpu") +
            number(size) + b"tQ")


def strides(shape):
    return [count(shape[i + 1:]) for i in range(len(shape))]


def tensor(kind, key, size, offset, shape, steps):
    return (name("torch._utils _rebuild_tensor_v2") + b"(" + storage(kind, key, size) +
            number(offset) + numbers(shape) + numbers(steps) + b"\x89" +
            name("collections OrderedDict") + b")RtR")


def dictionary(members, ordered=False):
    head = name("collections OrderedDict") + b")R" if ordered else b"}"
    return head + b"(" + b"".join(text(key) + value for key, value in members.items()) + b"u"


def program(value):
    return b"\x80\x02" + value + b"."


F4 = struct.pack("<6f", 1, -2, 3.5, 4, 1e-9, 6)
STATE = {"weight": tensor("FloatStorage", "0", 6, 0, [2, 3], [3, 1]),
         "view": tensor("FloatStorage", "0", 6, 1, [2, 2], [1, 2]),
         "half": tensor("HalfStorage", "1", 2, 0, [2], [1]),
         "scale": tensor("DoubleStorage", "2", 1, 0, [], []),
         "steps": tensor("LongStorage", "2", 1, 0, [1], [1])}
STORAGES = {"0": F4, "1": b"\0\x3c\0\xc0", "2": struct.pack("<d", 4.6)}


def make_pickle():
    checkpoint = dictionary({
        "epoch": number(3), "name": text("ViT"), "lr": b"G" + struct.pack(">d", 5e-4),
        "flags": b"(\x88\x89Nt", "list": b"](K\1K\2e", "big": b"\x8a\x09" + bytes(8) + b"\1",
        "state_dict": dictionary(STATE, ordered=True)})
    put("pickle", "checkpoint", program(checkpoint))
    put("pickle", "memo", b"\x80\x04\x95\x13\0\0\0\0\0\0\0}\x94(\x8c\1a\x94]\x94K\1ah\2"
        b"\x8c\1b\x94h\2u.")
    put("pickle", "system", program(name("os system") + b"(" + text("true") + b"tR"))
    put("pickle", "stack-global", b"\x80\x04\x8c\2os\x8c\6system\x93\x8c\4true\x85R.")
    put("pickle", "module", program(name("__torch__ Net") + b")\x81" + dictionary(STATE) + b"b"))
    put("pickle", "circle", b"\x80\x02]q\0h\0a.")
    put("pickle", "extended", b"\x80\x02\x82\1.")


def make_torch():
    storages = {f"a/data/{key}": content for key, content in STORAGES.items()}
    state = program(dictionary({"epoch": number(2), "state_dict": dictionary(
        {"module." + key: value for key, value in STATE.items()}, ordered=True)}))
    put("torch", "zip", archive({"a/data.pkl": state, "a/byteorder": b"little", **storages,
                                 "a/version": b"3\n"}))
    put("torch", "zip-deflated", archive({"a/data.pkl": state, **storages},
                                         deflated={"a/data.pkl", "a/data/0"}))
    module = program(name("__torch__ Net") + b")\x81" + dictionary(
        {"training": b"\x88", "proj": STATE["weight"],
         "inner": name("__torch__.torch Inner") + b")\x81" +
         dictionary({"bias": STATE["half"], "scale": STATE["scale"]}) + b"b"}) + b"b")
    put("torch", "script", archive({"a/data.pkl": module, "a/code/__torch__.py": b"class Net:\n",
                                    "a/constants.pkl": program(b")"), **storages}))
    facts = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    sizes = {"0": 4, "1": 2, "2": 8}
    put("torch", "legacy", b"".join([
        pickle.dumps(0x1950A86A20F9469CFC6C, 2), pickle.dumps(1001, 2), pickle.dumps(facts, 2),
        program(dictionary({key: STATE[key] for key in ("weight", "view", "half", "scale")})),
        pickle.dumps(sorted(STORAGES), 2),
        *[struct.pack("<Q", len(STORAGES[key]) // sizes[key]) + STORAGES[key]
          for key in sorted(STORAGES)]]))
    put("torch", "system", archive({"a/data.pkl": program(
        name("posix system") + b"(" + text("touch /tmp/cliplens-was-here") + b"tR")}))
    put("torch", "beyond", archive({"a/data.pkl": program(dictionary(
        {"a": tensor("FloatStorage", "0", 6, 0, [200, 200], [200, 1])})), **storages}))


def make_sharded():
    put("sharded", "safetensors", parts(**{
        "model.safetensors.index_json": json.dumps(
            {"metadata": {"total_size": 24}, "weight_map": {"x": "a.safetensors",
                                                            "y": "b.safetensors"}}),
        "a_safetensors": safetensors({"x": ("F32", [2], None)}),
        "b_safetensors": safetensors({"y": ("F64", [2], None)})}))
    put("sharded", "bin", parts(**{
        "model.safetensors.index_json": json.dumps({"weight_map": {"x": "c.bin"}}),
        "c_bin": archive({"a/data.pkl": program(dictionary({"x": STATE["weight"]})),
                          "a/data/0": F4})}))
    put("sharded", "outside", parts(**{
        "model.safetensors.index_json": json.dumps({"weight_map": {"x": "../../etc/passwd"}})}))


def main():
    for target, make in list(globals().items()):
        if target.startswith("make_"):
            make()
    return 0


if __name__ == "__main__":
    sys.exit(main())
