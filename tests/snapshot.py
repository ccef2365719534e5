#!/usr/bin/env python3
"""Writes what every verb of the program gives, so that two builds can be compared byte for byte.

    tests/snapshot.py --program build/release/bin/cliplens --out before
    ... change the program, build it ...
    tests/snapshot.py --program build/release/bin/cliplens --out after
    tests/snapshot.py --compare before after      lists the files that differ; status 1 if any does

    tests/snapshot.py --program P --out DIR --only search span    runs whose names start so, and
                                                                  the runs whose files they read

Every run has a folder under DIR with what it printed, plain and with --json (plain.txt, json.txt:
exit status, standard output, standard error), and the files that it wrote. The models are the
shipped ones and two random ones that this script makes. `serve` asks every route of the explorer.
The script needs NumPy, and takes less than two minutes on two cores.

Only what is no answer is replaced: the folder it works in, seconds, and the checksum of a JSON
file that names that folder.
"""

import argparse
import concurrent.futures
import dataclasses
import http.client
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/parity"))
import random_weights  # noqa: E402
SHOWN_FOLDER = b"/WORKPLACE"


# Models with random weights whose scales are those of trained ones.

@dataclasses.dataclass(frozen=True)
class RandomModel:
    """An architecture; `seed` gives the weights."""

    seed: int
    dtype: str  # of the tensors on disk: F32 or F16
    model: dict
    preprocess: dict


RANDOM_MODELS = {
    "gelu": RandomModel(
        seed=11, dtype="F32",
        model=dict(
            embed_dim=48,
            vision_cfg=dict(image_size=40, patch_size=8, layers=3, width=72, head_width=24,
                            mlp_ratio=3.0),
            text_cfg=dict(context_length=24, vocab_size=2304, width=64, heads=4, layers=2,
                          mlp_ratio=2.0, hf_tokenizer_name="local")),
        preprocess=dict(mean=[0.48145466, 0.4578275, 0.40821073],
                        std=[0.26862954, 0.26130258, 0.27577711],
                        interpolation="bicubic", resize_mode="shortest")),
    # The side is no multiple of the patch, E is wider than D, MLP widths are cut to whole numbers.
    "quick": RandomModel(
        seed=12, dtype="F16",
        model=dict(
            embed_dim=96, quick_gelu=True,
            vision_cfg=dict(image_size=50, patch_size=12, layers=4, width=80, head_width=40,
                            mlp_ratio=2.61, norm_kwargs=dict(eps=1e-6)),
            text_cfg=dict(context_length=16, vocab_size=2304, width=51, heads=3, layers=3,
                          mlp_ratio=3.3, norm_kwargs=dict(eps=1e-6), hf_tokenizer_name="local")),
        preprocess=dict(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5], interpolation="bilinear",
                        resize_mode="squash")),
}


def block_shapes(prefix, width, mlp):
    return {
        f"{prefix}.ln_1.weight": (width,), f"{prefix}.ln_1.bias": (width,),
        f"{prefix}.attn.in_proj_weight": (3 * width, width),
        f"{prefix}.attn.in_proj_bias": (3 * width,),
        f"{prefix}.attn.out_proj.weight": (width, width),
        f"{prefix}.attn.out_proj.bias": (width,),
        f"{prefix}.ln_2.weight": (width,), f"{prefix}.ln_2.bias": (width,),
        f"{prefix}.mlp.c_fc.weight": (mlp, width), f"{prefix}.mlp.c_fc.bias": (mlp,),
        f"{prefix}.mlp.c_proj.weight": (width, mlp), f"{prefix}.mlp.c_proj.bias": (width,),
    }


