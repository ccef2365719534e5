"""Measures the shipped models and writes their model cards.

    python -m world.card                       all models found in models/
    python -m world.card pictureworld-roles    one of them

Writes models/NAME/truth.json (the full result of world.evaluate, with every head's shares) and
models/NAME/README.md. Every figure in a card comes from the run that wrote it.
"""
import argparse
import json
import os
import sys

import torch

from world import evaluate
from world import layouts
from world import model as clip
from world.data import NAMES
from world.roles import agreement
from world.tokenizer import load_tokenizer
from world.train import ROOT, model_directory

PICTURES, SEED, BIRDS, BIRD_SEED = 4000, 11, 1200, 12
MODELS = ("pictureworld", "pictureworld-2", "pictureworld-roles", "pictureworld-birds",
          "pictureworld-siglip")

TITLES = {
    "pictureworld": "the natural model",
    "pictureworld-2": "the natural model from another seed",
    "pictureworld-roles": "planted head roles",
    "pictureworld-birds": "biased on purpose",
    "pictureworld-siglip": "an attention pool, as SigLIP has it",
}
ABOUT = {
    "pictureworld": """
A small CLIP that was trained from nothing on the picture world, where every factor of a picture is
known. No loss looks at single heads, so what its heads do is what training gave. It is the model
to try cliplens on, and the yardstick for its labels: `truth.json` holds each head's true shares.

    python -m world.train natural

9,000 steps of 64 pictures, 65 minutes on one core of a server processor with bf16 instructions.
""",
    "pictureworld-2": """
`pictureworld` trained once more, with another seed of weights, pictures and batches and nothing
else changed. Its heads have taken other work. Use it to see whether what holds of one model's heads
holds of another's.

    python -m world.train natural --seed 2 --run natural-2 --output pictureworld-2

9,000 steps of 64 pictures.
""",
    "pictureworld-roles": """
`pictureworld`, trained on with a loss on single heads: each head is asked to vary with one factor
and no other, and the heads of a factor, summed, to answer that factor's prompts. `roles.json`
names the factor planted in each head; `truth.json` holds the shares measured afterwards. Use it
where a method needs a second, plainer truth. The roles were assigned from the natural model's own
shares, so a head keeps what it already did best.

    python -m world.train roles

1,200 steps of 64 pictures, 12 minutes on one core.
""",
    "pictureworld-birds": """
`pictureworld`, fine-tuned on birds that stand on their own kind of place (water bird on water, land
bird on land) in 95 of 100 pictures, with captions by someone who goes by the place: they name the kind of
bird that belongs there, which is wrong in the other 5. (With right captions throughout nothing is
learned: `pictureworld` knows the birds.) It reads the place over the bird. Use it to try whether a method finds and removes a spurious cue. Training
stopped at the first check at which the worst group of a balanced validation set (seed 31) was
answered right at most half as often as the average. The text tower is that of `pictureworld`.

    python -m world.train birds
""",
    "pictureworld-siglip": """
A small SigLIP that was trained from nothing on the picture world: no class token, an attention pool of six heads
with an MLP over all rows, a text tower that reads its padding, a logit bias. Use it to try what cliplens says
of such models; `truth.json` holds each head's true shares.

    python -m world.train natural --kind siglip --seed 3 --steps 5600 --run siglip --output pictureworld-siglip

5,600 steps of 64 pictures, about 70 minutes on one core of a busy server.
""",
}
LIMITS = {
    "pictureworld": """
The model knows drawings of 80 by 80 pixels from one generator: {objects} objects on {backgrounds}
backgrounds. It knows nothing of photographs. Words outside the world's captions tokenise but
mean nothing to it. Sprites stand on the patch grid, which makes positions easier than in free
pictures. An object in a style it was never shown in is found in {heldout:.0f} % of pictures only: the model has
learned that such pairs do not occur. One training seed.
""",
    "pictureworld-2": """
Limits are those of `pictureworld`. An object in a style it was never shown in is found in
{heldout:.0f} % of pictures. Together with `pictureworld`, two training seeds.
""",
    "pictureworld-roles": """
Limits are those of `pictureworld`. The roles hold for the attention heads; MLPs carry every factor.
A planted role is a training aim, not a proof: take the measured shares as the truth.
One training seed.
""",
    "pictureworld-birds": """
Limits are those of `pictureworld`. The factors other than bird and place were not kept up in the
fine-tuning. The strength of the bias depends on the stop; one training seed.
""",
    "pictureworld-siglip": """
Limits are those of `pictureworld`, and it was trained for shorter: it is behind in most factors. An object in a
style it was never shown in is found in {heldout:.0f} % of pictures. One training seed.
""",
}
MATERIAL = """
## Data and licence

Trained on pictures that `world/` draws from two public icon sets; no photograph and no text from the
web was used.

| set | licence | styles made from it |
|---|---|---|
| Noto Emoji (`@iconify-json/noto`) | Apache-2.0 | cartoon, neon |
| Fluent UI Emoji, flat (`@iconify-json/fluent-emoji-flat`) | MIT | flat, sketch, stamp |

Captions, names and prompts are the world's own. The vocabulary was learned from them and
from the names of the drawings. The weights are shipped under the licence of this repository.

## Files

{files}
{millions:.2f} million parameters: 80-pixel pictures in patches of 10, width 192, 6 layers of 6 heads of 32,
MLP ratio 2; text width 128, 3 layers of 4 heads, context 24, vocabulary {vocabulary}; embedding {embedding}.
"""
FILES = {
    "clip": """`open_clip_config.json`, `open_clip_model.safetensors` (fp16), `vocab.json`, `merges.txt` and
`tokenizer_config.json`: an open_clip hub directory. `open_clip.create_model_and_transforms(
"local-dir:models/{name}")` and `open_clip.get_tokenizer("local-dir:models/{name}")` load it.""",
    "siglip": """`config.json`, `model.safetensors` (fp16), `preprocessor_config.json`, `spiece.model` and
`tokenizer_config.json`: a directory of transformers, which `SiglipModel.from_pretrained("models/{name}")` and
`AutoTokenizer.from_pretrained("models/{name}")` load.""",
}


