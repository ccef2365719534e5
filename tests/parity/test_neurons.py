"""Second-order effects of neurons against their definition, formed literally in fp64 from what
hooks record in open_clip, and what is made of them against NumPy and scikit-learn.

"Interpreting the Second-Order Effects of Neurons in CLIP" (arXiv 2406.04341), with the constants as
its code splits them and without its factor 100. Letters: F neurons of a layer, N tokens, H heads,
K head width, D width, E embedding width, B pictures.
"""

from __future__ import annotations

import dataclasses
import json
import tarfile
import warnings

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from sklearn.decomposition import SparseCoder

from harness import ROOT, SHIPPED
from write_pursuit_cases import prepared

TEXTS = ROOT / "world" / "texts"
CLASSES, TEMPLATES = TEXTS / "objects.txt", TEXTS / "objects.templates.txt"
TRAIN, TEST, TOP = 24, 16, 8
OF_RANDOM = 3  # pictures of the models with random weights
# GELU and two later layers; QuickGELU, eps 1e-6 and two; one later layer of trained weights.
CASES = {"plain": 1, "odd": 0, SHIPPED: 4}
EFFECTS = 1e-5
COSINE = 1 - 1e-6
FIGURES = 1e-5
WEIGHTS = 1e-10


class Recorder:
    """An open_clip model in fp64, and what hooks see of one picture's pass."""

    def __init__(self, directory, layer):
        self.model, _, self.transform = open_clip.create_model_and_transforms(
            f"local-dir:{directory}")
        self.model.double().eval()
        self.visual = self.model.visual
        self.blocks = self.visual.transformer.resblocks
        self.layer = layer
        self.activation = None   # [N, F], behind the non-linearity
        self.statistics = {}     # layer or "last": μ [N, 1] and σ [N, 1] of LayerNorm 1 or the last
        self.attention = {}      # layer: [H, N] of the class token
        self.blocks[layer].mlp.gelu.register_forward_hook(self.keep_activation)
        self.visual.ln_post.register_forward_pre_hook(self.keep_statistics("last"))
        for later in range(layer + 1, len(self.blocks)):
            block = self.blocks[later]
            block.ln_1.register_forward_pre_hook(self.keep_statistics(later))
            block.attn.register_forward_hook(self.keep_attention(later))

    def keep_activation(self, _module, _inputs, output):
        self.activation = output[0]

    def keep_statistics(self, key):
        def hook(norm, inputs):
            x = inputs[0][0]
            mean = x.mean(-1, keepdim=True)
            variance = ((x - mean) ** 2).mean(-1, keepdim=True)
            self.statistics[key] = mean, (variance + norm.eps).sqrt()
        return hook

    def keep_attention(self, layer):
        def hook(module, inputs, _output):
            # The same module once more, now with its weights; forward() itself calls no hooks.
            _, weights = module.forward(*inputs[:3], need_weights=True,
                                        average_attn_weights=False)
            self.attention[layer] = weights[0, :, 0]
        return hook

    @torch.no_grad()
    def effects(self, picture) -> tuple[np.ndarray, np.ndarray]:
        """φ [F, E] of one picture and its unit embedding [E]. What every neuron adds to every token
        goes through the norm, the values, the attention and the output of every head of every later
        layer, then through the last norm and the projection."""
        embedding = self.visual(self.transform(Image.open(picture))[None].double())[0]
        neurons = self.activation.shape[1]
        output = self.blocks[self.layer].mlp.c_proj
        added = self.activation[:, :, None] * output.weight.T + output.bias / neurons  # [N, F, D]
        width = added.shape[-1]
        last, components = self.visual.ln_post, 2 * len(self.blocks) + 1
        last_mean, last_sigma = (value[0] for value in self.statistics["last"])
        effects = torch.zeros(neurons, len(embedding), dtype=torch.float64)
        for layer, pattern in self.attention.items():
            block, heads = self.blocks[layer], len(pattern)
            mean, sigma = (value[:, :, None] for value in self.statistics[layer])
            terms = (1 + 2 * layer) * neurons  # of the layer's input
            read = block.ln_1.weight * (added - mean / terms) / sigma + block.ln_1.bias / terms
            attn = block.attn
            weight, bias = attn.in_proj_weight[2 * width:], attn.in_proj_bias[2 * width:]
            values = read @ weight.T + bias / terms
            values = values.reshape(*values.shape[:2], heads, -1)  # [N, F, H, K]
            out_weight = attn.out_proj.weight.reshape(width, heads, -1)
            shares = terms * heads * components  # of the final sum
            for head in range(heads):
                taken = torch.einsum("n,nfk->fk", pattern[head], values[:, :, head])
                written = (taken @ out_weight[:, head].T
                           + attn.out_proj.bias / (terms * heads))  # [F, D]
                normed = last.weight * (written - last_mean / shares) / last_sigma
                effects += (normed + last.bias / shares) @ self.visual.proj
        norm = embedding.norm()
        return (effects / norm).numpy(), (embedding / norm).numpy()


