"""Every verb on models that are not made as CLIP is: one like SigLIP, without a class token, with a pool by
attention and an MLP behind it; one that averages its patches, as CLIPA does; one with EVA-02's blocks. They
are small and have random weights."""

import json
import math
import re
import shutil
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path += [str(Path(__file__).resolve().parents[1] / folder) for folder in ("", "parity")]
import random_weights  # noqa: E402
import snapshot  # noqa: E402
import test_explorer  # noqa: E402
from program import ROOT, answer, run, says_one_line  # noqa: E402

TEXTS = ROOT / "world/texts"
PHRASES = TEXTS / "phrases.txt"
CLASSES = ["--classes", TEXTS / "objects.txt", "--templates", TEXTS / "objects.templates.txt"]
WIDTH, LAYERS, HEADS, MLP, SIDE, PATCH, CONTEXT = 48, 3, 4, 96, 32, 8, 24
GRID = SIDE // PATCH
PICTURES = 24
MODELS = ("siglip", "clipa", "eva")


# The models.

def drawn(name, shape, random):
    """Numbers with the scales of trained ones: gains that are not 1, attention with peaks, channels
    that stand out."""
    normal = random.standard_normal(shape)
    if "norm" in name:
        return 0.3 * normal if name.endswith("bias") else random.uniform(0.3, 1.8, shape)
    if "position" in name:
        normal *= 0.15
        normal[:, 5] += 3
        return normal
    if len(shape) < 2:
        return 0.2 * normal
    if "probe" in name or "token" in name:
        return 0.7 * normal
    peaked = any(part in name for part in ("q_proj", "k_proj", "in_proj"))
    return normal * math.prod(shape[1:]) ** -0.5 * (1.5 if peaked else 0.8)


def block_shapes(prefix):
    shapes = {}
    for name, shape in {"layer_norm1": (WIDTH,), "layer_norm2": (WIDTH,),
                        "self_attn.q_proj": (WIDTH, WIDTH), "self_attn.k_proj": (WIDTH, WIDTH),
                        "self_attn.v_proj": (WIDTH, WIDTH), "self_attn.out_proj": (WIDTH, WIDTH),
                        "mlp.fc1": (MLP, WIDTH), "mlp.fc2": (WIDTH, MLP)}.items():
        shapes |= {f"{prefix}.{name}.weight": shape, f"{prefix}.{name}.bias": shape[:1]}
    return shapes


def siglip_shapes(vocabulary):
    vision, head = "vision_model.", "vision_model.head."
    shapes = {
        vision + "embeddings.patch_embedding.weight": (WIDTH, 3, PATCH, PATCH),
        vision + "embeddings.patch_embedding.bias": (WIDTH,),
        vision + "embeddings.position_embedding.weight": (GRID * GRID, WIDTH),
        head + "probe": (1, 1, WIDTH),
        head + "attention.in_proj_weight": (3 * WIDTH, WIDTH),
        head + "attention.in_proj_bias": (3 * WIDTH,),
        head + "attention.out_proj.weight": (WIDTH, WIDTH), head + "attention.out_proj.bias": (WIDTH,),
        head + "mlp.fc1.weight": (MLP, WIDTH), head + "mlp.fc1.bias": (MLP,),
        head + "mlp.fc2.weight": (WIDTH, MLP), head + "mlp.fc2.bias": (WIDTH,),
        "text_model.embeddings.token_embedding.weight": (vocabulary, WIDTH),
        "text_model.embeddings.position_embedding.weight": (CONTEXT, WIDTH),
        "text_model.head.weight": (WIDTH, WIDTH), "text_model.head.bias": (WIDTH,),
    }
    for name in ("vision_model.post_layernorm", "vision_model.head.layernorm", "text_model.final_layer_norm"):
        shapes |= {name + ".weight": (WIDTH,), name + ".bias": (WIDTH,)}
    for layer in range(LAYERS):
        shapes |= block_shapes(f"vision_model.encoder.layers.{layer}")
    for layer in range(2):
        shapes |= block_shapes(f"text_model.encoder.layers.{layer}")
    return shapes


def write_siglip(folder):
    """A directory as transformers writes it, with sentencepiece's tokenizer."""
    tokenizer = ROOT / "tests/data/tokenizers/siglip"
    for file in tokenizer.iterdir():
        shutil.copy(file, folder)
    vocabulary = 700
    random = np.random.default_rng(5)
    tensors = {name: drawn(name, shape, random) for name, shape in siglip_shapes(vocabulary).items()}
    tensors |= {"logit_scale": np.full(1, 2.1), "logit_bias": np.full(1, -1.3)}
    snapshot.write_safetensors(folder / "model.safetensors", tensors, "F32")
    tower = dict(hidden_size=WIDTH, intermediate_size=MLP, num_attention_heads=HEADS)
    (folder / "config.json").write_text(json.dumps(dict(
        model_type="siglip",
        vision_config=dict(tower, num_hidden_layers=LAYERS, image_size=SIDE, patch_size=PATCH),
        text_config=dict(tower, num_hidden_layers=2, max_position_embeddings=CONTEXT,
                         vocab_size=vocabulary, projection_size=WIDTH))))
    (folder / "preprocessor_config.json").write_text(json.dumps(dict(
        image_processor_type="SiglipImageProcessor", size=dict(height=SIDE, width=SIDE))))


