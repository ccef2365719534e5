"""Writes world/texts: class files, templates and pools in the words the captions use."""

from pathlib import Path

from world.factors import (EFFECT_WORDS, FACTORS, NUMBER_WORDS, PLACE_WORDS, POSITION_WORDS,
                           SIZE_WORDS, STYLE_WORDS, article, sentences)

TEXTS = Path(__file__).resolve().parent / "texts"

# file name -> (factor, words for a value, templates that fit them)
CLASS_FILES = {
    "objects": ("object", article, ["{}", "a picture of {}", "this is {}", "{} is shown"]),
    "categories": ("category", article, ["{}", "a picture of {}", "{} is shown"]),
    "styles": ("style", lambda v: article(STYLE_WORDS[v][1][0]), ["{}", "{} of something"]),
    "backgrounds": ("background", lambda v: PLACE_WORDS[v][1][0],
                    ["a picture of {}", "the background is {}"]),
    "positions": ("position", lambda v: POSITION_WORDS[v][0], ["something {}", "it is {}"]),
    "sizes": ("size", lambda v: SIZE_WORDS[v][0], ["something {}", "it is {}"]),
    "counts": ("count", lambda v: f"{NUMBER_WORDS[v][0]} thing{'s' if v > 1 else ''}",
               ["{}", "a picture of {}"]),
    "effects": ("effect", lambda v: EFFECT_WORDS[v][0], ["a picture {}", "it is shown {}"]),
}
BIRD_KINDS = ["water bird", "land bird"]
# factor -> how many of its sentences go into the pool, per value
POOL = {"object": 1, "category": 1, "style": 5, "background": 2, "position": 3, "size": 4,
        "count": 4, "effect": 4}


def files():
    """{file name: content} of everything in world/texts."""
    out = {}
    for name, (factor, words, templates) in CLASS_FILES.items():
        out[f"{name}.txt"] = [f"{words(value)}\t{value}" for value in FACTORS[factor]]
        out[f"{name}.templates.txt"] = templates
    out["birds.txt"] = [f"{article(kind)}\t{kind}" for kind in BIRD_KINDS]
    out["birds.templates.txt"] = CLASS_FILES["categories"][2]
    pool, table = [], []
    for factor, values in FACTORS.items():
        for value in values:
            texts = sentences(factor, value)
            if factor == "object":  # "a picture of a duck" rather than the bare name
                texts = texts[1:]
            pool += [f"{text}\t{factor}" for text in texts[:POOL[factor]]]
            table.append(f"{texts[0]}\t{factor}")
    out["phrases.txt"] = pool
    out["properties.txt"] = table
    return {name: "\n".join(lines) + "\n" for name, lines in out.items()}


def build():
    """Writes the files and removes any other text file from the folder."""
    TEXTS.mkdir(exist_ok=True)
    wanted = files()
    for path in TEXTS.glob("*.txt"):
        if path.name not in wanted:
            path.unlink()
    for name, content in wanted.items():
        (TEXTS / name).write_text(content, encoding="utf-8")