def tensor_shapes(model):
    """{name: shape} of open_clip's tensors."""
    vision, text, embed = model["vision_cfg"], model["text_cfg"], model["embed_dim"]
    width, patch = vision["width"], vision["patch_size"]
    tokens = (vision["image_size"] // patch) ** 2 + 1
    shapes = {
        "logit_scale": (), "visual.class_embedding": (width,),
        "visual.positional_embedding": (tokens, width),
        "visual.conv1.weight": (width, 3, patch, patch), "visual.proj": (width, embed),
        "visual.ln_pre.weight": (width,), "visual.ln_pre.bias": (width,),
        "visual.ln_post.weight": (width,), "visual.ln_post.bias": (width,),
        "token_embedding.weight": (text["vocab_size"], text["width"]),
        "positional_embedding": (text["context_length"], text["width"]),
        "ln_final.weight": (text["width"],), "ln_final.bias": (text["width"],),
        "text_projection": (text["width"], embed),
    }
    for prefix, tower in (("visual.transformer", vision), ("transformer", text)):
        for layer in range(tower["layers"]):
            shapes |= block_shapes(f"{prefix}.resblocks.{layer}", tower["width"],
                                   int(tower["width"] * tower["mlp_ratio"]))
    return shapes


def random_tensor(name, shape, random):
    if name == "logit_scale":
        return np.array(math.log(41.7))
    return random_weights.draw(name, shape, lambda scale: random.standard_normal(shape) * scale,
                               lambda: random.uniform(0.3, 1.8, shape), outlier_step=17)


def random_tensors(model):
    random = np.random.Generator(np.random.PCG64(model.seed))
    return {name: random_tensor(name, shape, random).astype(np.float32)
            for name, shape in tensor_shapes(model.model).items()}


def write_safetensors(path, tensors, dtype):
    kind = {"F32": np.float32, "F16": np.float16}[dtype]
    header, data = {}, b""
    for name, value in tensors.items():
        raw = np.ascontiguousarray(value, kind).tobytes()
        header[name] = dict(dtype=dtype, shape=list(value.shape),
                            data_offsets=[len(data), len(data) + len(raw)])
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def write_vocabulary(folder):
    for file in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        shutil.copy(ROOT / "models/pictureworld" / file, folder / file)


def write_open_clip(folder, model):
    folder.mkdir(parents=True)
    write_safetensors(folder / "open_clip_model.safetensors", random_tensors(model), model.dtype)
    (folder / "open_clip_config.json").write_text(
        json.dumps(dict(model_cfg=model.model, preprocess_cfg=model.preprocess), indent=2))
    write_vocabulary(folder)


def write_hugging_face(folder, model):
    """`model` as transformers writes it, without its preprocessing."""
    folder.mkdir(parents=True)
    tensors = random_weights.hugging_face_names(random_tensors(model), np.transpose,
                                                lambda value: np.split(value, 3))
    write_safetensors(folder / "model.safetensors", tensors, model.dtype)
    vision, text = model.model["vision_cfg"], model.model["text_cfg"]
    act = "quick_gelu" if model.model.get("quick_gelu") else "gelu"

    def tower(config):
        return dict(hidden_size=config["width"], num_hidden_layers=config["layers"],
                    intermediate_size=int(config["width"] * config["mlp_ratio"]), hidden_act=act,
                    layer_norm_eps=config.get("norm_kwargs", {}).get("eps", 1e-5))

    (folder / "config.json").write_text(json.dumps(dict(
        model_type="clip", projection_dim=model.model["embed_dim"],
        vision_config=dict(tower(vision), image_size=vision["image_size"],
                           patch_size=vision["patch_size"],
                           num_attention_heads=vision["width"] // vision["head_width"]),
        text_config=dict(tower(text), max_position_embeddings=text["context_length"],
                         vocab_size=text["vocab_size"], num_attention_heads=text["heads"],
                         eos_token_id=2303))))
    write_vocabulary(folder)


# What the runs read.

def make_photos(folder):
    """12 pictures, a table of them, and the same with a faulty one."""
    (folder / "photos").mkdir()
    (folder / "masks").mkdir()
    masked = ["path,mask,label,split"]
    with tarfile.open(ROOT / "world/sets/single/single-000.tar") as shard:
        names = sorted(name for name in shard.getnames()
                       if name.endswith(".png") and ".mask." not in name)[:12]
        for name in names:
            (folder / "photos" / name).write_bytes(shard.extractfile(name).read())
        for name in names[:6]:
            key = name.removesuffix(".png")
            (folder / "masks" / name).write_bytes(shard.extractfile(f"{key}.mask.png").read())
            label = json.loads(shard.extractfile(f"{key}.json").read())["label"]
            masked.append(f"photos/{name},masks/{name},{label},test")
    masked.append(f"faulty/{names[1]},,,test")
    (folder / "masked.csv").write_text("\n".join(masked) + "\n")
    rows = [f"photos/{name},{i % 2},{'test' if i < 4 else 'train'}" for i, name in enumerate(names)]
    (folder / "photos.csv").write_text("\n".join(["path,odd,split", *rows]) + "\n")
    shutil.copytree(folder / "photos", folder / "faulty")
    (folder / "faulty" / names[5]).write_bytes(b"no picture")
    (folder / "whole.png").write_bytes((folder / "photos" / names[5]).read_bytes())


def make_workplace(folder, program):
    (folder / "bin").mkdir()
    shutil.copy2(program, folder / "bin/cliplens")
    for name in ("models", "texts", "world/texts", "world/sets"):
        shutil.copytree(ROOT / name, folder / name)
    for name, model in RANDOM_MODELS.items():
        write_open_clip(folder / "models" / name, model)
    write_hugging_face(folder / "models/quick-hf", RANDOM_MODELS["quick"])
    make_photos(folder)
    (folder / "odd.jpg").write_bytes(
        (ROOT / "tests/data/pixels/jpeg-progressive-63x129.jpg").read_bytes())
    (folder / "texts.txt").write_text(
        "a picture of a duck\tobject\na pencil sketch\tstyle\na black and white picture\teffect\n"
        "in the snow\tplace\n")
    (folder / "long.txt").write_text("word " * 60 + "\nit’s schÃ¶n &amp; short\n\n")
    (folder / "classes.txt").write_text("a duck\tduck\na swan\tswan\na penguin\n")
    (folder / "places.txt").write_text(
        "on the sea\twater\non a lake\twater\non the grass\tland\nin the forest\tland\n")


# The runs. `@` is the folder of the run's own files, `NAME/` another run's files.

BIRDS = "--classes world/texts/birds.txt --templates world/texts/birds.templates.txt"
OBJECTS = "--classes world/texts/objects.txt --templates world/texts/objects.templates.txt"
PHRASES = "--texts world/texts/phrases.txt"
PROPERTIES = "--properties world/texts/properties.txt"
PICTURE = "--image photos/single-000002.png"
MODELS = ("pictureworld", "pictureworld-birds", "gelu", "quick")

# {name: command}, in the order in which they are run.
RUNS = {}


def add(name, command):
    assert name not in RUNS, name
    RUNS[name] = command


def add_models():
    for model in (*MODELS, "pictureworld-2", "pictureworld-roles", "quick-hf"):
        add(f"info.{model}", f"info {model}")
    for model in (*MODELS, "quick-hf"):
        add(f"tokenize.{model}", f"tokenize {model} --texts texts.txt")
        add(f"embed.images.{model}", f"embed {model} --images photos --out @/rows.npy")
        add(f"embed.texts.{model}", f"embed {model} {PHRASES} --out @/rows.npy")
        add(f"preprocess.{model}", f"preprocess {model} --image odd.jpg --out @/x.npy")
    add("tokenize.long", "tokenize pictureworld --texts long.txt --truncate")
    add("embed.skip", "embed pictureworld --images faulty --out @/rows.npy --on-error skip")
    for model in ("pictureworld", "quick"):
        for kind in ("--images photos", "--texts texts.txt"):
            add(f"embed.bf16.{kind[2:].split()[0]}.{model}",
                f"embed {model} {kind} --precision auto --out @/rows.npy")


def add_stores():
    for model in MODELS:
        add(f"store.{model}", f"decompose {model} --images world/sets/birds --out @/store")
    add("store.pictureworld-2", "decompose pictureworld-2 --images world/sets/birds --out @/store")
    for model in ("pictureworld", "gelu", "quick"):
        photos = f"decompose {model} --images photos --out @/store"
        add(f"photos.{model}", photos)
        add(f"photos.fp16.{model}", f"{photos} --store-dtype fp16")
        add(f"photos.stats.{model}", f"{photos} --stats-only --slices 3")
        add(f"photos.bf16.{model}", f"{photos} --precision auto")
        for part in (0, 1):
            add(f"part{part}.{model}", f"{photos} --shard {part}/2 --shard-images 4")
        add(f"merged.{model}", f"merge part0.{model}/store part1.{model}/store --out @/store")
        add(f"verify.{model}", f"verify merged.{model}/store --model {model}")
    add("photos.split", "decompose gelu --images photos.csv --split test --out @/store")
    add("photos.skip",
        "decompose gelu --images faulty --out @/store --shard-images 2 --on-error skip")
    # A run that stops at a picture, which is then mended.
    add("resumed", "decompose quick --images mended --out @/store --shard-images 2;"
                   " cp whole.png mended/single-000005.png;"
                   " decompose quick --images mended --out @/store --shard-images 2 --resume;"
                   " decompose quick --images mended --out @/store --shard-images 2 --resume")
    add("stats.gelu", "decompose gelu --images world/sets/birds --out @/store --stats-only"
                      " --slices 3")
    add("merged.stats", "merge photos.stats.gelu/store stats.gelu/store --out @/store")
    add("verify.nothing", "verify nothing")
    add("verify.other", "verify photos.gelu/store --model quick")


def add_words():
    for model in MODELS:
        store = f"store.{model}/store"
        add(f"span.{model}", f"span {store} {PHRASES} --out @/span.json")
        add(f"label.{model}", f"label {store} {PROPERTIES} --out @/labels.json --csv @/labels.csv")
        add(f"ablate.{model}", f"ablate {store} {BIRDS} --out @/ablate.json --csv @/ablate.csv"
                               " --svg @/curve.svg")
        add(f"reconstruct.{model}", f"reconstruct {store} {PHRASES} {BIRDS} --counts 1,5,20"
                                    " --random 1 --layers 2 --out @/r.json --csv @/r.csv")
    add("span.rank", "span photos.pictureworld/store --texts general --heads last-1 --count 4"
                     " --rank 5")
    add("span.high-rank", f"span photos.stats.gelu/store {PHRASES} --count 3 --rank 80")
    add("span.skip", f"span photos.skip/store {PHRASES} --count 3 --heads L1-L2")
    add("label.beside", f"label store.pictureworld/store {PROPERTIES} --heads L4-L5"
                        " --beside store.pictureworld-birds/store --texts texts.txt")
    add("label.shipped", "label store.gelu/store --heads L2 --seed 3 --most-images 60")
    add("ablate.means", f"ablate store.quick/store {OBJECTS} --label object"
                        " --means photos.stats.quick/store --components 3")
    add("reconstruct.pools", f"reconstruct store.gelu/store --texts texts.txt {PHRASES}"
                             f" {BIRDS} --counts 2 --rank 6")
    add("labels.truth", f"evaluate labels store.pictureworld/store {PROPERTIES} --heads L4-L5"
                        " --truth object,background,style --only size=huge")


def add_edits():
    birds = "store.pictureworld-birds/store"
    labels = "label.pictureworld-birds/labels.json"
    suggest = f"edit suggest {birds} {BIRDS} --out @/edit.json"
    add("edit.cue-file", f"{suggest} --cue-file places.txt")
    add("edit.cue", f"{suggest} --cue 'on the sea' --cue 'in the forest' --within-classes")
    add("edit.attribute", f"{suggest} --attribute place_kind --most-images 90")
    add("edit.quick", f"edit suggest store.quick/store {BIRDS} --attribute place_kind")
    add("edit.mean", f"edit make {birds} --heads L5.H3,L4,L5.MLP --out @/edit.json")
    add("edit.scale", f"edit make {birds} --heads INPUT,L2.H1 --mode scale=0.5 --out @/edit.json")
    add("edit.property", f"edit make {birds} --property background --labels {labels}"
                         " --means store.pictureworld-birds/store --out @/edit.json")
    add("edit.gelu", "edit make photos.stats.gelu/store --heads L2.H1,mlps --out @/edit.json")
    add("edit.show", "edit show edit.mean/edit.json")
    groups = f"evaluate groups {birds} {BIRDS} --attribute place_kind"
    add("groups.edit", f"{groups} --edit edit.cue-file/edit.json --out @/g.json --csv @/g.csv")
    add("groups.heads", f"{groups} --heads L5.H3,L5.H4 --random 3 --seed 7")
    add("groups.property", f"{groups} --property background --labels {labels} --random 2")
    add("groups.empty", f"evaluate groups {birds} {BIRDS} --attribute object --skip-empty")
    add("groups.quick", f"evaluate groups store.quick/store {BIRDS} --attribute place_kind"
                        " --heads L3.H0,L2,INPUT --means photos.quick/store --random 2")
    edited = "--edit edit.mean/edit.json"
    add("embed.edit", f"embed pictureworld-birds --images photos --out @/rows.npy {edited}")
    add("embed.edit.raw", "embed pictureworld-birds --images photos --out @/rows.npy"
                          " --edit edit.scale/edit.json --no-normalize")
    add("embed.edit.gelu", "embed gelu --images photos --out @/rows.npy --edit edit.gelu/edit.json")
    add("classify.edit", f"classify pictureworld-birds --images world/sets/birds {BIRDS} {edited}")
    add("export.edit", f"export {birds} --out @/arrays {edited}")


def add_pictures():
    for model in MODELS:
        add(f"classify.{model}", f"classify {model} --images photos --classes classes.txt"
                                 " --templates simple -k 2")
        add(f"heatmap.{model}", f"heatmap {model} {PICTURE} --text 'a duck' --text 'on stones'"
                                " --out @/map.png --npy @/map.npy")
        add(f"explain.{model}", f"explain {model} {PICTURE} --text 'a picture of a duck'"
                                f" --labels label.{model}/labels.json --out @/why.png")
        add(f"segment.{model}", f"segment {model} --image photos/single-000000.png {OBJECTS}"
                                " --out @/mask.png --npy @/map.npy")
    add("classify.label", f"classify pictureworld --images world/sets/birds {BIRDS} -k 1"
                          " --label bird_kind")
    add("classify.skip", "classify pictureworld --images faulty --classes classes.txt -k 1"
                         " --on-error skip")
    add("heatmap.against", f"heatmap pictureworld {PICTURE} --text duck --against snow"
                           " --heads last-2 --scale 0.01 --out @/map.png")
    add("heatmap.classes", f"heatmap quick {PICTURE} --text 'a duck' --against-classes classes.txt"
                           " --templates simple --npy @/map.npy --out @/map.png")
    add("heatmap.property", f"heatmap pictureworld {PICTURE} --text duck --property background"
                            " --labels label.pictureworld/labels.json --npy @/map.npy")
    add("heatmap.direction", f"heatmap gelu {PICTURE} --direction L2.H1:2 --direction L1.H0:1"
                             " --span span.gelu/span.json --out @/map.png")
    add("heatmap.odd", "heatmap pictureworld --image odd.jpg --text duck --out @/map.png")
    add("explain.classes", f"explain pictureworld {PICTURE} --classes classes.txt"
                           " --templates simple --top 2 --out @/why.png")
    add("explain.mean", f"explain quick {PICTURE} {OBJECTS} --class 'a swan' --against mean")
    add("explain.against", f"explain gelu {PICTURE} --text duck --against 'a cat' --out @/why.png")
    add("segment.text", "segment pictureworld --image odd.jpg --text 'a duck' --heads last-2"
                        " --out @/mask.png")
    add("segment.class", f"segment quick {PICTURE} {OBJECTS} --class 'a duck' --out @/mask.png")
    for method in ("decomposition", "raw-attention", "rollout", "patch-text", "background"):
        add(f"segmentation.{method}", "evaluate segmentation gelu --images world/sets/birds"
                                      f" {BIRDS} --method {method} --maps @/maps.npy")
    for geometry in ("squash", "reference"):
        add(f"segmentation.{geometry}", "evaluate segmentation pictureworld --images"
                                        f" world/sets/single {OBJECTS} --geometry {geometry}"
                                        " --maps @/maps.npy")
    add("segmentation.truth", f"evaluate segmentation quick --images masked.csv --split test"
                              f" {OBJECTS} --truth --on-error skip --ignore 255 --heads L3")


def add_searches():
    birds = "store.pictureworld-birds/store"
    labels = "--labels label.pictureworld-birds/labels.json"
    add("search.text", f"search {birds} --text 'a duck' --heads L4-L5 -k 3")
    add("search.image", f"search {birds} {PICTURE} -k 5")
    add("search.item", f"search {birds} --item 3 --heads L5.H3,L5.H4 --definition sum-of-scores")
    add("search.property", f"search {birds} --item 5 --property background {labels} -k 4")
    add("search.terms", f"search {birds} --like 5 --in background --unlike 'text:a parrot'"
                        f" --in object --like photos/single-000002.png --in embedding {labels}")
    add("search.index", f"search {birds} --text dots --heads L4-L5 -k 3 --index @/L4-L5.faiss")
    for model in ("gelu", "quick"):
        for measure in ("cosine", "dot", "raw"):
            add(f"search.{measure}.{model}", f"search store.{model}/store --item 7 -k 5"
                                             f" --heads L2 --measure {measure}")
    add("export.faiss", f"export {birds} --format faiss --heads L5.H3 --out @/L5.H3.faiss")
    for model in ("pictureworld", "gelu", "quick"):
        add(f"export.{model}", f"export photos.{model}/store --out @/arrays")
    add("match", "match store.pictureworld/store store.pictureworld-2/store --labels"
                 " label.pictureworld/labels.json --count 9")
    add("describe", f"describe pictureworld-birds --store {birds} --item 3 {PHRASES}")
    add("describe.head", f"describe pictureworld-birds --store {birds} --head L5.H4 {PHRASES}"
                         " --only place_kind=water --minus-only place_kind=land")
    add("describe.pictures", f"describe pictureworld --images photos {PHRASES} --count 4")
    add("weights", f"weights pictureworld {PHRASES} --heads last-2 --csv @/weights.csv")
    add("weights.random", "weights gelu --texts texts.txt --directions 2 --count 2")
    add("compare", "compare store.pictureworld/store store.pictureworld-birds/store"
                   f" --count 9 {PROPERTIES} {BIRDS} --maps @/maps.png"
                   " --csv @/compare.csv")
    add("compare.stats", "compare photos.stats.quick/store photos.stats.quick/store --sort share")
    add("match.random", "match store.gelu/store store.quick/store --most-images 70")


def add_neurons():
    for model in MODELS:
        store = f"neurons.{model}/store"
        add(f"neurons.{model}", f"neurons collect {model} --images world/sets/birds --out @/store"
                                f" --layers last-2; verify @/store --model {model}")
        add(f"neurons.words.{model}", f"neurons words {store} {PHRASES} --count 3 --csv @/w.csv"
                                      " --npz @/w.npz")
        add(f"neurons.ablate.{model}", f"neurons ablate {store} {BIRDS} --svg @/a.svg"
                                       " --csv @/a.csv")
        add(f"neurons.weights.{model}", f"neurons weights {model} {PHRASES} --pairs 5 --png @/w.png"
                                        " --csv @/w.csv")
    birds = "neurons.pictureworld-birds/store"
    add("neurons.parts", "neurons collect gelu --images photos --out @/p1 --layers all --top 3"
                         " --shard 1/2 --shard-images 6;"
                         " neurons collect gelu --images photos --out @/p0 --layers all --top 3"
                         " --shard 0/2 --shard-images 6; merge @/p1 @/p0 --out @/store")
    add("neurons.stats", "neurons collect quick --images photos --out @/store --stats-only"
                         f"; neurons words @/store {PHRASES} --count 2; verify @/store")
    add("neurons.texts", f"neurons collect gelu {PHRASES} --out @/store --layers all"
                         f"; neurons words @/store {PHRASES} --count 2; verify @/store --model gelu"
                         f"; neurons show @/store L0.N3 {PHRASES}")
    add("neurons.reference", f"neurons words {birds} {PHRASES} --neurons L4.N1,L3 --count 3"
                             " --normalize reference --directions all")
    add("neurons.show", f"neurons show {birds} L4.N132 {PHRASES} --maps @/fires.png")
    add("neurons.reconstruct", f"neurons reconstruct {birds} {PHRASES} {BIRDS} --counts 1,8"
                               " --layers 4 --csv @/r.csv")
    add("neurons.raw", f"neurons reconstruct {birds} {PHRASES} {BIRDS} --counts 8 --layers 4 --raw")
    add("neurons.discover", f"neurons discover {birds} {PICTURE} {PHRASES} --count 8")
    add("neurons.cue", f"neurons cue {birds} 'a duck' 'a crab' {PHRASES} --words 8 --score photos")
    add("neurons.explain", f"explain pictureworld {PICTURE} --text 'a duck' --through L3")
    segment = f"evaluate segmentation pictureworld --images world/sets/single {OBJECTS}"
    add("neurons.segment", f"{segment} --method neurons --neurons neurons.pictureworld/store"
                           " --cut half --maps @/maps.npy")
    add("neurons.effects", f"{segment} --method neuron-effects --layers 3-4 --maps @/maps.npy")


def add_pages():
    add("report.gelu", "report store.gelu/store --texts texts.txt --out @/report.html")
    add("report.birds", f"report store.pictureworld-birds/store {PHRASES} --heads last-2 --count 5"
                        f" --pictures 3 {PROPERTIES} {BIRDS} --attribute place_kind"
                        f" --edit edit.cue-file/edit.json {PICTURE} --text 'a duck' --text snow"
                        " --out @/report.html")
    add("report.stats", "report photos.stats.quick/store --texts texts.txt --out @/report.html")
    add("demo", "demo --out @/demo")


def add_help():
    add("help", "--help; --version")
    for verb in ("info", "tokenize", "preprocess", "embed", "classify", "decompose", "merge",
                 "verify", "span", "ablate", "reconstruct", "label", "evaluate",
                 "evaluate labels", "evaluate groups", "evaluate segmentation", "edit",
                 "edit suggest", "edit make", "edit show", "search", "match", "heatmap", "explain",
                 "segment", "report", "export", "serve", "demo", "describe", "weights",
                 "compare", "neurons", "neurons collect", "neurons words", "neurons show",
                 "neurons ablate", "neurons reconstruct", "neurons discover", "neurons cue",
                 "neurons weights"):
        add("help." + verb.replace(" ", "-"), f"{verb} --help")


def add_refusals():
    """Commands that end with a message."""
    birds = "store.pictureworld-birds/store"
    for name, command in {
            "verb": "fly",
            "option": "span",
            "model": "info nothing",
            "picture": "embed gelu --images faulty --out @/rows.npy",
            "text": "tokenize pictureworld --texts long.txt",
            "head": f"span {birds} --texts texts.txt --heads L9.H9",
            "list": f"span {birds} --texts texts.txt --heads L1-,x",
            "exists": "decompose gelu --images photos --out photos.gelu/store",
            "store": "span photos --texts texts.txt",
            "stats": f"ablate photos.stats.gelu/store {BIRDS}",
            "merge": "merge photos.gelu/store photos.quick/store --out @/store",
            "slices": "merge photos.stats.gelu/store photos.gelu/store --out @/store",
            "twice": "merge photos.gelu/store part0.gelu/store --out @/store",
            "edit": "embed gelu --images photos --out @/rows.npy --edit edit.mean/edit.json",
            "component": f"edit make {birds} --heads L5.X3 --out @/edit.json",
            "scale": f"edit make {birds} --heads L5 --mode scale=x --out @/edit.json",
            "labels": f"search {birds} --item 1 --property object --labels label.gelu/labels.json",
            "property": f"search {birds} --item 1 --property taste"
                        " --labels label.pictureworld-birds/labels.json",
            "index": "search store.gelu/store --item 1 --index export.faiss/L5.H3.faiss",
            "class": f"explain gelu {PICTURE} --classes classes.txt --class nothing",
            "direction": f"heatmap gelu {PICTURE} --direction L2.H1:99 --npy @/map.npy"
                         " --span span.gelu/span.json",
            "neuron": "neurons words neurons.gelu/store --texts texts.txt --neurons L0.N9999",
            "neurons": "neurons words photos.gelu/store --texts texts.txt",
            "heads": "span neurons.gelu/store --texts texts.txt",
            "last": "neurons collect gelu --images photos --out @/store --layers 2",
            "attribute": f"evaluate groups {birds} {BIRDS} --attribute nothing",
    }.items():
        add(f"refused.{name}", command)


for part in (add_models, add_stores, add_words, add_edits, add_pictures, add_searches, add_neurons,
             add_pages, add_help, add_refusals):
    part()

SERVE = ("store.pictureworld-birds/store store.gelu/store quick --labels"
         f" label.pictureworld-birds/labels.json {PHRASES} {PROPERTIES} {BIRDS}")
RUNS["serve"] = SERVE
NO_JSON = ("help", "serve")  # names, or their first words, that are run once


def needs(command):
    """Names of the runs whose files the command reads."""
    words = re.findall(r"(?<![\w./-])([\w.-]+)/", command)
    return [word for word in words if word in RUNS]


def chosen(only):
    if not only:
        return list(RUNS)
    wanted, todo = set(), [n for n in RUNS if any(n.startswith(start) for start in only)]
    if not todo:
        sys.exit(f"no run has a name that starts with {' or '.join(only)}: {' '.join(RUNS)}")
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted.add(name)
            todo += needs(RUNS[name])
    return [name for name in RUNS if name in wanted]


class Workplace:
    """A folder with a copy of the program and all that it reads; nothing else is looked at."""

    def __init__(self, folder, program, out):
        self.folder, self.out = folder, out
        self.environment = dict(
            os.environ, CLIPLENS_SHARE=str(folder), XDG_CACHE_HOME=str(folder / "cache"),
            HOME=str(folder), HF_HOME=str(folder / "hf"), LC_ALL="C.UTF-8")
        make_workplace(folder, program)

    def scrubbed(self, data):
        """Bytes without what is no answer."""
        shown = data.replace(os.fsencode(self.folder), SHOWN_FOLDER)
        # An index names its store by the checksum of the manifest, which names the folder.
        shown = re.sub(rb'("store": ?)"[0-9a-f]{32}"', rb'\1"..."', shown)
        if shown != data:
            shown = re.sub(rb'"checksum": "[0-9a-f]{32}"\n}\n$', b'"checksum": "..."\n}\n', shown)
        data = shown
        data = re.sub(rb'"(seconds|milliseconds)":( ?)[-+.\de]+', rb'"\1":\2"..."', data)
        data = re.sub(rb"\bin \d+(\.\d+)? s \(\d+/s\)", rb"in ...", data)
        return re.sub(rb"\bin \d+(\.\d+)? s\b", rb"in ...", data)

    def write(self, path, data):
        path = self.out / path
        path.parent.mkdir(parents=True, exist_ok=True)
        binary = path.suffix in (".npy", ".npz", ".png", ".safetensors", ".faiss")
        path.write_bytes(data if binary else self.scrubbed(data))

    def program(self, words):
        """Exit status, output and errors as one text."""
        result = subprocess.run(["bash", "-c", f"bin/cliplens {words}"], cwd=self.folder,
                                env=self.environment, capture_output=True, timeout=600)
        output = result.stdout
        if result.stderr:
            output += b"--- standard error\n" + result.stderr
        return b"$ cliplens " + words.encode() + b"\n" + output + \
            f"--- status {result.returncode}\n".encode()

    def run(self, name):
        """Plain and with --json; the files of both."""
        if name == "serve":
            return self.serve()
        for kind in ("plain", "json"):
            if kind == "json" and name.split(".")[0] in NO_JSON:
                continue
            if name == "resumed":
                shutil.copytree(self.folder / "faulty", self.folder / "mended", dirs_exist_ok=True)
            # Other runs read the files of the plain run.
            folder = name if kind == "plain" else f"{name}.json"
            (self.folder / folder).mkdir()
            text = b""
            for words in RUNS[name].split(";"):
                words = words.strip().replace("@", folder)
                if words.startswith("cp "):
                    subprocess.run(words, shell=True, cwd=self.folder, check=True)
                else:
                    text += self.program(words + (" --json" if kind == "json" else ""))
            self.write(f"{name}/{kind}.txt", text)
            for path in sorted((self.folder / folder).rglob("*")):
                if path.is_file():
                    self.keep_file(name, kind, path.relative_to(self.folder / folder))

    def keep_file(self, name, kind, within):
        """A file of the run; of the one with --json only what the plain one has not written."""
        if kind == "plain":
            self.write(f"{name}/files/{within}", (self.folder / name / within).read_bytes())
            return
        data = (self.folder / f"{name}.json" / within).read_bytes()
        plain = self.folder / name / within
        if not plain.is_file() or plain.read_bytes() != data:
            self.write(f"{name}/json-files/{within}", data)

    def serve(self):
        server = Server(self)
        try:
            server.ask_all()
        finally:
            server.stop()


class Server:
    """The explorer's interface, every route of it."""

    def __init__(self, place):
        self.place = place
        self.asked = set()
        self.count = 0
        self.process = subprocess.Popen(
            ["bash", "-c", f"exec bin/cliplens serve {SERVE} --port 0 --json"], cwd=place.folder,
            env=place.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.process.stderr.read().decode())
        self.port = json.loads(line)["port"]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout=60)
        finally:
            self.process.kill()
        self.place.write("serve/status.txt", f"{status}\n".encode())

    def request(self, method, path, body=None, kind="application/json"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        try:
            connection.request(method, "/api/v1" + path, body,
                               {} if body is None else {"Content-Type": kind})
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def ask(self, method, path, body=None, kind="application/json"):
        """Asks, keeps the answer, returns it."""
        answer, data = self.request(method, path, body, kind)
        self.asked.add((method.lower(), path))
        content = answer.headers.get("Content-Type", "").split(";")[0]
        suffix = {"application/json": "json", "image/png": "png"}.get(content, "txt")
        self.count += 1
        name = f"serve/{self.count:03}-{method}{re.sub(r'[^A-Za-z0-9.]+', '-', path)[:60]}"
        shown = body if isinstance(body, (dict, list)) else None
        self.place.write(f"{name}.txt", (f"{method} {path} {json.dumps(shown)}\n{answer.status} "
                                         f"{answer.headers.get('Content-Type')}\n").encode())
        if suffix == "json":
            data = json.dumps(json.loads(data), indent=1, ensure_ascii=False).encode()
        self.place.write(f"{name}.answer.{suffix}", data)
        return data

    def wait_until(self, done):
        for _ in range(3000):
            if done():
                return
            time.sleep(0.1)
        raise RuntimeError("the server is still at work")

    def sources(self):
        return json.loads(self.request("GET", "/sources")[1])["sources"]

    def job_is_done(self, job):
        return json.loads(self.request("GET", f"/jobs/{job}")[1])["state"] != "running"

    def ask_all(self):
        self.wait_until(lambda: all(source["preparing"] is None for source in self.sources()))
        self.ask("GET", "/sources")
        picture = (self.place.folder / "photos/single-000002.png").read_bytes()
        sent = json.loads(self.ask("POST", "/pictures", picture, "image/png"))
        self.ask("GET", f"/pictures/{sent['picture']}")
        self.ask("GET", f"/pictures/{sent['picture']}?side=32")
        for source in ("s0", "s1"):
            self.ask_store(f"/sources/{source}", {"picture": sent["picture"]})
        for source in ("s0", "s1", "s2"):
            self.ask_model(f"/sources/{source}", {"picture": sent["picture"]})
        self.ask("GET", "/sources/s0/match?with=s1")
        job = json.loads(self.ask("POST", "/sources/s1/labels", {}))["job"]
        self.wait_until(lambda: self.job_is_done(job))
        self.ask("GET", f"/jobs/{job}")
        self.ask("GET", f"/jobs/{job}/events")
        self.ask("DELETE", f"/jobs/{job}")
        self.ask("GET", "/sources/s1/overview")
        self.ask("GET", "/sources/s1/heads/L2.H1")
        self.ask_what_is_refused()
        self.check_that_all_were_asked()

    def ask_store(self, source, sent):
        self.ask("GET", f"{source}/overview")
        for head in ("L2.H1", "L1.H0"):
            self.ask("GET", f"{source}/heads/{head}")
        self.ask("GET", f"{source}/heads/L2.H0?count=3&pictured=2&pictures=2")
        self.ask("GET", f"{source}/items?from=3&count=5")
        self.ask("GET", f"{source}/items?find=00001&count=4")
        self.ask("GET", f"{source}/items/7/picture")
        self.ask("GET", f"{source}/items/7/picture?side=32")
        search = [{"query": {"text": "a duck"}},
                  {"query": {"item": 3}, "in": {"heads": "L2.H1"}, "unlike": True},
                  {"query": sent, "in": {"embedding": True}}]
        if source.endswith("s0"):
            search.append({"query": {"item": 4}, "in": {"property": "background"}})
        for measure in ("cosine", "dot", "raw"):
            self.ask("POST", f"{source}/search", {"terms": search, "count": 7, "measure": measure})
        self.ask("POST", f"{source}/search", {"terms": [{"query": {"item": 9}}]})
        for edit in ({"components": ["L2.H1", "L1"], "mode": "mean"},
                     {"components": ["INPUT", "L2.MLP", "mlps"], "mode": "scale", "scale": 0.25},
                     {"components": []}):
            self.ask("POST", f"{source}/edit", {
                "edit": edit, "attribute": "place_kind", "query": {"text": "a duck"},
                "picture": sent, "texts": ["a duck", "a gull"]})
            self.ask("POST", f"{source}/edit", {"edit": edit, "query": {"item": 5}, "count": 3})
            file = self.ask("POST", f"{source}/edit/file", {"edit": edit, "note": "why"})
            if edit["components"]:
                _, file = self.request("POST", f"{source}/edit/file", {"edit": edit, "note": "why"})
                self.ask("POST", f"{source}/edit/open", file)
        self.ask("POST", f"{source}/scores", {
            "picture": {"item": 5}, "texts": [],
            "edit": {"components": ["L2.H1", "L1"], "mode": "mean"}})

    def ask_model(self, source, sent):
        pictures = [sent] if source.endswith("s2") else [sent, {"item": 2}]
        for picture in pictures:
            self.ask("POST", f"{source}/scores", {"picture": picture, "texts": ["a duck", "sea"]})
            for path, body in {
                    "heatmap": {"picture": picture, "texts": ["a duck", "the sea"],
                                "against": {"text": "a cat"}, "in": {"heads": "last-2"}},
                    "explain": {"picture": picture, "text": "a duck", "against": "a gull"},
                    "segment": {"picture": picture, "text": "a bird", "in": {"embedding": True}},
            }.items():
                self.ask("POST", f"{source}/{path}", body)
                self.ask("POST", f"{source}/{path}?as=png", body)
            self.ask("POST", f"{source}/heatmap", {"picture": picture, "texts": ["a water bird"],
                                                   "against": {"classes": True}})
            self.ask("POST", f"{source}/explain", {"picture": picture, "top": 3})
            self.ask("POST", f"{source}/segment", {"picture": picture})

    def ask_what_is_refused(self):
        for path in ("/sources/s9/overview", "/sources/s0/heads/L99.H0", "/jobs/j99",
                     "/sources/s0/items/-1/picture", "/sources/s0/match?with=s2", "/nothing"):
            self.ask("GET", path)
        for path, body in (("search", {"terms": []}), ("scores", {"picture": 3}),
                           ("edit", {"edit": {"components": ["L9.H9"]}}),
                           ("heatmap", {"picture": {"item": 1}, "texts": []}),
                           ("explain", {"picture": {"item": 1}, "class": "no such"})):
            self.ask("POST", f"/sources/s0/{path}", body)

    def check_that_all_were_asked(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/openapi.json")
        routes = json.loads(connection.getresponse().read())["paths"]
        connection.close()
        missing = [
            f"{method} {path}" for path, methods in routes.items() for method in methods
            if not any(method == m and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path),
                                                    p.split("?")[0]) for m, p in self.asked)]
        if missing:
            raise RuntimeError(f"these routes are not asked: {', '.join(missing)}")


def write_snapshot(program, out, only):
    if out.exists():
        sys.exit(f"{out} is there already; name a new folder")
    names = chosen(only)
    out.mkdir(parents=True)
    start = time.monotonic()
    # Paths stand in pages whose size is printed: every workplace's is as long.
    with tempfile.TemporaryDirectory(prefix="cliplens-snapshot-", dir="/tmp") as folder:
        place = Workplace(Path(folder).resolve(), program.resolve(), out.resolve())
        run_in_order(place, names)
    print(f"{len(names)} runs in {time.monotonic() - start:.0f} s: {out}")


def run_in_order(place, names):
    """Two at a time, each after those whose files it reads."""
    done = {name: threading.Event() for name in names}

    def one(name):
        for other in needs(RUNS[name]):
            done[other].wait()
        try:
            place.run(name)
        finally:
            done[name].set()

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(one, name) for name in names]:
            future.result()