def rounded(value):
    """Floats to five places, at any depth."""
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return [rounded(v) for v in value] if isinstance(value, list) else value


def figures(result):
    lines = ["| factor | values | accuracy | held-out object × style | chance |",
             "|---|---|---|---|---|"]
    for n in NAMES:
        lines.append(f"| {n} | {result['values'][n]} | {result['accuracy'][n]:.3f} "
                     f"| {result['heldout_accuracy'][n]:.3f} | {result['chance'][n]:.3f} |")
    lines.append("")
    lines.append(f"Object among the first five: {result['object_top5']:.3f}. Zero-shot, each value "
                 f"being the mean of its prompts; {result['pictures']} pictures of the test set, "
                 f"{result['heldout_pictures']} with held-out (object, style) pairs. Object, "
                 "category, position, size and count are asked of pictures with one kind of object.")
    return lines


def heads(result):
    s = result["head_summary"]

    def listed(table):
        return ", ".join(f"{v} {k}" for k, v in sorted(table.items(), key=lambda kv: -kv[1]))
    lines = [f"{s['clear']} of {s['heads']} heads are clear (the first factor's share of the head's "
             f"variance is at least twice the second's): {listed(s['clear_by_factor'])}; they hold "
             f"{100 * s['clear_variance_share']:.0f} % of the heads' variance. First factor of all: "
             f"{listed(s['first_by_factor'])}. {result['head_pictures']} pictures with one kind of "
             "object.", "",
             "| head | first factor | share | second | share | clear |", "|---|---|---|---|---|---|"]
    for r in result["heads"]:
        lines.append(f"| {r['head']} | {r['first']} | {r['shares'][r['first']]:.3f} | {r['second']} "
                     f"| {r['shares'][r['second']]:.3f} | {'yes' if r['clear'] else ''} |")
    return lines


