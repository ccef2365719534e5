#!/usr/bin/env python3
"""Second-order effects of neurons by the paper's public code beside ours: the same numbers, and
what both cost.

    git clone https://github.com/yossigandelsman/second_order_lens CHECKOUT
    python bench/second_order.py --checkout CHECKOUT [--program build/release/bin/cliplens]
        [--models pictureworld random] [--train 60] [--test 60] [--top 20] [--words 12]
        [--cost MODEL_FOLDER --cost-layer 9]

Runs in the environment of `make parity` (OMP_WAIT_POLICY=passive keeps its threads quiet). The
public code ("Interpreting the Second-Order Effects of Neurons in CLIP", arXiv 2406.04341) runs as
it stands in CHECKOUT, of which nothing is copied: main() of compute_second_order_neuron_prs,
compute_pcas, compute_text_set_projection, compute_classifier_projection,
compute_sparse_decomposition --evaluate and compute_ablations. Its sets of pictures, class names and
templates are fixed to ImageNet's; these names are replaced in its modules. What else is replaced is
printed.

pictureworld  the shipped model (GELU). Its text tower has narrow MLPs, which the public code cannot
              hold, so the public functions are handed open_clip's text tower
random        random weights and QuickGELU; the public code makes the text rows too. Accuracy is
              measured against the model's own answers

Compared: effects, also with the public code in fp64; directions; texts of each direction and their
weights (--normalize reference); the five accuracies, and the accuracy with the texts' sums. Ends in
an error where they differ by more than is allowed. The public code multiplies effects by 100, which
is divided out.

--cost times one layer of a larger model, such as `python bench/inputs.py model B/32 FOLDER` writes:
the public loops on one picture, ours on many.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import types
import warnings

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXTS = ROOT / "world" / "texts"
LAYERS = {"pictureworld": 3, "random": 1}
# What is asked about the pictures; of this the shipped model misses some.
ATTRIBUTE, CLASSES = "background", "backgrounds"
NAME, WEIGHTS = "small", "weights.pt"  # of the public code's files
EFFECTS, COSINE, WORDS = 1e-5, 1 - 1e-6, 1e-3
ROWS = {"base": "Baseline (from representations)", "neurons": "Without all the neurons",
        "significant": "Without significant neurons",
        "insignificant": "Without insignificant neurons",
        "direction": "With neurons reconstructed from PC"}
SUM = "Reconstructed neurons"


# The public code, in a process of its own.

def first_right(output, target) -> list[float]:
    """utils.misc.accuracy, which makes a number of an array of one: an error since NumPy 2.4."""
    return [float((output.topk(1, 1).indices[:, 0] == target).sum()) / len(target)]


class Theirs:
    def __init__(self, settings: dict):
        import torch
        self.settings = settings
        self.seconds = {}
        # Its modules have names that files of this folder have too.
        sys.path[0] = settings["checkout"]
        warnings.simplefilter("ignore")
        try:
            import einops  # noqa: F401
        except ImportError:
            sys.modules["einops"] = types.ModuleType("einops")  # imported and never used
        if settings.get("double"):
            torch.set_default_dtype(torch.float64)
        torch.set_num_threads(settings["threads"])
        import utils.factory
        utils.factory.add_model_config(pathlib.Path("configs"))
        self.factory = utils.factory

    def write_weights(self):
        """Its checkpoint: our weights under the same names; a text tower that it cannot hold stays
        as it is made."""
        import torch
        from safetensors.torch import load_file
        state = load_file(self.settings["weights"])
        if self.settings["text_tower"] != "public":
            made = self.factory.create_model(NAME).state_dict()
            state = made | {key: value for key, value in state.items() if key.startswith("visual.")}
        torch.save({key: value.float() for key, value in state.items()}, WEIGHTS)

    def pictures(self, part: str):
        """In place of ImageNet: (picture, number of its class)."""
        from PIL import Image
        items = self.settings["pictures"][part]

        class Pictures:
            def __init__(self, root=None, split=None, transform=None):
                self.transform = transform

            def __len__(self):
                return len(items)

            def __getitem__(self, index):
                if index >= len(items):
                    raise IndexError(index)
                path, label = items[index]
                return self.transform(Image.open(path)), label
        return Pictures

    def main(self, script: str, words=(), **replaced) -> str:
        """main() of a script, with names of its module replaced; what it prints."""
        import importlib
        module = importlib.import_module(script)
        for name, value in replaced.items():
            assert hasattr(module, name), f"{script} has no {name}"
            setattr(module, name, value)
        common = dict(model=NAME, pretrained=WEIGHTS, device="cpu", output_dir=".")
        parser = module.get_args_parser()
        known = {option for action in parser._actions for option in action.option_strings}
        common |= {name: value for name, value in dict(
            input_dir=".", num_workers=0, mlp_layer=self.settings["layer"], dataset="imagenet",
            top_k_pca=self.settings["top"]).items() if f"--{name}" in known}
        arguments = [word for name, value in common.items() for word in (f"--{name}", str(value))]
        args = parser.parse_args([*arguments, *map(str, words)])
        if hasattr(module, "accuracy"):
            module.accuracy = first_right
        printed = io.StringIO()
        start = time.process_time()
        with contextlib.redirect_stdout(printed), open(os.devnull, "w") as quiet, \
                contextlib.redirect_stderr(quiet):
            module.main(args)
        self.seconds[script] = time.process_time() - start
        return printed.getvalue()

    def effects(self):
        self.main("compute_second_order_neuron_prs", SubsampledImageNet=self.pictures("train"))

    def everything(self) -> dict:
        s = self.settings
        self.effects()
        self.main("compute_pcas")
        text = {}
        if s["text_tower"] != "public":
            import open_clip
            model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{s['model']}")
            tokenizer = open_clip.get_tokenizer(f"local-dir:{s['model']}")
            text = dict(create_model_and_transforms=lambda *_, **__: (model, None, None),
                        get_tokenizer=lambda _: tokenizer)
        self.main("compute_text_set_projection", ["--data_path", "pool.txt"], **text)
        templates = [lambda name, t=template: t.replace("{}", name) for template in s["templates"]]
        self.main("compute_classifier_projection", imagenet_classes=s["classes"],
                  OPENAI_IMAGENET_TEMPLATES=templates, **text)
        test = self.pictures("test")
        printed = self.main(
            "compute_sparse_decomposition",
            ["--components", s["words"], "--text_descriptions", "pool", "--descriptions_dir", ".",
             "--evaluate"], SubsampledValImageNet=test)
        printed += self.main("compute_ablations", SubsampledValImageNet=test)
        accuracies = dict(re.findall(r"^(.+): ([\d.]+)$", printed, re.M))
        return {name: float(accuracies[title]) / 100
                for name, title in (ROWS | {"sum": SUM}).items()}

    def cost(self) -> dict:
        """The loops of compute_second_order_neuron_prs over one picture."""
        import resource

        import torch
        from PIL import Image
        from prs_second_order_neurons_hook import hook_prs_logger
        from torch.utils.flop_counter import FlopCounterMode
        layer = self.settings["layer"]
        model, _, preprocess = self.factory.create_model_and_transforms(NAME, pretrained=WEIGHTS,
                                                                        force_quick_gelu=True)
        model.eval()
        blocks = model.visual.transformer.resblocks
        prs = hook_prs_logger(model, layer, "cpu")
        path, _ = self.settings["pictures"]["train"][0]
        pixels = preprocess(Image.open(path))[None]
        with torch.no_grad():
            start = [time.process_time(), time.perf_counter()]
            row = model.encode_image(pixels, attn_method="head", normalize=False)
            prs.finalize()
            middle = [time.process_time(), time.perf_counter()]
            heads = [(later, head) for later in range(layer + 1, len(blocks))
                     for head in range(blocks[later].attn.num_heads)]
            for later, head in heads:
                prs.apply_attention_head_and_project_layer_neurons(later, head, row)
            end = [time.process_time(), time.perf_counter()]
            with FlopCounterMode(display=False) as counter:
                prs.apply_attention_head_and_project_layer_neurons(*heads[0], row)
        return dict(heads=len(heads), operations=counter.get_total_flops() * len(heads),
                    neurons=blocks[layer].mlp_width, tokens=prs.attn_maps.shape[-1],
                    width=row.shape[-1], forward=[m - s for s, m in zip(start, middle)],
                    loops=[e - m for m, e in zip(middle, end)],
                    peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def serve(folder: pathlib.Path):
    """What settings.json asks for; answers in answer.json."""
    settings = json.loads((folder / "settings.json").read_text())
    os.chdir(folder)
    theirs = Theirs(settings)
    answer = {}
    if not settings.get("double"):
        theirs.write_weights()
    match settings["task"]:
        case "everything":
            answer["accuracy"] = theirs.everything()
        case "effects":
            theirs.effects()
        case "cost":
            answer["cost"] = theirs.cost()
    (folder / "answer.json").write_text(json.dumps(answer | dict(seconds=theirs.seconds)))


# Ours, and what is compared.

class Program:
    def __init__(self, path: pathlib.Path, threads: int):
        self.path, self.threads = path, threads
        self.seconds = {}

    def __call__(self, *words) -> dict:
        from decompose import run
        measured = run([self.path, *words, "--threads", self.threads, "--json"])
        self.last = measured
        return measured["result"]

    def timed(self, name: str, *words) -> dict:
        result = self(*words)
        self.seconds[name] = self.last["cpu"]
        return result


def write_pictures(folder: pathlib.Path, parts: dict[str, int]):
    """Folders named by labels, one for each part."""
    members = iter_pictures()
    for part, count in parts.items():
        for _ in range(count):
            name, label, data = next(members)
            (folder / part / label).mkdir(parents=True, exist_ok=True)
            (folder / part / label / f"{name}.png").write_bytes(data)


def iter_pictures():
    for shard in sorted((ROOT / "world" / "sets" / "test").glob("*.tar")):
        with tarfile.open(shard) as tar:
            labels = {}
            for member in tar:
                name, _, kind = member.name.partition(".")
                if kind == "json":
                    labels[name] = json.load(tar.extractfile(member))[ATTRIBUTE]
                elif kind == "png":
                    yield name, labels[name], tar.extractfile(member).read()


def label_by_answers(program: Program, model, folder: pathlib.Path, classes, templates):
    """Moves the pictures of every part to folders named by what the model itself answers."""
    named = dict(labels_of(classes))
    for part in sorted(folder.iterdir()):
        found = program("classify", model, "--images", part, "--classes", classes, "--templates",
                        templates, "-k", 1)
        answers = {item["path"]: named[item["top"][0]["class"]] for item in found["results"]}
        old = part.rename(part.with_name(f"{part.name}-before"))
        for path, label in answers.items():
            (part / label).mkdir(parents=True, exist_ok=True)
            (old / path).rename(part / label / pathlib.Path(path).name)
        shutil.rmtree(old)


def labels_of(classes: pathlib.Path) -> list[tuple[str, str]]:
    """[(class, label)]"""
    rows = [line.split("\t") for line in classes.read_text().splitlines() if line.strip()]
    return [(row[0], row[-1]) for row in rows]


def write_random(folder: pathlib.Path) -> pathlib.Path:
    import copy

    import models  # tests/parity, which inputs.py puts on the path
    plain = copy.deepcopy(models.PLAIN)
    plain["model_cfg"]["quick_gelu"] = True
    return models.write_model(folder, **plain)


def public_config(model: pathlib.Path) -> tuple[dict, str]:
    """The model's settings as the public code reads them, and whose text tower is used."""
    config = json.loads((model / "open_clip_config.json").read_text())["model_cfg"]
    text = config["text_cfg"]
    if set(text) <= {"context_length", "vocab_size", "width", "heads", "layers"}:
        return config, "public"
    config["text_cfg"] = dict(context_length=8, vocab_size=16, width=64, heads=1, layers=1)
    return config, "open_clip's"