class NeuronStore:
    """What `neurons collect` wrote of one layer."""

    def __init__(self, directory, layer):
        self.directory = directory
        items = (directory / "items-00000.jsonl").read_text().splitlines()
        self.paths = [json.loads(line)["path"] for line in items]
        shard, = directory.glob("shard-*.safetensors")
        arrays = {key: value.astype(np.float64) for key, value in load_file(shard).items()}
        basis = {key: value.astype(np.float64)
                 for key, value in load_file(directory / "basis.safetensors").items()}
        self.alpha = arrays[f"alpha.L{layer}"]  # [F, B, J]
        self.constants = arrays[f"shared.L{layer}"] @ basis[f"shared.L{layer}"]  # κ [B, E]
        later = sorted(int(key.split(".L")[2]) for key in basis
                       if key.startswith(f"values.L{layer}."))
        heads = self.alpha.shape[2] // len(later)
        self.directions = np.stack(
            [values @ writes for at in later for values, writes in zip(
                np.split(basis[f"values.L{layer}.L{at}"], heads, 1),
                np.split(basis[f"writes.L{at}"], heads, 0), strict=True)], 1)  # D [F, J, E]
        self.statistics = {key.removesuffix(f".L{layer}"): value for key, value in
                           load_file(directory / "stats.safetensors").items()
                           if key.endswith(f".L{layer}")}

    def effects(self) -> np.ndarray:
        """φ [B, F, E]"""
        return (np.einsum("fbj,fje->bfe", self.alpha, self.directions, optimize=True)
                + self.constants[:, None])


@dataclasses.dataclass
class Case:
    model: str
    layer: int
    recorder: Recorder
    stores: dict[str, NeuronStore]    # "train", "test"
    effects: dict[str, np.ndarray]    # by the definition [B, F, E]
    embedding: dict[str, np.ndarray]  # [B, E]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Folders named by their labels: pictures that directions are made of, and others."""
    out = tmp_path_factory.mktemp("neuron-pictures")
    with tarfile.open(ROOT / "world/sets/test/test-000.tar") as tar:
        for number in range(TRAIN + TEST):
            name = f"test-{number:06d}"
            label = json.load(tar.extractfile(f"{name}.json"))["label"]
            folder = out / ("train" if number < TRAIN else "test") / label
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.png").write_bytes(tar.extractfile(f"{name}.png").read())
    return out


@pytest.fixture(scope="module")
def cases(cliplens, tmp_path_factory, model_folders, pictures):
    """Cases by model, each made once."""
    made = {}

    def case(model: str) -> Case:
        if model in made:
            return made[model]
        layer = CASES[model]
        out = tmp_path_factory.mktemp(f"neurons-{model}")
        recorder = Recorder(model_folders[model], layer)
        made[model] = one = Case(model, layer, recorder, {}, {}, {})
        # The definition takes a second a picture; models with random weights have few of them.
        for part in ("train", "test") if model == SHIPPED else ("train",):
            cliplens("neurons", "collect", model_folders[model], "--images", pictures / part,
                     "--layers", layer, "--top", TOP, "--out", out / part)
            store = one.stores[part] = NeuronStore(out / part, layer)
            paths = store.paths if model == SHIPPED else store.paths[:OF_RANDOM]
            found = [recorder.effects(pictures / part / path) for path in paths]
            one.effects[part] = np.stack([effects for effects, _ in found])
            one.embedding[part] = np.stack([embedding for _, embedding in found])
        return one

    return case


