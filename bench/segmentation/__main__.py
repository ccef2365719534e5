"""Zero-shot segmentation by all methods on the same pictures, and deletion and insertion curves.

    python -m bench.segmentation --program build/release/bin/cliplens           measures
    python -m bench.segmentation --program build/release/bin/cliplens --update  and writes its page

Draws fresh pictures of one object, with their masks, into build/segmentation (the world's drawings
must be installed: make world); asks the program for its own methods, and PyTorch for those that
need derivatives. Maps are of the picture's true class. The page is docs/segmentation.md.
"""

import argparse
import io
import json
import pathlib
import subprocess
import tarfile

import numpy as np
import open_clip
import torch
from PIL import Image

from bench.segmentation import gradients, metrics
from bench.truth.report import table

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "segmentation.md"
MARKS = {part: (f"<!-- {part}: python -m bench.segmentation --update -->\n",
                f"<!-- end of {part} -->\n") for part in ("methods", "curves")}
TEXTS = ROOT / "world" / "texts"
OWN = ("decomposition", "raw-attention", "rollout", "patch-text", "background")
SEED = 31
STEPS = 8  # of the curves
GRADIENT = {"Grad-CAM": gradients.grad_cam, "LeGrad": gradients.le_grad}


def draw(folder, count):
    """A shard of fresh single-object pictures."""
    from world import scene, shards
    path = folder / "single.tar"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(shards.shard_bytes(scene.World.load(), "single", SEED, 0, count))
    return path


def read(path):
    """Pictures [B, S, S, 3], masks [B, S, S] and labels."""
    pictures, masks, labels = {}, {}, {}
    with tarfile.open(path) as shard:
        for member in shard:
            key, _, kind = member.name.partition(".")
            content = shard.extractfile(member).read()
            if kind == "json":
                labels[key] = json.loads(content)["label"]
            else:
                into = masks if kind == "mask.png" else pictures
                into[key] = Image.open(io.BytesIO(content))
    keys = sorted(pictures)
    return (np.stack([np.asarray(pictures[k].convert("RGB")) for k in keys]),
            np.stack([(np.asarray(masks[k].convert("L")) > 0).astype(int) for k in keys]),
            [labels[k] for k in keys])


def ask(program, folder, model, pictures, method, *more):
    """What the program says, and its maps."""
    maps = folder / "maps.npy"
    maps.unlink(missing_ok=True)
    words = [program, "evaluate", "segmentation", model, "--images", pictures,
             "--classes", TEXTS / "objects.txt", "--templates", TEXTS / "objects.templates.txt",
             "--method", method, "--maps", maps, "--json", "--quiet", *more]
    done = subprocess.run([str(w) for w in words], cwd=ROOT, text=True, capture_output=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout), np.load(maps)


def classifier(model, tokenizer):
    """Class names -> number, and the unit rows [C, E] minus their mean."""
    lines = (TEXTS / "objects.txt").read_text().splitlines()
    names = [line.split("\t")[0].strip() for line in lines]
    labels = [line.split("\t")[-1].strip() for line in lines]
    patterns = (TEXTS / "objects.templates.txt").read_text().splitlines()
    rows = []
    with torch.no_grad():
        for name in names:
            texts = [p.replace("{}", name) for p in patterns if p.strip()]
            rows.append(model.encode_text(tokenizer(texts), normalize=True).mean(0))
    rows = torch.nn.functional.normalize(torch.stack(rows), dim=-1)
    return {label: i for i, label in enumerate(labels)}, rows - rows.mean(0)


def batches(pixels, size=100):
    return [slice(i, i + size) for i in range(0, len(pixels), size)]