def ask(folder: pathlib.Path, settings: dict) -> dict:
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    config, _ = public_config(pathlib.Path(settings["model"]))
    (folder / "configs" / f"{NAME}.json").write_text(json.dumps(config))
    (folder / "settings.json").write_text(json.dumps(settings))
    subprocess.run([sys.executable, __file__, "--serve", folder], check=True)
    return json.loads((folder / "answer.json").read_text())


def stored_effects(store: pathlib.Path, layer: int):
    """φ [B, F, E] of a store, from its coefficients and its basis, in fp64."""
    import numpy as np
    from safetensors.numpy import load_file
    basis = {key: value.astype(np.float64)
             for key, value in load_file(store / "basis.safetensors").items()}
    shards = [load_file(path) for path in sorted(store.glob("shard-*.safetensors"))]
    alpha = np.concatenate([s[f"alpha.L{layer}"] for s in shards], 1).astype(np.float64)
    shared = np.concatenate([s[f"shared.L{layer}"] for s in shards]).astype(np.float64)
    later = sorted(int(key.split(".L")[2]) for key in basis if key.startswith(f"values.L{layer}."))
    heads = alpha.shape[2] // len(later)
    directions = np.stack([v @ w for at in later for v, w in zip(
        np.split(basis[f"values.L{layer}.L{at}"], heads, 1),
        np.split(basis[f"writes.L{at}"], heads, 0))], 1)
    return (np.einsum("fbj,fje->bfe", alpha, directions, optimize=True)
            + (shared @ basis[f"shared.L{layer}"])[:, None])