# Comparison.

def first_json_difference(a, b, path=""):
    if type(a) is not type(b):
        return f"{path or '.'}: {json.dumps(a)[:120]} | {json.dumps(b)[:120]}"
    if isinstance(a, dict):
        for key in [*a, *(k for k in b if k not in a)]:
            if key not in a or key not in b:
                return f"{path}.{key}: only in the {'first' if key in a else 'second'}"
            if (found := first_json_difference(a[key], b[key], f"{path}.{key}")) is not None:
                return found
        return None if list(a) == list(b) else f"{path or '.'}: members in another order"
    if isinstance(a, list):
        for i, (x, y) in enumerate(zip(a, b)):
            if (found := first_json_difference(x, y, f"{path}[{i}]")) is not None:
                return found
        return None if len(a) == len(b) else f"{path}: {len(a)} | {len(b)} members"
    return None if a == b else f"{path or '.'}: {json.dumps(a)[:120]} | {json.dumps(b)[:120]}"


def json_in(text):
    """The JSON of a file, or of what a run with --json printed."""
    lines = text.splitlines()
    if lines and lines[0].startswith("$ "):
        text = "\n".join(line for line in lines[1:] if not line.startswith("--- "))
    return json.loads(text)


def first_line_difference(a, b):
    x, y = a.splitlines(), b.splitlines()
    for i in range(max(len(x), len(y))):
        left, right = (t[i] if i < len(t) else "(end)" for t in (x, y))
        if left != right:
            at = next((k for k, (p, q) in enumerate(zip(left, right)) if p != q),
                      min(len(left), len(right)))
            begin = max(0, at - 60)
            return f"line {i + 1}: {left[begin:at + 100]} | {right[begin:at + 100]}"
    return "ends of lines"