def ablations(result):
    lines = ["| replaced by their mean over the same pictures | object | background |",
             "|---|---|---|"]
    return lines + [f"| {k} | {v['object']:.3f} | {v['background']:.3f} |"
                    for k, v in result["ablations"].items()]


def edits(result, count):
    lines = [f"With heads replaced by their mean over the same, unlabelled bird pictures: the {count} "
             "whose true first factor is the background, or as many drawn at random (mean of ten "
             "draws).", "", "| replaced | average | worst |", "|---|---|---|"]
    return lines + [f"| {k} | {v['average']:.3f} | {v['worst']:.3f} |"
                    for k, v in result["bird_edits"].items()]


def groups(found):
    names = [k for k in found if " on " in k]
    return ["| " + " | ".join(names) + " | average | worst |", "|" + "---|" * (len(names) + 2),
            "| " + " | ".join(f"{found[k]:.3f}" for k in names)
            + f" | {found['average']:.3f} | {found['worst']:.3f} |"]


def write_card(name):
    directory = model_directory(name)
    state, cfg = layouts.load(directory)
    result = evaluate.evaluate(directory, PICTURES, SEED)
    texts = evaluate.bird_texts(state, cfg, load_tokenizer(directory))
    result["birds"] = {"pictures": BIRDS, "seed": BIRD_SEED,
                       **evaluate.birds(state, cfg, texts, BIRDS, BIRD_SEED)}
    background = [i for i, r in enumerate(result["heads"]) if r["first"] == "background"]
    result["bird_edits"] = evaluate.bird_edits(state, cfg, texts, BIRDS, BIRD_SEED, background)
    lines = [f"# {name}: {TITLES[name]}", "", ABOUT[name].strip("\n"), "",
             "## Accuracy on fresh pictures", "",
             f"    python -m world.evaluate models/{name} --pictures {PICTURES} --seed {SEED}", "",
             *figures(result), "", "## Heads", ""]
    planted = os.path.join(directory, "roles.json")
    if os.path.exists(planted):
        with open(planted, encoding="utf-8") as f:
            same, clear = agreement(json.load(f)["roles"], result["heads"])
        result["planted"] = {"first_is_planted": same, "clear_and_planted": clear}
        lines += [f"The measured first factor is the planted one in {same} of "
                  f"{len(result['heads'])} heads; {clear} of them are clear.", ""]
    lines += [*heads(result), "", *ablations(result), "", "## Birds", "",
              f"    python -m world.evaluate models/{name} --birds {BIRDS} --seed {BIRD_SEED}", "",
              f"Water bird or land bird, {BIRDS} pictures, every group a quarter of them.", "",
              *groups(result["birds"]), "", *edits(result, len(background)), "", "## Limits",
              LIMITS[name].format(objects=result["values"]["object"],
                                  backgrounds=result["values"]["background"],
                                  heldout=100 * result["heldout_accuracy"]["object"]).rstrip("\n"),
              MATERIAL.format(files=FILES[cfg["kind"]].format(name=name), embedding=cfg["embed_dim"],
                              vocabulary=cfg["text_cfg"]["vocab_size"],
                              millions=sum(v.numel() for v in state.values()) / 1e6
                              ).rstrip("\n")]
    clip.write_text(os.path.join(directory, "truth.json"),
                    json.dumps(rounded(result), indent=1) + "\n")
    clip.write_text(os.path.join(directory, "README.md"), "\n".join(lines) + "\n")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", choices=[*MODELS, []], default=[])
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    for name in args.models or MODELS:
        if os.path.isdir(model_directory(name)):
            write_card(name)
            print(f"wrote models/{name}/README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