def curve(model, pixels, directions, maps, patch, insertion):
    """Mean score with 0, 1/STEPS, ... of the patches removed, the most important first; or, for the
    insertion, alone left. What is removed takes the picture's mean colour."""
    count, grid = len(pixels), maps.shape[-1]
    order = np.argsort(-maps.reshape(count, -1), axis=1, kind="stable")
    mean = pixels.mean((2, 3), keepdim=True).expand_as(pixels)
    scores = []
    for step in range(STEPS + 1):
        first = order[:, :round(step * grid * grid / STEPS)]
        chosen = np.zeros((count, grid * grid), bool)
        np.put_along_axis(chosen, first, True, 1)
        gone = torch.from_numpy(chosen != insertion).reshape(count, 1, grid, grid)
        gone = gone.repeat_interleave(patch, 2).repeat_interleave(patch, 3)
        with torch.no_grad():
            embedded = torch.cat([model.encode_image(torch.where(gone, mean, pixels)[part],
                                                     normalize=True)
                                  for part in batches(pixels)])
        scores.append(float((embedded * directions).sum(-1).mean()))
    return scores


def area(scores):
    return float(np.mean((np.array(scores[1:]) + np.array(scores[:-1])) / 2))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bin/cliplens")
    parser.add_argument("--model", default="pictureworld")
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--curves", type=int, default=200, help="pictures of the curves")
    parser.add_argument("--update", action="store_true", help="write docs/segmentation.md")
    args = parser.parse_args()
    torch.set_num_threads(2)
    program = pathlib.Path(args.program).resolve()
    folder = ROOT / "build" / "segmentation"
    shard = draw(folder, args.pictures)
    pictures, masks, labels = read(shard)

    model, _, transform = open_clip.create_model_and_transforms(
        f"local-dir:{ROOT / 'models' / args.model}")
    model.eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{ROOT / 'models' / args.model}")
    number, rows = classifier(model, tokenizer)
    pixels = torch.stack([transform(Image.fromarray(p)) for p in pictures])
    directions = rows[[number[label] for label in labels]]
    patch = model.visual.conv1.kernel_size[0]
    with torch.no_grad():
        own = gradients.forward(model.visual, pixels[:4])[0]
        assert torch.allclose(own, model.encode_image(pixels[:4]), atol=1e-4)

    maps, lines = {}, []
    for method in OWN:
        said, maps[method] = ask(program, folder, args.model, shard, method, "--truth")
        answered, _ = ask(program, folder, args.model, shard, method)
        twin = metrics.figures(maps[method], masks) if method != "background" else None
        for name, value in (twin or {}).items():
            own = said["all"][name]["value"]
            assert abs(own - value) < 2e-4, (method, name, own, value)
        right = answered.get("rightly_classified", {})
        lines.append((method, said["all"], answered["all"], right))
    grid = maps["decomposition"].shape[-1]
    for name, method in GRADIENT.items():
        found = torch.cat([method(model.visual, pixels[part], directions[part])
                           for part in batches(pixels)])
        maps[name] = found.reshape(-1, grid, grid).numpy()
        found = metrics.figures(maps[name], masks)
        lines.append((name, {figure: {"value": v} for figure, v in found.items()}, {}, {}))

    def cell(figures, name):
        return f"{100 * figures[name]['value']:.1f}" if name in figures else ""

    tables = {"methods": table(
        ["method", "pixel accuracy", "mIoU", "mAP", "mIoU, map of the answer",
         "mIoU, rightly classified"],
        [[name, cell(truth, "pixel_accuracy"), cell(truth, "mean_iou"), cell(truth, "mean_ap"),
          cell(answer, "mean_iou"), cell(right, "mean_iou")]
         for name, truth, answer, right in lines])}
    few = slice(0, args.curves)
    maps["random"] = np.random.default_rng(SEED).random(maps["decomposition"].shape)
    rows = []
    for name, found in maps.items():
        if name == "background":
            continue
        both = [curve(model, pixels[few], directions[few], found[few], patch, insertion)
                for insertion in (False, True)]
        rows.append([name, *(f"{area(scores):.3f}" for scores in both),
                     *(" ".join(f"{s:.2f}" for s in scores) for scores in both)])
    tables["curves"] = table(["patches by", "deletion, area", "insertion, area", "deletion",
                              "insertion"], rows)
    print("\n".join(tables.values()))
    if args.update:
        page = PAGE.read_text()
        for part, (begin, end) in MARKS.items():
            before, rest = page.split(begin)
            page = before + begin + "\n" + tables[part] + "\n" + end + rest.split(end)[1]
        PAGE.write_text(page)


if __name__ == "__main__":
    main()
