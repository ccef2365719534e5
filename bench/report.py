#!/usr/bin/env python3
"""The figures of build/bench.json as Markdown.

    python bench/report.py build/bench.json            prints them
    python bench/report.py build/bench.json --update   puts them into docs/speed.md
"""

from __future__ import annotations

import json
import pathlib
import statistics
import sys

from common import ROOT, ratio

PAGE = ROOT / "docs" / "speed.md"
BEGIN, END = "<!-- figures: bench/report.py --update -->\n", "<!-- end of figures -->\n"
NAMES = {"cliplens": "cliplens", "torch": "PyTorch", "openvino": "OpenVINO"}
QUIET = 0.05  # of the machine, taken by other programs


def table(head: list[str], rows: list[list[str]]) -> str:
    numbers = "|---" + "|---:" * (len(head) - 1) + "|"
    return "\n".join([f"| {' | '.join(head)} |", numbers,
                      *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def spread(slower, faster) -> str:
    middle, least, most = ratio(slower, faster)
    return f"{middle:.2f} ({least:.2f}–{most:.2f})"


def per_second(items: int, seconds: list[float]) -> str:
    value = items / statistics.median(seconds)
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def circumstances(section: dict) -> str:
    m = section["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    text = (f"{m['processor']}, {m['threads']} threads, {', '.join(m['vectors'])}, "
            f"{m['memory_gib']} GiB; cliplens {m['cliplens']}, {versions}, Python {m['python']}; "
            f"{section['date']}. Other programs took {100 * section['others']:.0f} % of the machine.")
    if section["others"] > QUIET:
        text += " **Measured on a busy machine: figures of a rehearsal.**"
    if section.get("quick"):
        text += " **Two rounds only: figures of a rehearsal.**"
    return f"`{section['command']}`\n\n{text}\n"


def towers(section: dict, title: str = "Towers") -> str:
    out = [f"### {title}\n", circumstances(section)]
    cells = section["cells"]
    for task, heading in (("image", "Image tower, pictures a second"),
                        ("text", "Text tower, texts a second")):
        rows = []
        for c in cells:
            if c["task"] != task:
                continue
            s = c["seconds"]
            ours = s.get("cliplens")
            row = [f"{c['model']} {c['precision']}", str(c["batch"]), str(c["threads"])]
            row += [per_second(c["batch"], s[n]) if n in s else "–" for n in NAMES]
            row += [spread(s[n], ours) if ours and n in s else "–" for n in ("torch", "openvino")]
            if task == "text":
                share = c["tokens"] / c["tokens_padded"]
                row += [f"{c['tokens'] / c['batch']:.1f}"]
                row += [f"{ratio(s[n], ours)[0] * share:.2f}" if ours and n in s else "–"
                        for n in ("torch", "openvino")]
            if "flops_per_second" in c:
                reached = c["flops_per_second"] / c["matmul_flops_per_second"]
                row += [f"{c['flops_per_second'] / 1e9:.0f}", f"{100 * reached:.0f} %"]
            else:
                row += ["–", "–"]
            rows.append(row)
        if rows:
            head = ["model", "batch", "threads", *NAMES.values(), "against PyTorch",
                    "against OpenVINO"]
            if task == "text":
                head += ["tokens a text", "PyTorch, per token", "OpenVINO, per token"]
            head += ["GFLOP/s", "of the products' rate"]
            out += [f"**{heading}**\n", table(head, rows)]
    for task, heading, column in (
            ("decompose", "The image pass with the factors of every head, fp32", "with factors"),
            ("maps", "The image pass with a text's score split over heads and tokens, fp32", "with maps")):
        rows = [[c["model"], str(c["batch"]), str(c["threads"]),
                 per_second(c["batch"], c["seconds"]["image"]),
                 per_second(c["batch"], c["seconds"][task]),
                 spread(c["seconds"]["image"], c["seconds"][task])]
                for c in cells if c["task"] == task]
        if rows:
            out += [f"**{heading}**\n",
                    table(["model", "batch", "threads", "plain", column, "ratio"], rows)]
    rates = [f"{r['flops_per_second'] / 1e9:.0f} GFLOP/s (width {r['width']}, {r['threads']} "
             f"threads, {r['precision']})" for r in section["matmul"]]
    out.append(f"Rate of the matrix product: {', '.join(rates)}.\n")
    if section["left_out"]:
        names = ", ".join(f"{c['model']} {c['task']} {c['precision']} batch {c['batch']} threads "
                          f"{c['threads']}" for c in section["left_out"])
        out.append(f"Left out for want of time: {names}.\n")
    return "\n".join(out)


def siglip(section: dict) -> str:
    return towers(section, "Towers of SigLIP")


def reference(section: dict) -> str:
    s = section["seconds"]
    names = {"paper": "the paper's way: [B, N, N, H, D] in each block",
             "contributions": "cliplens, contributions written out [B, L, H, N, E]",
             "decompose": "cliplens, factors as `decompose` stores them"}
    rows = [[names.get(task, f"cliplens, {task}"), per_second(1, s[task]), spread(s["paper"], s[task])]
            for task in s]
    return "\n".join([
        "### Against the paper's way\n", circumstances(section),
        f"{section['model']}, batch {section['batch']} where not said otherwise, {section['threads']} "
        f"threads, fp32. The contributions "
        f"differ by {section['difference']:.1e} at most (of unit embeddings).\n",
        table(["all heads and tokens", "pictures a second", "ratio"], rows)])


def decompose(section: dict) -> str:
    titles = {"small": "shipped model, shipped pictures", "compute": "ViT-B/32, shipped pictures",
              "decode": "shipped model, JPEGs of 3000 × 2000",
              "segmentation": "shipped model, pictures with masks",
              "segmentation-b16": "ViT-B/16, pictures with masks",
              "edit, six heads": "ViT-B/16, an edit of six heads",
              "edit, recipe": "ViT-B/16, the edit of the paper's recipe"}
    rows = []
    for c in section["cases"]:
        r = c["ratios"]
        rows.append([titles[c["case"]], str(c["images"]), f"`{c['verb']}`",
                     f"{c['rate']['embed']:.1f}", f"{c['rate'][c['verb']]:.1f}",
                     f"{statistics.median(r['wall']):.3f} "
                     f"({min(r['wall']):.3f}–{max(r['wall']):.3f})",
                     f"{statistics.median(r['cpu']):.3f}"])
    out = ["### Whole program\n", circumstances(section),
           table(["case", "pictures", "verb", "embed, a second", "verb, a second", "ratio",
                  "by processor time"], rows)]
    if section["memory"]:
        out.append(table(["peak memory", "pictures", "MiB", "on disk, MiB"],
                         [[m["kind"], f"{m['images']:,}", f"{m['peak'] / 2**20:.1f}",
                           f"{m['disk'] / 2**20:.1f}"]
                          for m in section["memory"]]))
    return "\n".join(out)


def analysis(section: dict) -> str:
    rows = []
    cases = section["cases"]
    if "text-span" in cases:
        c = cases["text-span"]
        rows += [[f"TextSpan, {c['heads']} heads, {c['texts']:,} texts, {c['count']} each, from moments "
                  f"of {c['images']:,} pictures", f"{c['seconds']:.1f} s"],
                 [f"one head of these, {c['count']} texts", f"{c['of_one']:.3f} s"],
                 [f"the same head by the paper's procedure (fp64, NumPy), {c['same']} texts, the same",
                  f"{c['reference_seconds']:.1f} s"]]
    if "labels" in cases:
        c = cases["labels"]
        rows += [[f"labels, {c['heads']} heads, {c['images']:,} pictures, {c['texts']:,} texts in "
                  f"{c['properties']} properties", f"{c['seconds']:.1f} s"]]
    if "search" in cases:
        c = cases["search"]
        rows += [[f"search, {c['images']:,} pictures, one head of 64: a query of the index", f"{c['query']:.3f} s"],
                 ["the same with the reading of the index first", f"{c['read'] + c['query']:.2f} s"],
                 [f"making the index ({c['bytes'] / 2**20:.0f} MiB)", f"{c['write']:.1f} s"],
                 ["without an index, in the store: by cosine", f"{c['cosine']:.2f} s"],
                 ["without an index, in the store: raw dot products", f"{c['raw']:.2f} s"]]
    for name, c in cases.get("heat-maps", {}).items():
        rows += [[f"heat maps of {c['texts']} texts on one picture, {name}, and its plain pass",
                  f"{1e3 * c['maps']:.1f}, {1e3 * c['plain']:.1f} ms: {c['ratio']:.3f} of it"]]
    if "pursuit" in cases:
        c = cases["pursuit"]
        rows += [[f"matching pursuit, {c['targets']:,} directions of {c['width']} numbers, {c['texts']:,} "
                  f"texts, {c['count']} each", f"{c['seconds']:.1f} s"],
                 ["the same, over the plain products of as many operations: processor time",
                  f"{c['cpu'] / c['plain_cpu']:.2f}"],
                 ["one of these paths by the definition (fp64, NumPy)",
                  f"{c['reference_seconds']:.1f} s"]]
    if "statistics" in cases:
        c = cases["statistics"]
        rows += [[f"statistics of {n:,} pictures (6 × 6 heads of 32): peak memory, on disk",
                  f"{peak / 2**20:.1f}, {disk / 2**20:.1f} MiB"]
                 for (n, peak), (_, disk) in zip(c["peaks"], c["disk"])]
        rows += [[f"{c['parts']} parts merged against one pass",
                  "the same to the bit" if not c["difference"] else c["difference"]]]
    return "\n".join(["### Analyses\n", circumstances(section),
                      "Generated factors; the analyses of an L/14 (24 × 16 heads of 64, E = 768).\n",
                      table(["what", "measured"], rows)])


def main():
    update = "--update" in sys.argv
    files = [a for a in sys.argv[1:] if a != "--update"]
    if len(files) != 1:
        sys.exit(__doc__)
    results = json.loads(pathlib.Path(files[0]).read_text())
    parts = dict(towers=towers, siglip=siglip, reference=reference, decompose=decompose, analysis=analysis)
    text = "\n".join(make(results[name]) for name, make in parts.items() if name in results)
    if not update:
        print(text)
        return
    page = PAGE.read_text()
    head, rest = page.split(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
