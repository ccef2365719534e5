"""What the biased model shows: does it lean on the place, and does an edit mend it?

    python -m bench.birds --program build/release/bin/cliplens           measures
    python -m bench.birds --program build/release/bin/cliplens --update  and writes docs/edits.md

Draws fresh pictures of birds, half of them on the place of the other kind, makes stores of them and
asks the program. The edit is suggested on pictures of a seed of its own, by texts, without any
label; groups are measured on the pictures of other seeds. All that it makes lies in build/birds;
--keep works with the pictures and stores that are there.
"""

from __future__ import annotations

import argparse
import json
import shutil

import numpy as np

from bench.truth.stores import ROOT, TEXTS, Bench

PAGE = ROOT / "docs" / "edits.md"
BEGIN, END = "<!-- figures: make bench-birds -->\n", "<!-- end of figures -->\n"
MODEL, NATURAL = "pictureworld-birds", "pictureworld"
SUGGEST_SEED, SEEDS, WORLD_SEED = 50, (61, 62, 63), 51
BIRDS, WORLD, SHARD, DRAWS = 1200, 1500, 300, 5
CUE = ("something on the sea", "something on a lake", "something under water",
       "something on the grass", "something in the forest", "something in the desert")
BIRD_CLASSES = ("--classes", TEXTS / "birds.txt", "--templates", TEXTS / "birds.templates.txt")


def shard(kind, seed, first, count, agreement):
    from world import scene, shards
    world = scene.World.load()
    files = []
    for index in range(first, first + count):
        picture = world.picture(kind, seed, index, agreement=agreement)
        files += shards.picture_members(picture, shards.label_of(kind, picture.factors),
                                        f"{index:06d}")
    return shards.tar_bytes(files)


class BirdsBench(Bench):
    def draw(self, sets):
        """Sets of pictures, {name: (kind, seed, pictures, agreement)}."""
        jobs = {}
        for name, (kind, seed, pictures, agreement) in sets.items():
            for first in range(0, pictures, SHARD):
                path = self.folder / name / f"{first:06d}.tar"
                if not path.exists():
                    jobs[path] = (shard, kind, seed, first, min(SHARD, pictures - first), agreement)
        self.write(jobs)

    def suggest(self, name, pictures, *options, model=MODEL):
        """Heads for the cue and, of the biased model, the edit's file."""
        out = self.folder / f"{name}.json"
        out.unlink(missing_ok=True)
        cue = [word for text in CUE for word in ("--cue", text)]
        write = ("--out", out) if model == MODEL else ()
        found = self.run("edit", "suggest", self.store(model, pictures), *BIRD_CLASSES, *cue,
                         *options, *write)
        return found, out

    def groups(self, pictures, edit, means=None):
        options = () if means is None else ("--means", self.store(MODEL, means))
        found = self.run("evaluate", "groups", self.store(MODEL, pictures), *BIRD_CLASSES,
                         "--attribute", "place_kind", "--edit", edit, "--random", DRAWS, *options)
        return found, {row["name"]: row for row in found["rows"]}

    def objects(self, edit=None):
        options = () if edit is None else ("--edit", edit)
        return self.run("classify", MODEL, "--images", self.folder / "world", "-k", 1,
                        "--classes", TEXTS / "objects.txt", "--templates",
                        TEXTS / "objects.templates.txt", *options)["accuracy"]


def measure(bench):
    sets = {f"birds-{seed}": ("birds", seed, BIRDS, None) for seed in (*SEEDS, SUGGEST_SEED)}
    sets["biased"] = ("birds", SUGGEST_SEED + 2, BIRDS, 0.95)
    sets["world"] = ("test", WORLD_SEED, WORLD, None)
    bench.draw(sets)
    own = f"birds-{SUGGEST_SEED}"
    natural = bench.suggest("natural", own, model=NATURAL)[0]
    edits = {"automatic": bench.suggest("automatic", own),
             "biased": bench.suggest("biased", "biased"),
             "within": bench.suggest("within", "biased", "--within-classes")}
    truth = json.loads((ROOT / "models" / MODEL / "truth.json").read_text())
    oracle = [h["head"] for h in truth["heads"] if h["first"] == "background"]
    path = bench.folder / "oracle.json"
    path.unlink(missing_ok=True)
    bench.run("edit", "make", bench.store(MODEL, own), "--heads", ",".join(oracle), "--out", path)
    edits["oracle"] = ({"heads": [{"head": h, "chosen": True} for h in oracle]}, path)
    # The same edit with the means of the pictures of the whole world.
    general = bench.folder / "general.json"
    general.unlink(missing_ok=True)
    bench.run("edit", "make", bench.store(MODEL, "world"), "--heads",
              ",".join(chosen(edits["automatic"][0])), "--out", general)
    results = {"natural": natural, "found": {k: v[0] for k, v in edits.items()}, "runs": [],
               "objects": {"none": bench.objects(),
                           **{k: bench.objects(v[1]) for k, v in edits.items()},
                           "general": bench.objects(general)}}
    for seed in SEEDS:
        run = {"seed": seed}
        for name, (_, file) in edits.items():
            found, run[name] = bench.groups(f"birds-{seed}", file)
            run[f"{name} random"] = found["random"]
        run["general"] = bench.groups(f"birds-{seed}", general)[1]
        results["runs"].append(run)
    return results