class Verdict:
    def __init__(self):
        self.failed = []

    def __call__(self, what: str, value: float, limit: float, most: bool = True):
        good = value <= limit if most else value >= limit
        print(f"  {what:64} " + (f"{value:11.2e}   at most {limit:g}" if most else
                                 f"{value:11.9f}   at least {limit}")
              + ("" if good else "   NO"), flush=True)
        if not good:
            self.failed.append(what)


def compare(name: str, options, program: Program, folder: pathlib.Path, verdict: Verdict):
    import numpy as np
    from safetensors.numpy import load_file
    model = ROOT / "models" / name if name == "pictureworld" else write_random(folder / "model")
    layer = LAYERS[name]
    _, text_tower = public_config(model)
    classes, templates = TEXTS / f"{CLASSES}.txt", TEXTS / f"{CLASSES}.templates.txt"
    pool = [line.split("\t")[0] for line in (TEXTS / "phrases.txt").read_text().splitlines()
            if line.strip()]
    public = folder / "public"
    stores = {part: folder / f"store-{part}" for part in ("train", "test")}
    public.mkdir()
    (public / "pool.txt").write_text("\n".join(pool) + "\n")
    write_pictures(folder / "pictures", dict(train=options.train, test=options.test))
    if name == "random":
        label_by_answers(program, model, folder / "pictures", classes, templates)

    program.seconds = {}
    for part, store in stores.items():
        program.timed(f"collect {part}", "neurons", "collect", model, "--images",
                      folder / "pictures" / part, "--layers", layer, "--top", options.top, "--out",
                      store)
    words = program.timed("words", "neurons", "words", stores["train"], "--texts",
                          public / "pool.txt", "--count", options.words, "--normalize", "reference")
    chosen = ("--directions", stores["train"], "--classes", classes, "--templates", templates)
    ablate = program.timed("ablate", "neurons", "ablate", stores["test"], *chosen)
    sums = program.timed("reconstruct", "neurons", "reconstruct", stores["test"], *chosen,
                         "--texts", public / "pool.txt", "--counts", options.words, "--normalize",
                         "reference", "--raw")

    named = labels_of(classes)
    numbers = {label: i for i, (_, label) in enumerate(named)}
    pictures = {}
    for part, store in stores.items():
        paths = [json.loads(line)["path"] for items in sorted(store.glob("items-*.jsonl"))
                 for line in items.read_text().splitlines()]
        pictures[part] = [(str(folder / "pictures" / part / path), numbers[path.split("/")[0]])
                          for path in paths]
    settings = dict(
        task="everything", checkout=str(options.checkout), model=str(model), layer=layer,
        weights=str(model / "open_clip_model.safetensors"), text_tower=text_tower, top=options.top,
        words=options.words, threads=options.threads, pictures=pictures,
        classes=[name for name, _ in named],
        templates=[line for line in templates.read_text().splitlines() if line.strip()])
    answer = ask(public, settings)

    of_layer = f"{NAME}_{WEIGHTS}_{layer}"
    theirs = np.load(public / f"imagenet_train_mlps_{of_layer}_merged.npy").astype(np.float64) / 100
    ours = stored_effects(stores["train"], layer)
    images, neurons, width = ours.shape
    vision = json.loads((model / "open_clip_config.json").read_text())["model_cfg"]
    print(f"\n{name}: layer {layer} of {vision['vision_cfg']['layers']}, {neurons} neurons, "
          f"{'QuickGELU' if vision.get('quick_gelu') else 'GELU'}; {images} pictures for "
          f"directions (the {options.top} of largest effect), {options.test} others for accuracy; "
          f"{len(pool)} texts by {text_tower} text tower", flush=True)

    def differences(theirs, ours, what):
        verdict(f"effects{what}: largest difference over largest",
                np.abs(ours - theirs).max() / np.abs(theirs).max(), EFFECTS)
        verdict(f"effects{what}: of a neuron, relative",
                (np.linalg.norm(ours - theirs, axis=(0, 2))
                 / np.linalg.norm(theirs, axis=(0, 2))).max(), EFFECTS)

    differences(theirs, ours, "")
    few = 4
    ask(public, settings | dict(task="effects", double=True,
                                pictures=dict(train=pictures["train"][:few])))
    double = np.load(public / f"imagenet_train_mlps_{of_layer}_merged.npy") / 100
    assert double.dtype == np.float64
    differences(double, ours[:few], ", public code in fp64")

    statistics_ = load_file(stores["train"] / "stats.safetensors")
    pcas = np.load(public / f"imagenet_train_mlps_{of_layer}_{options.top}_pca.npy")
    norms = np.load(public / f"imagenet_train_mlps_{of_layer}_{options.top}_norm.npy") / 100
    cosine = (statistics_[f"direction_top.L{layer}"].astype(np.float64) * pcas).sum(1)
    verdict("directions: least |cosine|", np.abs(cosine).min(), COSINE, most=False)
    along = ((theirs - theirs.mean(0)) * pcas).sum(2)
    top = np.argsort(np.linalg.norm(theirs - theirs.mean(0), axis=2), axis=0)[-options.top:]
    tied = (np.take_along_axis(along, top, 0) > 0).sum(0) == options.top / 2
    tied |= (np.take_along_axis(along, top, 0) < 0).sum(0) == options.top / 2
    print(f"  {tied.sum()} directions have as many of the {options.top} pictures on either side; "
          f"the public code leaves their sign to chance, {(cosine[tied] < 0).sum()} differ")
    verdict("directions: other signs where there is no tie", (cosine[~tied] < 0).sum(), 0)
    stored = statistics_[f"top_norm.L{layer}"][:, ::-1]
    verdict("norms of the largest effects: largest difference over largest",
            np.abs(stored - norms).max() / norms.max(), EFFECTS)

    file, = public.glob("imagenet_mlps_*_decomposition_omp_*.json")
    decomposition = json.loads(file.read_text())
    worst = 0.0
    flip = np.where(cosine < 0, -1, 1)
    other = []
    for i, neuron in enumerate(words["neurons"]):
        mine = {text["index"]: text["weight"] for text in neuron["texts"]}
        public_texts = {j: weight * 100 * flip[i]
                        for j, weight, _ in decomposition[str(i)] if weight}
        if mine.keys() != public_texts.keys():
            other.append(i)
            continue
        size = max(map(abs, mine.values()))
        worst = max(worst, *(abs(mine[j] - public_texts[j]) / size for j in mine))
    verdict(f"texts: of {neurons} neurons those with others", len(other), 0)
    verdict("texts: weights, largest difference over largest", worst, WORDS)

    rows = {row["name"]: row["accuracy"]["value"] for row in ablate["layers"][0]["rows"]}
    rows["sum"] = sums["layers"][0]["pools"][0]["rows"][0]["accuracy"]["value"]
    for row, value in rows.items():
        public_value = answer["accuracy"][row]
        verdict(f"accuracy, {row}: {100 * value:.2f} %, public {100 * public_value:.2f} %",
                abs(value - public_value), 1e-9)

    costs(program.seconds, answer["seconds"])