@pytest.mark.parametrize("model", CASES)
def test_effects_are_those_of_the_definition(measured, cases, model):
    """Test 1 of the specification of neurons, in fp32; also of weights with QuickGELU."""
    case = cases(model)
    for part, store in case.stores.items():
        wanted = case.effects[part]
        got = store.effects()[:len(wanted)]
        label = f"neurons, {case.model} L{case.layer}, {part}"
        measured.at_most(f"{label}: effects, largest difference over largest",
                         np.abs(got - wanted).max() / np.abs(wanted).max(), EFFECTS)
        axes = (0, 2)
        measured.at_most(f"{label}: effects of a neuron, relative",
                         (np.linalg.norm(got - wanted, axis=axes)
                          / np.linalg.norm(wanted, axis=axes)).max(), EFFECTS)
        # The constants are shared by so many neurons that an error would hide in the above.
        constants = wanted.mean(1) - np.einsum("fbj,fje->be", store.alpha[:, :len(wanted)],
                                               store.directions, optimize=True) / wanted.shape[1]
        measured.at_most(f"{label}: constants, relative",
                         np.abs(store.constants[:len(wanted)] - constants).max()
                         / np.abs(constants).max(), 1e-4)


def directions_of(effects: np.ndarray, top: int) -> dict[str, np.ndarray]:
    """Section 3.3 of the paper for φ̃ [B, F, E]: pictures of largest effect, and first right
    singular vectors of their rows, or of all. More than half of the rows of largest effect lie along
    either; of a tie, the vector's largest number is negative."""
    norms = np.linalg.norm(effects, axis=2).T  # [F, B]
    pictures = np.argsort(-norms, axis=1, kind="stable")[:, :top]
    made = dict(pictures=pictures, norms=np.take_along_axis(norms, pictures, 1),
                variance=(norms ** 2).mean(1))
    for name in ("top", "all"):
        directions, explained = [], []
        for neuron in range(effects.shape[1]):
            most = effects[pictures[neuron], neuron]
            _, sizes, right = np.linalg.svd(most if name == "top" else effects[:, neuron],
                                            full_matrices=False)
            direction, positive = right[0], (most @ right[0] > 0).sum()
            if 2 * positive < top or (2 * positive == top
                                      and direction[np.abs(direction).argmax()] > 0):
                direction = -direction
            directions.append(direction)
            explained.append(sizes[0] ** 2 / (sizes ** 2).sum())
        made |= {name: np.array(directions), f"{name}_explained": np.array(explained)}
    return made


@pytest.fixture(scope="module")
def shipped(cases) -> Case:
    return cases(SHIPPED)


@pytest.fixture(scope="module")
def centred(shipped) -> dict[str, np.ndarray]:
    """φ̃ by the definition, about the mean of the pictures that directions are made of."""
    mean = shipped.effects["train"].mean(0)
    return {part: effects - mean for part, effects in shipped.effects.items()}


@pytest.fixture(scope="module")
def directions(centred) -> dict[str, np.ndarray]:
    return directions_of(centred["train"], TOP)


def relative(got: np.ndarray, wanted: np.ndarray) -> float:
    assert got.shape == wanted.shape
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


def test_directions_are_those_of_numpy(measured, shipped, centred, directions):
    """Test 5."""
    stored = shipped.stores["train"].statistics
    # Pictures whose norms are equal up to rounding may stand in either order.
    norms = np.linalg.norm(centred["train"], axis=2).T
    measured.at_most("neurons: norms of the top pictures, relative",
                     relative(np.take_along_axis(norms, stored["top_pictures"], 1),
                              directions["norms"]), EFFECTS)
    measured.note("neurons: top pictures in another place",
                  (stored["top_pictures"] != directions["pictures"]).sum())
    assert all(len(set(row)) == TOP for row in stored["top_pictures"])
    measured.at_most("neurons: stored norms, relative",
                     relative(stored["top_norm"], directions["norms"]), EFFECTS)
    for name in ("top", "all"):
        cosine = (stored[f"direction_{name}"] * directions[name]).sum(1)
        measured.at_least(f"neurons: direction from {name} pictures, least cosine", cosine.min(),
                          COSINE)
        measured.at_most(f"neurons: share along the direction, {name} pictures, difference",
                         np.abs(stored[f"explained_{name}"]
                                - directions[f"{name}_explained"]).max(), EFFECTS)
    measured.at_most("neurons: variance, relative",
                     relative(stored["variance"], directions["variance"]), EFFECTS)
    along = (centred["train"] * directions["top"]).sum(2).T
    measured.at_most("neurons: effects along the direction, relative",
                     relative(stored["top_along"],
                              np.take_along_axis(along, stored["top_pictures"], 1)), EFFECTS)