def chosen(found):
    return [h["head"] for h in found["heads"] if h["chosen"]]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]) + "\n"


def bounded(estimate):
    return f"{estimate['value']:.3f} ({estimate['low']:.3f}–{estimate['high']:.3f})"


def page(results):
    runs = results["runs"]

    def over(get):
        values = [get(run) for run in runs]
        return f"{np.mean(values):.3f} ({min(values):.3f}–{max(values):.3f})"

    def row(text, edit, name="edit", objects=None):
        return [text, over(lambda r: r[edit][name]["worst"]["value"]),
                over(lambda r: r[edit][name]["average"]["value"]),
                "" if objects is None else f"{results['objects'][objects]:.3f}"]

    def random(edit):
        best = over(lambda r: r[f"{edit} random"]["worst"]["best"])
        spread = np.mean([r[f"{edit} random"]["worst"]["deviation"] for r in runs])
        return [[f"as many random heads of the same layers, best of {DRAWS}", best,
                 over(lambda r: r[f"{edit} random"]["average"]["best"]), ""],
                [f"... mean (sd of draws {spread:.3f})",
                 over(lambda r: r[f"{edit} random"]["worst"]["mean"]),
                 over(lambda r: r[f"{edit} random"]["average"]["mean"]), ""]]

    found = results["found"]
    lean = table(
        ["model", "pictures", "of the class logits' differences the cue explains",
         "after the suggested edit", "heads"],
        [[model, pictures, bounded(f["lean"]),
          bounded(f["lean_edited"]) if chosen(f) else "",
          ", ".join(chosen(f)) or "none"] for model, pictures, f in (
            (MODEL, "every group alike", found["automatic"]),
            (NATURAL, "every group alike", results["natural"]),
            (MODEL, "95 % on their own kind of place", found["biased"]),
            (MODEL, "the same, within classes", found["within"]))])
    groups = table(
        ["replaced by means", "worst group", "average", "objects of the whole world"],
        [row("nothing", "automatic", "base", "none"),
         row("**suggested heads**, means of the unlabelled pictures", "automatic",
             objects="automatic"),
         row("... means of the pictures that are measured", "automatic", "edit-means"),
         row("... means of the whole world", "general", objects="general"), *random("automatic"),
         row("true background heads (" + ", ".join(chosen(found["oracle"])) + ")", "oracle",
             objects="oracle"), *random("oracle"),
         row("suggested heads with the paper's recipe (early heads, MLPs, INPUT too)",
             "automatic", "recipe"),
         row("early heads, MLPs and INPUT alone", "automatic", "recipe-rest"),
         row("suggested on biased pictures", "biased", objects="biased"),
         row("... within classes", "within", objects="within")])

    def gains(edit, figure):
        return [r[edit]["edit"][figure]["value"] - r[edit]["base"][figure]["value"] for r in runs]

    gain, best = gains("automatic", "worst"), gains("oracle", "worst")
    mean = gains("automatic", "average")
    return "\n".join([
        f"Birds of seeds {', '.join(map(str, SEEDS))}, {BIRDS} pictures each, a quarter in each "
        f"group; heads suggested on {BIRDS} others (seed {SUGGEST_SEED}) by {len(CUE)} texts of "
        f"places. Mean over the seeds, least and most in brackets.\n",
        f"The edit gains {np.mean(gain):.3f} in the worst group, the true background heads "
        f"{np.mean(best):.3f}; on every seed at least as much: "
        f"{'yes' if all(g >= b for g, b in zip(gain, best)) else '**no**'}. The average gains "
        f"{np.mean(mean):.3f}; lost on a seed: {'**yes**' if min(mean) < 0 else 'none'}.\n",
        "Said beforehand, without a label of group or class:\n", lean, groups])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bin/cliplens")
    parser.add_argument("--workers", type=int, default=2, help="processes that draw pictures")
    parser.add_argument("--keep", action="store_true", help="keep pictures and stores of a run")
    parser.add_argument("--update", action="store_true", help="write docs/edits.md")
    args = parser.parse_args()
    bench = BirdsBench(args.program, ROOT / "build" / "birds", args.workers)
    if not args.keep:
        shutil.rmtree(bench.folder, ignore_errors=True)
    bench.folder.mkdir(parents=True, exist_ok=True)
    results = measure(bench)
    (bench.folder / "results.json").write_text(json.dumps(results) + "\n")
    text = page(results)
    print(text)
    if args.update:
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(before + BEGIN + "\n" + text + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