def costs(ours: dict, theirs: dict):
    """Processor seconds of steps side by side."""
    print("  processor seconds                                   public      ours      ratio")
    table = {
        "effects, directions": (["compute_second_order_neuron_prs", "compute_pcas"],
                                ["collect train"]),
        "texts, sparse sums, their accuracy": (
            ["compute_text_set_projection", "compute_sparse_decomposition"],
            ["words", "collect test", "reconstruct"]),
        "the five accuracies": (["compute_classifier_projection", "compute_ablations"],
                                ["collect test", "ablate"]),
    }
    for what, (public, mine) in table.items():
        a, b = sum(theirs[s] for s in public), sum(ours[s] for s in mine)
        print(f"  {what:46} {a:10.2f} {b:9.2f} {a / b:10.1f}")


def cost(options, program: Program, folder: pathlib.Path):
    """One layer of a large model."""
    model, layer = options.cost, options.cost_layer
    sizes = options.cost_pictures
    few, many = sizes
    for count in sizes:
        write_pictures(folder / str(count), dict(all=count))
    config = json.loads((model / "open_clip_config.json").read_text())["model_cfg"]
    first = sorted((folder / str(few) / "all").glob("*/*.png"))[0]
    public = folder / "public"
    public.mkdir()
    settings = dict(task="cost", checkout=str(options.checkout), model=str(model), layer=layer,
                    weights=str(model / "open_clip_model.safetensors"),
                    text_tower=public_config(model)[1], threads=options.threads, top=2,
                    pictures=dict(train=[(str(first), 0)]))
    found = {kind: {count: [] for count in sizes} for kind in ("embed", "collect")}
    public_runs = []
    for turn in range(options.rounds):
        public_runs.append(ask(public, settings)["cost"])
        for count in sizes:
            pictures = folder / str(count)
            program("embed", model, "--images", pictures, "--out",
                    folder / f"e-{turn}-{count}.npy")
            found["embed"][count].append(program.last["cpu"])
            program("neurons", "collect", model, "--images", pictures, "--layers", layer, "--out",
                    folder / f"store-{turn}-{count}")
            found["collect"][count].append(program.last["cpu"])
    middle = {kind: {count: statistics.median(values) for count, values in by.items()}
              for kind, by in found.items()}
    one = public_runs[0]
    forward = statistics.median(run["forward"][0] for run in public_runs)
    loops = statistics.median(run["loops"][0] for run in public_runs)
    t, f, j, e = one["tokens"], one["neurons"], one["heads"], one["width"]
    alpha, effects = 2 * t * f * j, 2 * f * j * e
    lens = {count: (middle["collect"][count] - middle["embed"][count]) for count in sizes}
    more = (lens[many] - lens[few]) / (many - few)
    operations = one["operations"]
    vision = config["vision_cfg"]
    print(f"\n{vision['layers']} layers of width {vision['width']}, layer {layer}: {f} neurons, "
          f"{j} heads behind it, {t} tokens; {options.rounds} round(s)")
    print(f"  operations a picture, without the pass: public {operations:.3g} (products, as "
          f"PyTorch counts them); ours {alpha:.3g} for α, {operations / alpha:.0f} times fewer; "
          f"{alpha + effects:.3g} with every effect formed, {operations / (alpha + effects):.0f} "
          "times fewer")
    print(f"  processor seconds a picture: public {forward:.2f} for the pass and {loops:.2f} for "
          f"the loops (peak {one['peak']:.1f} GiB)")
    for count in sizes:
        print(f"  ours, {count} pictures: embed {middle['embed'][count] / count:.3f} a picture, "
              f"collect {middle['collect'][count] / count:.3f}; beside the pass "
              f"{lens[count] / count:.3f} with directions and the basis: "
              f"{loops * count / lens[count]:.0f} times less; with the pass "
              f"{(loops + forward) * count / middle['collect'][count]:.0f} times less")
    print(f"  ours for each further picture, beside the pass: {more:.4f}, {loops / more:.0f} times "
          "less")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", type=pathlib.Path, help="clone of the public repository")
    parser.add_argument("--program", type=pathlib.Path,
                        default=ROOT / "build/release/bin/cliplens")
    parser.add_argument("--models", nargs="*", choices=tuple(LAYERS), default=list(LAYERS))
    parser.add_argument("--train", type=int, default=60, help="pictures for directions")
    parser.add_argument("--test", type=int, default=60, help="pictures for accuracy")
    parser.add_argument("--top", type=int, default=20)
    parser.add_argument("--words", type=int, default=12, help="texts of a direction")
    parser.add_argument("--threads", type=int, default=1, help="of both")
    parser.add_argument("--cost", type=pathlib.Path, metavar="FOLDER", help="a larger model")
    parser.add_argument("--cost-layer", type=int, default=9)
    parser.add_argument("--cost-pictures", type=int, nargs=2, default=[64, 256])
    parser.add_argument("--rounds", type=int, default=1, help="of --cost")
    parser.add_argument("--serve", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve.resolve())
    if options.checkout is None:
        parser.error("--checkout is needed: a clone of yossigandelsman/second_order_lens")

    import inputs  # noqa: F401  tests/parity on the path
    from common import Busy, leave_nothing_when_ended
    leave_nothing_when_ended()
    options.checkout = options.checkout.resolve()
    os.environ.setdefault("CLIPLENS_SHARE", str(ROOT))
    commit = subprocess.run(["git", "-C", options.checkout, "log", "-1", "--format=%H %cs"],
                            capture_output=True, text=True, check=True).stdout.strip()
    changed = subprocess.run(["git", "-C", options.checkout, "status", "--porcelain", "-uno"],
                             capture_output=True, text=True, check=True).stdout.strip()
    print(f"public code: commit {commit}{', changed' if changed else ''}; pictures of "
          f"world/sets/test; {options.threads} thread(s) each; load {os.getloadavg()[0]:.1f} on "
          f"{os.cpu_count()} cores")
    print("replaced in it: sets of pictures, class names, templates, the function that counts "
          "right answers (an error with NumPy 2.4); einops where it is not installed (never used)",
          flush=True)
    busy, verdict = Busy(), Verdict()
    program = Program(options.program, options.threads)
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["XDG_CACHE_HOME"] = str(pathlib.Path(folder) / "cache")
            compare(name, options, program, pathlib.Path(folder), verdict)
    if options.cost:
        with tempfile.TemporaryDirectory() as folder:
            options.cost = options.cost.resolve()
            cost(options, program, pathlib.Path(folder))
    print(f"other programs took {100 * busy.share():.0f} % of the machine")
    if verdict.failed:
        sys.exit("differs: " + "; ".join(verdict.failed))


if __name__ == "__main__":
    main()