def read_safetensors(data):
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    return header, data[8 + length:]


def first_tensor_difference(a, b):
    (x, p), (y, q) = read_safetensors(a), read_safetensors(b)
    if (found := first_json_difference(x, y)) is not None:
        return "header " + found
    kinds = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1"}
    for name, entry in x.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        if p[begin:end] != q[begin:end]:
            return f"{name} {entry['shape']}: " + first_number_difference(
                *(np.frombuffer(t[begin:end], kinds[entry["dtype"]]) for t in (p, q)))
    return "bytes"


def first_number_difference(x, y):
    different = np.flatnonzero(x.view(f"u{x.itemsize}") != y.view(f"u{y.itemsize}"))
    i = different[0]
    return f"{len(different)} of {x.size} numbers, the first is [{i}]: {x[i]!r} | {y[i]!r}"


def first_array_difference(a, b):
    x, y = (np.load(io.BytesIO(data)) for data in (a, b))
    if x.shape != y.shape or x.dtype != y.dtype:
        return f"{x.dtype} {x.shape} | {y.dtype} {y.shape}"
    return first_number_difference(x.ravel(), y.ravel())


def difference(name, a, b):
    """What differs first, in words."""
    try:
        if name.endswith(".safetensors"):
            return first_tensor_difference(a, b)
        if name.endswith(".npy"):
            return first_array_difference(a, b)
        x, y = a.decode(), b.decode()
        try:
            if (found := first_json_difference(json_in(x), json_in(y))) is not None:
                return found
        except ValueError:
            pass
        return first_line_difference(x, y)
    except (UnicodeDecodeError, ValueError, KeyError, IndexError):
        at = next((i for i, (p, q) in enumerate(zip(a, b)) if p != q), min(len(a), len(b)))
        return f"byte {at} of {len(a)} | {len(b)}"