def both(shapes):
    """Weights of these shapes, and biases of their first axis."""
    return {f"{name}.{kind}": shape if kind == "weight" else shape[:1]
            for name, shape in shapes.items() for kind in ("weight", "bias")}


def clip_tower_shapes(prefix, layers):
    """Blocks by open_clip's names."""
    shapes = {}
    for layer in range(layers):
        block = f"{prefix}transformer.resblocks.{layer}."
        shapes |= both({block + "ln_1": (WIDTH,), block + "ln_2": (WIDTH,), block + "attn.out_proj": (WIDTH, WIDTH),
                        block + "mlp.c_fc": (MLP, WIDTH), block + "mlp.c_proj": (WIDTH, MLP)})
        shapes |= {block + "attn.in_proj_weight": (3 * WIDTH, WIDTH), block + "attn.in_proj_bias": (3 * WIDTH,)}
    return shapes


def clip_text_shapes(vocabulary, prefix=""):
    return {prefix + "token_embedding.weight": (vocabulary, WIDTH),
            prefix + "positional_embedding": (CONTEXT, WIDTH), prefix + "text_projection": (WIDTH, WIDTH),
            **both({prefix + "ln_final": (WIDTH,)}), **clip_tower_shapes(prefix, 2)}


def copy_vocabulary(folder):
    """CLIP's tokenizer of the shipped model; the number of its ids."""
    for file in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        shutil.copy(ROOT / "models/pictureworld" / file, folder)
    return len(json.loads((folder / "vocab.json").read_text()))


def write_timm(folder, tower, seed, shapes, of_block, **sizes):
    """open_clip's directory with one of timm's image towers, made small, and CLIP's texts. `shapes` under
    "visual.trunk.", `of_block` under that of a block: what the tower has beside the patch embedding, the class
    token, its two LayerNorms and the classifier."""
    vocabulary = copy_vocabulary(folder)
    random = np.random.default_rng(seed)
    trunk = "visual.trunk."
    shapes = {trunk + "cls_token": (1, 1, WIDTH), **{trunk + name: shape for name, shape in shapes.items()},
              trunk + "patch_embed.proj.weight": (WIDTH, 3, PATCH, PATCH),
              trunk + "patch_embed.proj.bias": (WIDTH,),
              **both({trunk + "norm": (WIDTH,), trunk + "head": (WIDTH, WIDTH)})}
    for layer in range(LAYERS):
        block = f"{trunk}blocks.{layer}."
        shapes |= both({block + "norm1": (WIDTH,), block + "norm2": (WIDTH,), block + "attn.proj": (WIDTH, WIDTH)})
        shapes |= {block + name: shape for name, shape in of_block.items()}
    tensors = {name: drawn(name, shape, random)
               for name, shape in (shapes | clip_text_shapes(vocabulary, "text.")).items()}
    tensors["logit_scale"] = np.array(3.7)
    snapshot.write_safetensors(folder / "open_clip_model.safetensors", tensors, "F32")
    (folder / "open_clip_config.json").write_text(json.dumps(dict(model_cfg=dict(
        embed_dim=WIDTH, custom_text=True,
        vision_cfg=dict(image_size=SIDE, timm_model_name=tower, timm_pool="token", timm_proj=None,
                        timm_model_kwargs=dict(img_size=SIDE, patch_size=PATCH, embed_dim=WIDTH, depth=LAYERS,
                                               num_heads=HEADS, mlp_ratio=MLP / WIDTH, **sizes)),
        text_cfg=dict(context_length=CONTEXT, vocab_size=vocabulary, width=WIDTH, heads=HEADS, layers=2,
                      mlp_ratio=MLP / WIDTH)))))


def write_eva(folder):
    """EVA-02: keys without a bias, a LayerNorm over the heads' outputs, gated MLPs with one of their own."""
    square = (WIDTH, WIDTH)
    of_block = both({"attn.norm": (WIDTH,), "attn.q_proj": square, "attn.k_proj": square, "attn.v_proj": square,
                     "mlp.fc1_g": (MLP, WIDTH), "mlp.fc1_x": (MLP, WIDTH), "mlp.norm": (MLP,),
                     "mlp.fc2": (WIDTH, MLP)})
    del of_block["attn.k_proj.bias"]
    write_timm(folder, "eva02_base_patch16_clip_224", 7, {"pos_embed": (1, GRID * GRID + 1, WIDTH)}, of_block)


def write_registers(folder):
    """Three registers between the class token and the patches, LayerScale and plain MLPs."""
    of_block = both({"attn.qkv": (3 * WIDTH, WIDTH), "mlp.fc1": (MLP, WIDTH), "mlp.fc2": (WIDTH, MLP)})
    write_timm(folder, "vit_small_patch14_reg4_dinov2", 11,
               {"reg_token": (1, 3, WIDTH), "pos_embed": (1, GRID * GRID, WIDTH)},
               of_block | {"ls1.gamma": (WIDTH,), "ls2.gamma": (WIDTH,)}, reg_tokens=3)


