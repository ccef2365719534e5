"""docs/truth.md and its figures, from the results of a run."""

from __future__ import annotations

import json
import re

import numpy as np

from bench.truth import figures as draw
from bench.truth.calibrate import ABSENT
from bench.truth.cases import calibration_error, reliability
from bench.truth.stores import FACTORS, ROOT

PAGE = ROOT / "docs" / "truth.md"
FOLDER = ROOT / "docs" / "truth"
BEGIN, END = "<!-- figures: make truth -->\n", "<!-- end of figures -->\n"
ALLOWED, ALLOWED_PART = 0.05, 0.10  # between stated and true confidence


def table(head, rows):
    """Columns of numbers stand to the right."""
    rows = [[str(cell) for cell in row] for row in rows]
    aligned = ["---:" if all(re.fullmatch(r"[-+0-9.,()–% of]*", row[c]) for row in rows) else "---"
               for c in range(len(head))]
    return "\n".join([f"| {' | '.join(head)} |", f"|{'|'.join(aligned)}|",
                      *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def spread(values, digits=2):
    values = list(values)
    return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def models(results, judged=None):
    names = []
    for run in results["runs"]:
        if run["model"] not in names and judged in (None, run["judged"]):
            names.append(run["model"])
    return names


def runs(results, model):
    return [run for run in results["runs"] if run["model"] == model]


def of_factors(heads):
    """"14 object, 3 background" of the first factors."""
    names = [head["first"] for head in heads]
    return ", ".join(f"{names.count(f)} {f}" for f in sorted(set(names), key=lambda f: (
        -names.count(f), FACTORS.index(f)))) or "none"


def share_of(head, factor):
    return next(s for s in head["shares"] if s["factor"] == factor)


def truth_section(results):
    rows = []
    for model in models(results):
        for run in runs(results, model):
            truth = run["evaluation"]["truth"]
            clear = [h for h in truth if h["clear"]]
            variance = sum(h["variance"] for h in truth)
            # Nothing known: not even the first factor's share is surely above zero.
            nothing = [h for h in truth if h["first"] is None
                       or share_of(h, h["first"])["share"]["low"] <= 0]
            half = [(s["share"]["high"] - s["share"]["low"]) / 2 for h in truth
                    for s in h["shares"] if s["factor"] == h["first"]]
            rows.append([model, run["seed"], run["evaluation"]["images"], len(clear),
                         f"{sum(h['variance'] for h in clear) / variance:.2f}",
                         of_factors(clear), of_factors([h for h in truth if not h["clear"]]),
                         len(nothing), f"{np.median(half):.3f}"])
    same = []
    for model in models(results):
        firsts = list(zip(*[[h["first"] for h in r["evaluation"]["truth"]]
                            for r in runs(results, model)]))
        steady = sum(len(set(f)) == 1 for f in firsts)
        same.append(f"{steady} of {len(firsts)} in {model}")
    return ("### Truth\n\n" + table(
        ["model", "seed", "pictures", "clear", "of variance", "clear, by first factor",
         "mixed, by first factor", "nothing known", "± of the share"], rows)
        + f"\nHeads whose first factor is the same on every seed: {', '.join(same)}.\n\n"
        "![Heads by their first factor](truth/heads.svg)\n\n"
        f"Layers x heads, seed {results['seeds'][0]}: colour and number are the first factor and "
        "its share in percent; a frame means clear; a dot, that another factor has the largest total "
        "effect.\n")


def total_firsts(effects):
    values = {f: effects[f][0] for f in FACTORS}
    return [max(FACTORS, key=lambda f: values[f][i]) for i in range(len(values["object"]))]


def intervention_section(results):
    out = ["### Interventions\n"]
    summary, rows = [], []
    for model, effects in results["total_effects"].items():
        truth = runs(results, model)[0]["evaluation"]["truth"]
        firsts = total_firsts(effects)
        agree = [a == h["first"] for a, h in zip(firsts, truth)]
        clear = [a for a, h in zip(agree, truth) if h["clear"]]
        weight = np.array([h["variance"] for h in truth])
        alone = sum(share_of(h, f)["share"]["value"] * h["variance"] for h in truth for f in FACTORS)
        total = sum(effects[f][0][i] * h["variance"] for i, h in enumerate(truth) for f in FACTORS)
        summary.append([model, f"{sum(agree)} of {len(agree)}",
                        f"{(weight * agree).sum() / weight.sum():.2f}",
                        f"{sum(clear)} of {len(clear)}", f"{alone / weight.sum():.2f}",
                        f"{total / weight.sum():.2f}"])
        for i, head in enumerate(truth):
            if agree[i]:
                continue
            first, other = head["first"], firsts[i]
            value, low, high = effects[other][0][i], effects[other][1][i], effects[other][2][i]
            s = [share_of(head, f)["share"]["value"] for f in (first, other)]
            why = ("within the bounds" if effects[first][2][i] >= low
                   else f"{other} acts together with others")
            rows.append([model, head["head"] + ("" if head["clear"] else " (mixed)"),
                         f"{first} {s[0]:.2f}", f"{effects[first][0][i]:.2f}",
                         f"{other} {s[1]:.2f}", f"{value:.2f} ({low:.2f}–{high:.2f})", why])
    out.append(table(["model", "same first factor", "by variance", "of clear heads",
                      "shares, summed over factors", "total effects, summed"], summary))
    if rows:
        out.append("\nWhere they differ:\n")
        out.append(table(["model", "head", "first by share", "its total effect",
                          "first by total effect", "its total effect", "reason"], rows))
    return "\n".join(out)


def method_fidelity(run):
    """{method: (by variance, clear heads right, clear heads)} of one model and seed."""
    truth = run["evaluation"]["truth"]
    weight = np.array([h["variance"] for h in truth])
    clear = np.array([h["clear"] for h in truth])
    firsts = [h["first"] for h in truth]

    def score(labels):
        right = np.array([a == b for a, b in zip(labels, firsts)], float)
        return float((weight * right).sum() / weight.sum()), int(right[clear].sum())
    found = {}
    for method, how, labels in run["methods"]:
        found[f"{method}, {how}"] = score(labels)
    found["own answers, best guess"] = score([h["guess"] for h in truth])
    found["own answers, label"] = score([h["label"] for h in truth])
    common = max(FACTORS, key=lambda f: weight[[i for i, x in enumerate(firsts) if x == f]].sum())
    found["always the commonest factor"] = score([common] * len(truth))
    guess = 1 / (len(FACTORS))
    found["random"] = (guess, guess * int(clear.sum()))
    return {name: (*value, int(clear.sum())) for name, value in found.items()}


def method_order(results):
    judged = models(results, True)
    scores = [method_fidelity(run) for model in judged for run in runs(results, model)]
    return sorted(scores[0], key=lambda name: np.mean([s[name][0] for s in scores]))


def fidelity_section(results):
    judged = models(results, True)
    rows = []
    for name in reversed(method_order(results)):
        row = [name]
        for model in judged:
            scores = [method_fidelity(run)[name] for run in runs(results, model)]
            right, clear = sum(s[1] for s in scores), scores[0][2] and sum(s[2] for s in scores)
            row += [spread(s[0] for s in scores), f"{right:.0f} of {clear}"]
        rows.append(row)
    head = ["method"]
    for model in judged:
        head += [f"{model}: by variance", "clear heads, all seeds"]
    own = []
    for model in models(results):
        for run in runs(results, model):
            e = run["evaluation"]
            wrong = [f"{h['head']} {h['label']} for {h['first']}" for h in e["truth"]
                     if h["label"] not in (None, h["first"])]
            own.append([model, run["seed"], f"{e['fidelity']:.3f}",
                        f"{e['fidelity_of_labelled']:.3f}", f"{e['right']} of {e['heads']}",
                        f"{e['clear_right']} of {e['clear']}",
                        f"{e['abstained']} ({100 * e['abstained_variance']:.1f} %)",
                        "; ".join(wrong) or "none"])
    return ("### Fidelity\n\n" + table(head, rows)
            + "\n![Fidelity of the methods](truth/fidelity.svg)\n\nOwn answers, every model and "
            "seed:\n\n" + table(
                ["model", "seed", "by variance", "of the labelled", "heads right", "clear heads",
                 "without a label (of variance)", "wrong"], own))


def labelled(results, keep):
    return [c for c in results["cases"] if c["right"] is not None and keep(c)]


def error_of(some):
    return calibration_error([c["confidence"] for c in some], [c["right"] for c in some])


def confidence_row(name, everything, some):
    absent = sum(c["label"] is None for c in everything)
    high = [c["right"] for c in some if c["confidence"] >= 0.9]
    return [name, len(everything), f"{absent / max(1, len(everything)):.2f}",
            f"{np.mean([c['right'] for c in some]):.3f}" if some else "",
            f"{np.mean([c['confidence'] for c in some]):.3f}" if some else "",
            f"{error_of(some):.3f}" if some else "",
            f"{np.mean(high):.3f} of {len(high)}" if high else ""]


def confidence_section(results):
    kinds = [("full table", lambda c: c["left_out"] is None)]
    kinds += [(f"full table, {model}", lambda c, m=model: c["left_out"] is None and c["model"] == m)
              for model in models(results)]
    kinds += [("one property left out", lambda c: c["left_out"] is not None),
              ("... the head's own", lambda c: c["left_out"] == c["first"]),
              ("... another", lambda c: c["left_out"] not in (None, c["first"]))]
    rows = [confidence_row(name, [c for c in results["cases"] if keep(c)],
                           labelled(results, keep)) for name, keep in kinds]
    own = [c for c in results["cases"] if c["left_out"] == c["first"]]
    wrong = [c for c in own if c["label"] is not None]
    next_best = sum(c["label"] == c["first_offered"] for c in wrong)
    notes = (f"Of {len(own)} heads whose own property was left out {len(wrong)} got a label, which "
             f"is wrong; {next_best} of these labels are the factor of the largest share among those "
             "that the table offers.\n")
    return ("### Confidence\n\n" + table(
        ["table", "heads", "without a label", "right, of the labelled", "mean confidence",
         "calibration error", "right where the confidence is at least .9"], rows)
        + "\n![Reliability of the confidence](truth/reliability.svg)\n\nLeft: the full table. "
        "Right: one property left out. The area of a dot grows with the number of heads.\n\n" + notes)


def kept_section():
    """Of `bench.truth.calibrate` and `bench.truth.rankers`, whose models take hours to train."""
    found = json.loads((FOLDER / "calibration.json").read_text())
    rows = [[name, number, f"{stated:.3f}", f"{true:.3f}", f"{stated - true:+.3f}"]
            for name, (number, stated, true) in found["cells"].items() if number]
    faithful = "; ".join(f"{model}: {share:.3f} by variance, {right} of {clear} clear heads"
                         for model, (share, right, clear) in found["fidelity"].items())
    ranked = json.loads((FOLDER / "rankers.json").read_text())
    sizes = list(next(iter(ranked.values())))
    ways = [[name, *(f"{np.mean(list(by_model.values())):.2f} ({min(by_model.values()):.2f})"
                     for by_model in by_size.values())] for name, by_size in ranked.items()]
    return ("### Models outside the fit\n\n"
            f"In the fit: {', '.join(found['fit'])}. Kept out: {', '.join(found['kept'])}; m2-300 is "
            "m2 after 300 steps of its training, r2 has random weights. Labels of a confidence of "
            "one half or more, by what they were made of:\n\n"
            + table(["labels", "number", "stated", "true", "difference"], rows)
            + f"\nGuesses of random weights with a confidence of .8 or more: "
            f"{100 * found['random_sure']:.2f} %. Best guesses on 1,500 pictures and more, full "
            f"table: {faithful}.\n\n"
            "Ways to choose the best guess, by pictures: fidelity by variance over the trained "
            "models, the mean and the least:\n\n" + table(["way", *sizes], ways))


def causal_section(results):
    rows = []
    for model in models(results, True):
        for factor in FACTORS:
            found = [r["causal"][factor] for r in runs(results, model) if factor in r["causal"]]
            if not found:
                continue
            drop = {f: np.mean([x["drop"][f] for x in found]) for f in FACTORS}
            random = {f: np.mean([x["random"][f] for x in found]) for f in FACTORS}
            other = max((f for f in FACTORS if f != factor), key=drop.get)
            rows.append([model, factor, spread([x["heads"] for x in found], 0),
                         f"{np.mean([x['before'][factor] for x in found]):.3f}",
                         f"{drop[factor]:.3f}", f"{other} {drop[other]:.3f}",
                         f"{drop[factor] - drop[other]:+.3f}", f"{random[factor]:.3f}",
                         f"{drop[factor] - random[factor]:+.3f}"])
    return "### Causal check\n\n" + table(
        ["model", "heads labelled", "heads", "accuracy on it", "lost on it", "most lost on another",
         "selectivity", "lost on it with random heads", "more than random"], rows)


def verdict(results):
    judged = [run for run in results["runs"] if run["judged"]]
    fidelity = [run["evaluation"]["fidelity_of_guesses"] for run in judged]
    clear = sum(run["evaluation"]["clear"] for run in judged)
    right = sum(run["evaluation"]["clear_guesses_right"] for run in judged)
    outside = json.loads((FOLDER / "calibration.json").read_text())
    cells = outside["cells"]
    least = min(share for share, _, _ in outside["fidelity"].values())
    held = sum(right for _, right, _ in outside["fidelity"].values())
    known = sum(clear for _, _, clear in outside["fidelity"].values())
    _, stated, true = cells["all"]
    worst, off = max(((name, abs(s - t)) for name, (number, s, t) in cells.items()
                      if number >= 100 and name != ABSENT), key=lambda cell: cell[1])
    rows = [["fidelity by variance, best guess of own answers", "at least .95 on each",
             f"{min(fidelity):.3f} the least, {np.mean(fidelity):.3f} the mean",
             "yes" if min(fidelity) >= 0.95 else "**no**"],
            ["clear heads whose best guess is right", "all", f"{right} of {clear}",
             "yes" if right == clear else "**no**"],
            ["the same of trained models outside the fit, 1,500 pictures or more",
             "at least .93 on each, all clear heads", f"{least:.3f} the least, {held} of {known}",
             "yes" if least >= 0.93 and held == known else "**no**"],
            ["labels of models outside the fit, stated and true", f"at most {ALLOWED} apart",
             f"{stated:.3f} and {true:.3f}", "yes" if abs(stated - true) <= ALLOWED else "**no**"],
            [f"the same in each part with a hundred labels, but for the {ABSENT}", f"at most {ALLOWED_PART} apart",
             f"{off:.3f} ({worst})", "yes" if off <= ALLOWED_PART else "**no**"]]
    return "### Aims\n\n" + table(["figure", "aim", "measured", "met"], rows)


def page(results):
    intro = (f"Models {', '.join(models(results, True))} (all sections), "
             f"{', '.join(models(results, False))} (truth, own answers, confidence); seeds "
             f"{', '.join(map(str, results['seeds']))} of the balanced test set, "
             f"{results['pictures']} pictures each; counterparts of the first "
             f"{results['changed']} pictures of seed {results['seeds'][0]}.\n")
    return "\n".join([intro, verdict(results), truth_section(results),
                      intervention_section(results), fidelity_section(results),
                      confidence_section(results), kept_section(), causal_section(results)])


def figures(results):
    titles = list(results["total_effects"])
    truths = []
    for model in titles:
        firsts = total_firsts(results["total_effects"][model])
        truths.append([{**h, "share": share_of(h, h["first"])["share"]["value"], "total_first": first,
                        "differs": first != h["first"]} for h, first in
                       zip(runs(results, model)[0]["evaluation"]["truth"], firsts)])
    for model in models(results, False):
        titles.append(model)
        truths.append([{**h, "share": share_of(h, h["first"])["share"]["value"]} for h in
                       runs(results, model)[0]["evaluation"]["truth"]])
    panels = []
    for title, keep in (("full table", lambda c: c["left_out"] is None),
                        ("one property left out", lambda c: c["left_out"] is not None)):
        some = labelled(results, keep)
        panels.append((title, reliability([c["confidence"] for c in some],
                                          [c["right"] for c in some])))
    scores = [method_fidelity(run) for model in models(results, True)
              for run in runs(results, model)]
    rows = [(name, float(np.mean([s[name][0] for s in scores])), min(s[name][0] for s in scores),
             max(s[name][0] for s in scores)) for name in reversed(method_order(results))]
    return {"heads.svg": draw.grid(titles, truths), "reliability.svg": draw.reliability(panels),
            "fidelity.svg": draw.bars(rows)}


def update(text, drawings):
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(before + BEGIN + "\n" + text + "\n" + END + after)
    FOLDER.mkdir(exist_ok=True)
    for name, drawing in drawings.items():
        (FOLDER / name).write_text(drawing)