@pytest.mark.parametrize("scale", ["unit", "reference"])
def test_words_are_those_of_scikit_learn(measured, cliplens, shipped, tmp_path, scale):
    """Test 7: texts and weights of every neuron, on the program's directions and embeddings."""
    count = 12
    pool = TEXTS / "phrases.txt"
    found = cliplens.json("neurons", "words", shipped.stores["train"].directory, "--texts", pool,
                          "--count", count, "--normalize", scale)
    texts = [line.split("\t")[0] for line in pool.read_text().splitlines() if line.strip()]
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n")
    cliplens("embed", SHIPPED, "--texts", tmp_path / "texts.txt", "--out", tmp_path / "texts.npy")
    atoms = prepared(np.load(tmp_path / "texts.npy"), scale)
    targets = shipped.stores["train"].statistics["direction_top"].astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that a path ends early
        wanted = SparseCoder(atoms, transform_algorithm="omp", transform_n_nonzero_coefs=count,
                             transform_alpha=1.0).transform(targets)
    worst = worst_cosine = 0.0
    assert len(found["neurons"]) == len(wanted)
    for neuron, weights, target in zip(found["neurons"], wanted, targets, strict=True):
        got = {text["index"]: text["weight"] for text in neuron["texts"]}
        assert got.keys() == set(np.flatnonzero(weights).tolist()), neuron["neuron"]
        assert all(text["text"] == texts[text["index"]] for text in neuron["texts"])
        sizes = [abs(text["weight"]) for text in neuron["texts"]]
        assert sizes == sorted(sizes, reverse=True)
        worst = max(worst, *(abs(got[at] - weights[at]) for at in got))
        total = weights @ atoms
        worst_cosine = max(worst_cosine, abs(
            neuron["cosine"] - total @ target / np.linalg.norm(total) / np.linalg.norm(target)))
    measured.at_most(f"neurons words, {scale}: weights, from scikit-learn's coder", worst, WEIGHTS)
    measured.at_most(f"neurons words, {scale}: cosine of the sum", worst_cosine, FIGURES)


def classifier_of(recorder: Recorder, directory) -> np.ndarray:
    """[classes, E] by open_clip: means of unit rows over the templates, made unit."""
    names = [line.split("\t")[0] for line in CLASSES.read_text().splitlines() if line.strip()]
    templates = [line for line in TEMPLATES.read_text().splitlines() if line.strip()]
    tokenizer = open_clip.get_tokenizer(f"local-dir:{directory}")
    tokens = tokenizer([template.replace("{}", name) for name in names for template in templates])
    with torch.no_grad():
        rows = recorder.model.encode_text(tokens, normalize=True)
    rows = rows.reshape(len(names), len(templates), -1).mean(1).numpy()
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_accuracies_are_those_of_the_definition(measured, cliplens, shipped, centred, directions,
                                                model_folders):
    """Test 6: the five rows on other pictures than those that directions are made of."""
    stores = shipped.stores
    found = cliplens.json("neurons", "ablate", stores["test"].directory, "--directions",
                          stores["train"].directory, "--classes", CLASSES, "--templates", TEMPLATES)
    layer, = found["layers"]
    labels = [line.split("\t")[-1] for line in CLASSES.read_text().splitlines() if line.strip()]
    truth = np.array([labels.index(path.split("/")[0]) for path in stores["test"].paths])
    effects, embedding = centred["test"], shipped.embedding["test"]
    significant = np.linalg.norm(effects, axis=2) > directions["norms"][:, -1]  # [B, F]
    along = (effects * directions["top"]).sum(2)[:, :, None] * directions["top"]
    nothing = embedding - effects.sum(1)
    kept = (effects * significant[:, :, None]).sum(1)
    rows = dict(base=embedding, neurons=nothing, significant=embedding - kept,
                insignificant=nothing + kept, direction=nothing + along.sum(1))
    classifier = classifier_of(shipped.recorder, model_folders[SHIPPED])
    assert [row["name"] for row in layer["rows"]] == list(rows)
    assert found["images"] == len(truth)
    for row in layer["rows"]:
        scores = rows[row["name"]] @ classifier.T
        wanted = (scores.argmax(1) == truth).mean()
        measured.note(f"neurons ablate, {row['name']}: accuracy", row["accuracy"]["value"])
        assert abs(row["accuracy"]["value"] - wanted) < 1e-12, row["name"]
        measured.at_most(f"neurons ablate, {row['name']}: score of the label",
                         abs(row["score"]["value"] - scores[range(len(truth)), truth].mean()),
                         FIGURES)
    assert abs(layer["significant"]["value"] - significant.mean()) < 1e-12
    assert 0 < significant.mean() < 1