def write_clipa(folder):
    """open_clip's directory of a tower that averages its patches, with CLIP's texts."""
    vocabulary = copy_vocabulary(folder)
    shapes = {"visual.class_embedding": (WIDTH,), "visual.positional_embedding": (GRID * GRID + 1, WIDTH),
              "visual.conv1.weight": (WIDTH, 3, PATCH, PATCH), "visual.proj": (WIDTH, WIDTH),
              **both({"visual.ln_pre": (WIDTH,), "visual.ln_post": (WIDTH,)}),
              **clip_tower_shapes("visual.", LAYERS), **clip_text_shapes(vocabulary)}
    random = np.random.default_rng(6)
    tensors = {name: random_weights.draw(name, shape, lambda s: random.standard_normal(shape) * s,
                                         lambda: random.uniform(0.3, 1.8, shape), outlier_step=17)
               for name, shape in shapes.items()}
    tensors["logit_scale"] = np.array(3.7)
    snapshot.write_safetensors(folder / "open_clip_model.safetensors", tensors, "F32")
    (folder / "open_clip_config.json").write_text(json.dumps(dict(model_cfg=dict(
        embed_dim=WIDTH,
        vision_cfg=dict(image_size=SIDE, patch_size=PATCH, layers=LAYERS, width=WIDTH,
                        head_width=WIDTH // HEADS, mlp_ratio=MLP / WIDTH, pool_type="avg",
                        final_ln_after_pool=True),
        text_cfg=dict(context_length=CONTEXT, vocab_size=vocabulary, width=WIDTH, heads=HEADS, layers=2,
                      mlp_ratio=MLP / WIDTH)))))


# What the tests share: stores, edits and neurons of all models.