def compare(first, second):
    """Lists what differs between runs that both have, and says whether anything does."""
    for folder in (first, second):
        if not folder.is_dir():
            sys.exit(f"{folder}: there is no such folder")
    runs = [{path.name for path in folder.iterdir()} for folder in (first, second)]
    both = runs[0] & runs[1]
    for i, name in ((0, first), (1, second)):
        if only := sorted(runs[i] - runs[1 - i]):
            more = f" and {len(only) - 8} more" if len(only) > 8 else ""
            print(f"not compared, only in {name}: {' '.join(only[:8])}{more}")
    count = differing = 0
    for run in sorted(both):
        files = [{str(path.relative_to(folder / run)) for path in (folder / run).rglob("*")
                  if path.is_file()} for folder in (first, second)]
        for name in sorted(files[0] | files[1]):
            count += 1
            if name not in files[0] or name not in files[1]:
                differing += 1
                print(f"{run}/{name}: only in the {'first' if name in files[0] else 'second'}")
                continue
            a, b = ((folder / run / name).read_bytes() for folder in (first, second))
            if a != b:
                differing += 1
                print(f"{run}/{name}: {difference(name, a, b)}")
    print(f"{differing} of {count} files differ" if differing else f"{count} files are the same")
    return differing > 0 or not both


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--compare", nargs=2, type=Path, metavar="DIR")
    arguments = parser.parse_args()
    if arguments.compare:
        sys.exit(1 if compare(*arguments.compare) else 0)
    if not arguments.program or not arguments.out:
        parser.error("name --program and --out, or --compare")
    write_snapshot(arguments.program, arguments.out, arguments.only)


if __name__ == "__main__":
    main()