STYLES = ["--classes", TEXTS / "styles.txt", "--templates", TEXTS / "styles.templates.txt"]
STYLE_LABELS = [*STYLES, "--label", "style"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Pictures as a shard with labels and masks, and one of them as a file."""
    folder = tmp_path_factory.mktemp("pictures")
    with tarfile.open(ROOT / "world/sets/test/test-000.tar") as shard:
        names = [name.removesuffix(".json") for name in shard.getnames() if name.endswith(".json")]
        with tarfile.open(folder / "set.tar", "w") as out:
            for name in names[:PICTURES]:
                for ending in (".png", ".mask.png", ".json"):
                    out.addfile(shard.getmember(name + ending), shard.extractfile(name + ending))
        (folder / "one.png").write_bytes(shard.extractfile(names[3] + ".png").read())
    return SimpleNamespace(set=folder / "set.tar", one=folder / "one.png")


@pytest.fixture(scope="module", params=MODELS)
def made(request, pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    model = folder / "model"
    model.mkdir()
    {"siglip": write_siglip, "clipa": write_clipa, "eva": write_eva}[request.param](model)
    said = answer("decompose", model, "--images", pictures.set, "--out", folder / "store")
    answer("neurons", "collect", model, "--images", pictures.set, "--layers", "all", "--out",
           folder / "neurons")
    return SimpleNamespace(folder=folder, model=model, store=folder / "store", decomposed=said,
                           neurons=folder / "neurons", kind=request.param, siglip=request.param == "siglip",
                           **vars(pictures))


# The fields of docs/json.md that may be null; a null elsewhere is a number that is none.
NULL = set(re.findall(r"^\| `[^`|]*?(\w+)(?:\[\])?` \|.*\bnull\b", (ROOT / "docs/json.md").read_text(), re.M))


def finite(value, name=""):
    """Whether every number of a result is one."""
    if isinstance(value, dict):
        return all(finite(v, key) for key, v in value.items())
    if isinstance(value, list):
        return all(finite(v, name) for v in value)
    return name in NULL if value is None else not isinstance(value, float) or math.isfinite(value)


def printed(*arguments):
    result = run(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def answered(*arguments):
    value = answer(*arguments)
    assert finite(value), value
    return value


def rows_of(made, tmp_path, *arguments):
    answer("embed", made.model, "--images", made.set, "--out", tmp_path / "rows.npy", *arguments)
    return np.load(tmp_path / "rows.npy").astype(np.float64)


def exported(made, tmp_path, *arguments):
    tmp_path.mkdir(exist_ok=True)
    answer("export", made.store, "--out", tmp_path / "arrays", *arguments)
    return {path.stem: np.load(path).astype(np.float64) for path in (tmp_path / "arrays").glob("*.npy")}


def rest_of(made):
    """Parts of a score that come from no patch."""
    return {"mlps", "input"} | ({"pool_mlp"} if made.siglip else {"class_token"})


# The models and what is embedded.

def test_what_the_model_is(made, tmp_path):
    said = answered("info", made.model)
    assert said["config"]["vision"]["pooling"] == {"siglip": "attention", "clipa": "average", "eva": "token"}[made.kind]
    ids = printed("tokenize", made.model, "--texts", TEXTS / "objects.txt").splitlines()
    assert len(ids) == len((TEXTS / "objects.txt").read_text().splitlines())
    answer("preprocess", made.model, "--image", made.one, "--out", tmp_path / "x.npy")
    assert np.load(tmp_path / "x.npy").shape == (3, SIDE, SIDE)
    answer("embed", made.model, "--texts", PHRASES, "--out", tmp_path / "texts.npy")
    texts = np.load(tmp_path / "texts.npy")
    assert np.allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-6)
    assert np.linalg.matrix_rank(texts - texts.mean(0)) > 20  # they are told apart
    rows = rows_of(made, tmp_path)
    assert rows.shape == (PICTURES, WIDTH) and rows.std(0).min() > 1e-3


def test_classes(made):
    said = answered("classify", made.model, "--images", made.set, *STYLE_LABELS, "-k", 3)
    assert said["probabilities"] == ("sigmoid" if made.siglip else "softmax")
    assert said["labelled"] == PICTURES and len(said["results"]) == PICTURES
    for one in (top for picture in said["results"] for top in picture["top"]):
        assert 0 <= one["probability"] <= 1
        if made.siglip:
            logit = math.exp(2.1) * one["similarity"] - 1.3
            assert one["probability"] == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-6)


# Stores.

def test_stores(made, tmp_path):
    assert made.decomposed["certificate"]["max"] < 1e-6
    assert ("pool_mlp_share" in made.decomposed) == made.siglip
    again = answered("decompose", made.model, "--images", made.set, "--out", made.store, "--resume")
    assert again["complete_already"]
    printed("decompose", made.model, "--images", made.set, "--out", tmp_path / "half", "--store-dtype", "fp16")
    for part in (0, 1):
        printed("decompose", made.model, "--images", made.set, "--out", tmp_path / f"part{part}", "--shard",
                f"{part}/2", "--shard-images", 8)
    printed("merge", tmp_path / "part0", tmp_path / "part1", "--out", tmp_path / "merged")
    printed("decompose", made.model, "--images", made.set, "--out", tmp_path / "whole", "--shard-images", 8)
    for name in ("shard-00001.safetensors", "stats.safetensors", "basis.safetensors"):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    for store in (made.store, tmp_path / "half", tmp_path / "merged"):
        assert answered("verify", store, "--model", made.model)["whole"]


def test_the_share_of_the_pools_mlp_is_said(made, tmp_path):
    text = printed("decompose", made.model, "--images", made.set, "--out", tmp_path / "store")
    assert ("POOL.MLP" in text) == made.siglip
    spans = printed("span", made.store, "--texts", PHRASES, "--heads", "L2", "--count", 2)
    assert spans.startswith("POOL.MLP, the MLP behind the pool, brings") == made.siglip
    said = answered("report", made.store, "--texts", PHRASES, "--heads", "L2", "--count", 2,
                    "--out", tmp_path / "r.html")
    shares = {one["component"]: one["share"] for one in said["components"]}
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    page = (tmp_path / "r.html").read_text()
    assert ("POOL.MLP" in shares) == ("POOL.MLP" in page) == made.siglip
    if made.siglip:
        assert shares["POOL.MLP"] == pytest.approx(made.decomposed["pool_mlp_share"], abs=1e-12)
        assert "POOL.MLP, the MLP behind the model" in page
    # The first lines name all that is summed, with the share that the first table gives.
    deck = re.search(r'<p class="deck">(.*?)</p>', page)[1]
    assert "attention heads, 3 MLPs" in deck and "and the input write" in deck
    of_pool = re.findall(r"POOL.MLP \(the MLP behind the pool, ([0-9.−-]+).% of the variance\)", deck)
    assert of_pool == ([re.search(r'title="POOL.MLP: ([0-9.−-]+) ', page)[1]] if made.siglip else [])


def test_the_sum_is_the_embedding(made, tmp_path):
    arrays = exported(made, tmp_path)
    assert arrays["mlp"].shape[1] == LAYERS + (2 if made.siglip else 1)
    whole = arrays["attn"].sum((1, 2)) + arrays["mlp"].sum(1)
    assert np.abs(whole - arrays["embedding"]).max() < 1e-5
    assert np.abs(arrays["embedding"] - rows_of(made, tmp_path)).max() < 1e-6
    # What attention takes from the class token, where there is one.
    assert (np.abs(arrays["cls_attn"]).max() == 0) == made.siglip


def test_pictures_of_another_size(made, tmp_path):
    store = tmp_path / "big"
    said = answered("decompose", made.model, "--images", made.set, "--out", store, "--image-size", 48)
    assert said["certificate"]["max"] < 1e-6
    assert answered("verify", store, "--model", made.model)["whole"]
    assert len(answered("match", made.store, store)["matches"]) == LAYERS * HEADS
    compared = answered("compare", made.store, store, *STYLE_LABELS)
    names = {one["component"] for one in compared["components"]}
    assert ("POOL.MLP" in names) == made.siglip
    heat = answered("heatmap", made.model, "--image-size", 48, "--image", made.one, "--text", "a duck")
    assert len(heat["map"]) == 6 == len(heat["map"][0])


def test_pictures_resized_as_torchvision_does(made, tmp_path):
    store = tmp_path / "store"
    arguments = ["decompose", made.model, "--images", made.set, "--resize-backend", "torchvision"]
    if not made.siglip:
        says_one_line(run(*arguments, "--out", store), 2, "open_clip resizes this model's pictures with Pillow")
        assert not store.exists()
        return
    answered(*arguments, "--out", store)
    model = json.loads((store / "manifest.json").read_text())["model"]
    assert model["resize_backend"] == model["config"]["preprocess"]["resize_backend"] == "torchvision"
    assert "resize_backend" not in json.loads((made.store / "manifest.json").read_text())["model"]
    # What reads the store's pictures again resizes them so, too.
    assert answered("verify", store, "--model", made.model)["whole"]
    other = tmp_path / "other.npy"
    own = rows_of(made, tmp_path)
    answer("embed", made.model, "--images", made.set, "--resize-backend", "torchvision", "--out", other)
    assert 1e-6 < np.abs(np.load(other) - own).max() < 0.2
    answer("export", store, "--out", tmp_path / "arrays")
    assert np.allclose(np.load(tmp_path / "arrays/embedding.npy"), np.load(other), atol=1e-6)


# Words.

def test_words_of_heads(made, tmp_path):
    said = answered("span", made.store, "--texts", PHRASES, "--count", 4, "--out", tmp_path / "span.json")
    assert len(said["heads"]) == LAYERS * HEADS
    for head in said["heads"]:
        shares = [text["share"] for text in head["texts"]]
        assert len(shares) == 4 and all(0 <= share <= 1 for share in shares)
    labels = answered("label", made.store, "--properties", TEXTS / "properties.txt")
    assert len(labels["heads"]) == LAYERS * HEADS
    answered("evaluate", "labels", made.store, "--properties", TEXTS / "properties.txt", "--truth",
             "object,style")
    weights = answered("weights", made.model, "--texts", PHRASES, "--heads", "L2")
    assert len(weights["heads"]) == HEADS
    answered("describe", made.model, "--store", made.store, "--item", 2, "--texts", PHRASES)
    direction = answered("heatmap", made.model, "--image", made.one, "--direction", "L2.H1:1", "--span",
                         tmp_path / "span.json", "--out", tmp_path / "map.png")
    assert direction["maps"][0]["sum"] == pytest.approx(direction["maps"][0]["score"], abs=1e-6)
    if made.siglip:
        answered("describe", made.model, "--store", made.store, "--item", 2, "--texts", PHRASES,
                 "--components", "POOL.MLP")


def test_statistics_alone(made, tmp_path):
    store = tmp_path / "stats"
    printed("decompose", made.model, "--images", made.set, "--out", store, "--stats-only", "--slices", 3)
    assert answered("verify", store, "--model", made.model)["whole"]
    printed("edit", "make", store, "--heads", "L2.H1", "--out", tmp_path / "edit.json")
    needed = {("span", store, "--texts", PHRASES): made.siglip,
              ("report", store, "--texts", PHRASES, "--out", tmp_path / "r.html"): made.siglip,
              ("label", store, "--properties", TEXTS / "properties.txt"): True,
              ("ablate", store, *STYLE_LABELS): True,
              ("search", store, "--item", 1): True,
              ("export", store, "--out", tmp_path / "arrays"): True}
    for command, factors in needed.items():
        result = run(*command)
        if factors:
            says_one_line(result, 5, "statistics only", "decompose without --stats-only")
        else:
            assert result.returncode == 0, result.stderr


def test_search(made):
    nearest = answered("search", made.store, "--image", made.one, "-k", 3)["results"]
    assert nearest[0]["item"] == 3 and nearest[0]["score"] == pytest.approx(1, abs=1e-5)
    for space in (["--heads", "L2"], ["--heads", "L2", "--definition", "sum-of-scores"], ["--raw"]):
        assert len(answered("search", made.store, "--item", 3, "-k", 4, *space)["results"]) == 4
        found = answered("search", made.store, "--text", "a duck", "-k", 4, *space)["results"]
        assert len({one["item"] for one in found}) == 4


# Accuracy.

def test_ablation(made):
    said = answered("ablate", made.store, *STYLE_LABELS)
    own = ["pool_mlp", "mlps+pool_mlp"] if made.siglip else ["cls_attn", "mlps+cls_attn"]
    assert [row["name"] for row in said["rows"]] == ["base", "mlps", *own]
    rows = {row["name"]: row["score"]["value"] for row in said["rows"]}
    lost = {one["component"]: one["score_lost"]["value"] for one in said["components"]}
    mlps = sum(value for name, value in lost.items() if name == "INPUT" or name[0] == "L" and "MLP" in name)
    assert rows["base"] - rows["mlps"] == pytest.approx(mlps, abs=1e-9)
    # Only all attention kept; with nothing kept, every score is that of the mean.
    end = "mlps+pool_mlp" if made.siglip else "mlps"
    accuracy = next(row["accuracy"] for row in said["rows"] if row["name"] == end)
    assert said["last_only"][-1] == accuracy
    if made.siglip:
        assert rows["base"] - rows["pool_mlp"] == pytest.approx(lost["POOL.MLP"], abs=1e-9)
        assert rows["base"] - rows[end] == pytest.approx(mlps + lost["POOL.MLP"], abs=1e-9)
    table = printed("ablate", made.store, *STYLE_LABELS, "--components", 20)
    assert ("POOL.MLP replaced" in table) == made.siglip
    assert ("class token" in table) != made.siglip
    # A class token that is pooled attends to itself; behind other pools there is none that does.
    assert ("attention to itself" in table) == (made.kind == "eva")


def test_what_ablation_replaces(made, tmp_path):
    """Its rows by the store's contributions."""
    arrays = exported(made, tmp_path)
    classes = tmp_path / "classes.npy"
    lines = [line.split("\t") for line in (TEXTS / "styles.txt").read_text().splitlines()]
    templates = (TEXTS / "styles.templates.txt").read_text().splitlines()
    rows = []
    for name, _ in lines:
        (tmp_path / "texts.txt").write_text("".join(t.replace("{}", name) + "\n" for t in templates))
        classes.unlink(missing_ok=True)
        (tmp_path / "classes.rows.jsonl").unlink(missing_ok=True)
        answer("embed", made.model, "--texts", tmp_path / "texts.txt", "--out", classes)
        row = np.load(classes).astype(np.float64).sum(0)
        rows.append(row / np.linalg.norm(row))
    items = [json.loads(line) for line in (tmp_path / "arrays/items.jsonl").read_text().splitlines()]
    right = np.array([[label for _, label in lines].index(item["attributes"]["style"]) for item in items])
    picked = np.array(rows)[right]
    mlp = arrays["mlp"]
    change = (mlp.mean(0) - mlp).transpose(1, 0, 2)  # [parts, B, E]
    score = {"base": arrays["embedding"], "mlps": arrays["embedding"] + change[:LAYERS + 1].sum(0)}
    if made.siglip:
        score |= {"pool_mlp": arrays["embedding"] + change[-1],
                  "mlps+pool_mlp": arrays["embedding"] + change.sum(0)}
    said = {row["name"]: row["score"]["value"] for row in answered("ablate", made.store, *STYLE_LABELS)["rows"]}
    for name, edited in score.items():
        assert said[name] == pytest.approx((edited * picked).sum(1).mean(), abs=1e-6), name


def test_reconstruction(made):
    said = answered("reconstruct", made.store, "--texts", PHRASES, *STYLE_LABELS, "--counts", "1,40",
                    "--layers", 2)
    explained = [row["explained"] for row in said["pools"][0]["rows"]]
    assert 0 < explained[0] < explained[1] <= 1 + 1e-9


def test_groups(made):
    for edit in ([], ["--heads", "L2.H0,L2.MLP", "--random", 2],
                 ["--heads", "POOL.MLP" if made.siglip else "INPUT"]):
        said = answered("evaluate", "groups", made.store, *STYLE_LABELS, "--attribute", "size",
                        "--skip-empty", *edit)
        assert said["rows"][0]["name"] == "base"


# Edits.

def test_edits_of_passes_are_those_of_the_store(made, tmp_path):
    targets = ["L2.H1,L1,mlps", "POOL.MLP,L0.H0" if made.siglip else "INPUT,L0.H0"]
    for number, (heads, mode) in enumerate([(targets[0], "mean"), (targets[1], "mean"),
                                            (targets[1], "scale=0.5")]):
        edit, folder = tmp_path / f"{number}.json", tmp_path / str(number)
        folder.mkdir()
        made_edit = answered("edit", "make", made.store, "--heads", heads, "--mode", mode, "--out", edit)
        assert answered("edit", "show", edit)["components"] == made_edit["components"]
        live = rows_of(made, folder, "--edit", edit, "--no-normalize")
        stored = exported(made, folder, "--edit", edit, "--no-normalize")
        assert np.abs(live - stored["embedding"]).max() < 1e-5
        plain = exported(made, folder / "plain")
        assert np.abs(live - plain["embedding"]).max() > 1e-3
        if number == 1:  # by the definition
            part = plain["mlp"][:, -1 if made.siglip else 0] + plain["attn"][:, 0, 0]
            assert np.abs(plain["embedding"] - part + part.mean(0) - live).max() < 1e-5
        said = answered("classify", made.model, "--images", made.set, *STYLE_LABELS, "--edit", edit)
        assert said["edit"]["components"]
    if not made.siglip:
        says_one_line(run("edit", "make", made.store, "--heads", "POOL.MLP", "--out", tmp_path / "x.json"), 2,
                      "POOL.MLP")


def test_edits_that_are_suggested(made, tmp_path):
    """Weights are random, so there is an edit or a reason why there is none."""
    result = run("edit", "suggest", made.store, *STYLE_LABELS, "--attribute", "size", "--within-classes",
                 "--out", tmp_path / "edit.json")
    assert result.returncode in (0, 2, 5), result.stderr
    assert (tmp_path / "edit.json").exists() == (result.returncode == 0)
    assert result.returncode == 0 or "edit.json is not written" in result.stderr or "cue" in result.stderr


# Scores of one picture.

def test_heat_maps(made, tmp_path):
    kinds = [["--text", "a duck", "--text", "a violin"],
             ["--text", "a duck", "--against", "a violin", "--heads", "L2"],
             ["--text", "a neon sign", "--against-classes", TEXTS / "styles.txt", "--templates", "simple"]]
    for number, kind in enumerate(kinds):
        said = answered("heatmap", made.model, "--image", made.one, *kind, "--out", tmp_path / f"{number}.png",
                        "--npy", tmp_path / f"{number}.npy")
        assert (tmp_path / f"{number}.png").stat().st_size > 1000
        grids = np.load(tmp_path / f"{number}.npy")
        for grid, one in zip(grids, said["maps"], strict=True):
            assert set(one["rest"]) == rest_of(made) | {"other_heads"}
            assert np.abs(grid - np.array(one["map"])).max() < 1e-6
            assert np.sum(one["map"]) + sum(one["rest"].values()) == pytest.approx(one["score"], abs=1e-6)
    table = printed("heatmap", made.model, "--image", made.one, *kinds[0], "--npy", tmp_path / "x.npy")
    assert ("POOL.MLP" in table) == made.siglip and ("class token" in table) != made.siglip


def test_explanations(made, tmp_path):
    kinds = [["--text", "a picture of a duck"], ["--text", "a picture of a duck", "--against", "a violin"],
             STYLES, [*STYLES, "--class", "a stamp", "--against", "mean"]]
    for number, kind in enumerate(kinds):
        said = answered("explain", made.model, "--image", made.one, *kind, "--out", tmp_path / f"{number}.png")
        components = {one["component"]: one["score"] for one in said["components"]}
        assert len(components) == LAYERS * HEADS + LAYERS + (2 if made.siglip else 1)
        assert sum(components.values()) == pytest.approx(said["score"], abs=1e-6)
        assert sum(word["score"] for word in said["words"]) == pytest.approx(said["score"], abs=1e-6)
        assert np.sum(said["map"]) + sum(said["rest"].values()) == pytest.approx(said["score"], abs=1e-6)
        for word in said["words"]:
            assert word["patches"] + sum(word[part] for part in rest_of(made)) == \
                pytest.approx(word["score"], abs=1e-9)
        assert set(said["rest"]) == rest_of(made)
        assert ("class_to_class" in said) != made.siglip
        if made.siglip:
            assert components["POOL.MLP"] == pytest.approx(said["rest"]["pool_mlp"], abs=1e-6)
            assert number > 1 or any(word["text"] == "‹padding›" for word in said["words"])
    table = printed("explain", made.model, "--image", made.one, *kinds[0])
    assert ("class token" in table) != made.siglip


def test_scores_through_neurons(made, tmp_path):
    said = answered("explain", made.model, "--image", made.one, "--text", "a picture of a duck", "--through",
                    "L1", "--out", tmp_path / "why.png")
    through = said["through"]
    parts = ("neurons", "constants", "later_heads", "other_heads", "mlps", "input")
    whole = sum(through[part] for part in parts) + (through["pool_mlp"] if made.siglip else 0)
    assert whole == pytest.approx(said["score"], abs=1e-6)
    # The patches and the class token, if there is one, bring what the neuron brings.
    for one in through["strongest"]:
        assert len(one["patches"]) == GRID * GRID and ("class_token" in one) != made.siglip
        assert sum(one["patches"]) + one.get("class_token", 0) == pytest.approx(one["score"], abs=1e-7)
        assert sum(head["score"] for head in one["heads"]) == pytest.approx(one["score"], abs=1e-9)
    table = printed("explain", made.model, "--image", made.one, "--text", "a duck", "--through", "L1")
    assert ("at the class token" not in table) or not made.siglip
    answered("explain", made.model, "--image", made.one, "--text", "a duck", "--through", "text:L0")


METHODS = ("decomposition", "raw-attention", "rollout", "patch-text", "background")


@pytest.mark.parametrize("method", [*METHODS, "neurons", "neuron-effects"])
def test_masks(made, tmp_path, method):
    options = {"neurons": ["--neurons", made.neurons], "neuron-effects": ["--layers", 1]}.get(method, [])
    said = answered("segment", made.model, "--image", made.one, *STYLES, "--method", method, *options,
                    "--out", tmp_path / "mask.png", "--npy", tmp_path / "map.npy")
    assert said["format"] == "cliplens.segment/1"
    map_ = np.load(tmp_path / "map.npy")
    assert map_.shape == (80, 80) and 0 <= map_.min() and map_.max() <= 1
    answer("evaluate", "segmentation", made.model, "--images", made.set, *STYLE_LABELS, "--method", method,
           *options, "--maps", tmp_path / "maps.npy")
    maps = np.load(tmp_path / "maps.npy")
    assert maps.shape[1:] == (GRID, GRID) and np.isfinite(maps).all()
    assert method == "background" or maps.std() > 0


# Neurons.

def test_neurons(made, tmp_path):
    assert answered("verify", made.neurons, "--model", made.model)["whole"]
    stats = tmp_path / "stats"
    printed("neurons", "collect", made.model, "--images", made.set, "--layers", "all", "--stats-only", "--out",
            stats)
    assert answered("verify", stats, "--model", made.model)["whole"]
    for part in (0, 1):
        printed("neurons", "collect", made.model, "--images", made.set, "--layers", "all", "--top", 2, "--out",
                tmp_path / f"part{part}", "--shard", f"{part}/2", "--shard-images", 16)
    printed("merge", tmp_path / "part0", tmp_path / "part1", "--out", tmp_path / "merged")
    words = [answered("neurons", "words", store, "--texts", PHRASES, "--count", 2)
             for store in (made.neurons, stats, tmp_path / "merged")]
    assert len(words[0]["neurons"]) == 2 * MLP
    for other in words[1:]:
        for a, b in zip(words[0]["neurons"], other["neurons"], strict=True):
            assert a["neuron"] == b["neuron"] and a["texts"] == b["texts"]
    rows = answered("neurons", "weights", made.model, "--texts", PHRASES, "--count", 2)
    assert rows["layers"]


def test_where_a_neuron_fires(made, tmp_path):
    neuron = "L1.N3"
    said = answered("neurons", "show", made.neurons, neuron, "--texts", PHRASES, "--maps",
                    tmp_path / "fires.png")
    assert sum(head["share"] for head in said["heads"]) < 1.5
    for picture in said["pictures"]:
        fires = np.array(picture["fires"])
        assert fires.shape == (GRID, GRID) and fires.std() > 0
        assert ("class_token" in picture) != made.siglip


def test_accuracy_without_neurons(made):
    ablated = answered("neurons", "ablate", made.neurons, *STYLE_LABELS)
    assert [layer["layer"] for layer in ablated["layers"]] == [0, 1]
    rebuilt = answered("neurons", "reconstruct", made.neurons, "--texts", PHRASES, *STYLE_LABELS, "--counts",
                       "1,4", "--layers", 1)
    assert rebuilt["layers"]


def test_concepts_and_cues(made):
    found = answered("neurons", "discover", made.neurons, "--image", made.one, "--texts", PHRASES)
    assert found["neurons"] == 2 * MLP
    cue = answered("neurons", "cue", made.neurons, "a duck", "a violin", "--texts", PHRASES, "--words", 3,
                   "--score", made.set)
    assert cue["format"].startswith("cliplens.neurons.cue/")
    texts = made.folder / "text-neurons"
    printed("neurons", "collect", made.model, "--texts", PHRASES, "--layers", "all", "--out", texts)
    assert answered("neurons", "words", texts, "--texts", PHRASES, "--count", 2)["neurons"]


# The page and the explorer.

def test_the_page(made, tmp_path):
    page = tmp_path / "report.html"
    said = answered("report", made.store, "--texts", PHRASES, "--count", 2, "--heads", "L2", "--properties",
                    TEXTS / "properties.txt", *STYLE_LABELS, "--image", made.one, "--text", "a duck",
                    "--neurons", made.neurons, "--out", page)
    assert said["heads"] == HEADS and said["neurons"]["shown"] > 0
    text = page.read_text()
    assert "nan" not in text.split("base64")[0].lower().split()
    assert ("class token" in text) != made.siglip
    assert ("POOL.MLP" in text) == made.siglip


def test_the_explorer(made):
    server = test_explorer.Server(made.store, made.neurons, "--texts", PHRASES, "--properties",
                                  TEXTS / "properties.txt", *STYLES, "--label", "style")
    try:
        server.wait_until_ready()
        sources = server.get("/sources")["sources"]
        assert len(sources) >= 1
        source = "/sources/s0"
        overview = server.get(source + "/overview")
        assert sum(one["share"] for one in overview["components"]) == pytest.approx(1, abs=1e-5)
        server.get(source + "/heads/L2.H1")
        sent = {"picture": server.send(made.one.read_bytes())["picture"]}
        heat = server.post(source + "/heatmap", {"picture": sent, "texts": ["a duck"]})
        assert set(heat["maps"][0]["rest"]) == rest_of(made) | {"other_heads"}
        explained = server.post(source + "/explain", {"picture": sent, "text": "a duck", "through": "L1"})
        assert sum(one["score"] for one in explained["components"]) == pytest.approx(explained["score"], abs=1e-6)
        fires = server.post(source + "/fires", {"picture": sent, "neurons": ["L1.N3"]})
        assert ("class_token" in fires["neurons"][0]) != made.siglip
        assert np.array(fires["neurons"][0]["fires"]).shape == (GRID, GRID)
        server.post(source + "/search", {"terms": [{"query": sent}], "count": 3})
        server.post(source + "/segment", {"picture": sent, "text": None, "in": {"embedding": True}})
        parts = ["L2.H1", "L1.MLP"] + (["POOL.MLP"] if made.siglip else [])
        edit = {"components": parts, "mode": "mean"}
        server.post(source + "/edit", {"edit": edit, "picture": sent, "texts": ["a duck", "a stamp"]})
        server.post(source + "/scores", {"picture": sent, "texts": ["a duck"], "edit": edit})
    finally:
        assert server.stop() == 0
