"""Factors of the picture world, the words for their values, and when a caption is true."""

from world.backgrounds import BACKGROUNDS, COLOURS
from world.objects import CATEGORIES, CATEGORY_OF, OBJECTS, OTHER_NAMES, PLURAL

STYLES = ["cartoon", "neon", "flat", "sketch", "stamp"]
POSITIONS = ["top left", "top", "top right", "left", "middle", "right", "bottom left", "bottom",
             "bottom right"]
SIZES = ["tiny", "small", "large", "huge"]
COUNTS = [1, 2, 3, 4]
EFFECTS = ["none", "black and white", "sepia", "blue", "lines"]

FACTORS = {
    "object": list(OBJECTS),
    "category": list(CATEGORIES),
    "style": STYLES,
    "background": list(BACKGROUNDS),
    "position": POSITIONS,
    "size": SIZES,
    "count": COUNTS,
    "effect": EFFECTS,
}

NUMBER_WORDS = {1: ["one", "a single"], 2: ["two", "a pair of"], 3: ["three"], 4: ["four"]}

# style -> (adjectives, nouns: "a NOUN of a duck")
STYLE_WORDS = {
    "cartoon": (["cartoon", "comic"], ["cartoon", "comic drawing"]),
    "neon": (["neon", "glowing"], ["neon sign", "glowing picture"]),
    "flat": (["flat", "simple"], ["flat picture", "flat drawing"]),
    "sketch": (["sketched", "hand drawn"], ["sketch", "pencil sketch"]),
    "stamp": (["stamped", "red ink"], ["stamp", "red ink stamp"]),
}

SIZE_WORDS = {
    "tiny": ["tiny", "very small"],
    "small": ["small", "little"],
    "large": ["large", "big"],
    "huge": ["huge", "giant"],
}

POSITION_WORDS = {
    "top left": ["in the top left corner", "at the top left"],
    "top": ["at the top", "in the top middle"],
    "top right": ["in the top right corner", "at the top right"],
    "left": ["on the left", "at the left side"],
    "middle": ["in the middle", "in the center"],
    "right": ["on the right", "at the right side"],
    "bottom left": ["in the bottom left corner", "at the bottom left"],
    "bottom": ["at the bottom", "in the bottom middle"],
    "bottom right": ["in the bottom right corner", "at the bottom right"],
}

# background -> (phrases after an object, nouns: "a picture of NOUN")
PLACE_WORDS = {
    "sea": (["on the sea", "in the ocean"], ["the sea", "ocean waves"]),
    "lake": (["on a lake", "by the pond"], ["a lake", "a pond"]),
    "underwater": (["under water", "deep underwater"], ["an underwater scene", "the deep water"]),
    "grass": (["on the grass", "in a meadow"], ["grass", "a green meadow"]),
    "forest": (["in the forest", "among the trees"], ["a forest", "dark woods"]),
    "desert": (["in the desert", "on the sand"], ["a desert", "sand dunes"]),
    "snow": (["in the snow", "on snowy hills"], ["snow", "snowy hills"]),
    "sky": (["in the sky", "among the clouds"], ["a blue sky", "the sky with clouds"]),
    "night": (["at night", "under the stars"], ["a night sky", "stars at night"]),
    "sunset": (["at sunset", "in the evening sun"], ["a sunset", "an evening sky"]),
    "bricks": (["in front of a brick wall", "on bricks"], ["a brick wall", "bricks"]),
    "planks": (["on wooden planks", "on wood"], ["wooden planks", "wood"]),
    "stones": (["on stones", "in front of a stone wall"], ["stones", "a stone wall"]),
    "city": (["in the city", "in front of tall houses"], ["a city", "a city skyline"]),
    "lava": (["on lava", "above hot lava"], ["lava", "hot lava"]),
    "dots": (["on a dotted background", "on dots"], ["a dotted background", "dots"]),
    "stripes": (["on a striped background", "on stripes"], ["a striped background", "stripes"]),
    "checks": (["on a checkered background", "on checks"], ["a checkered background", "checks"]),
}
for _colour in COLOURS:
    _article = "an" if _colour == "orange" else "a"
    PLACE_WORDS[_colour] = ([f"on {_article} {_colour} background", f"on plain {_colour}"],
                            [f"{_article} {_colour} background", f"a plain {_colour} surface"])

EFFECT_WORDS = {
    "none": ["in full color", "in natural colors"],
    "black and white": ["in black and white", "without color"],
    "sepia": ["in sepia", "like an old brown photo"],
    "blue": ["tinted blue", "in blue light"],
    "lines": ["with screen lines", "like on an old screen"],
}

# Names that are plural already take no article.
NO_ARTICLE = {"grapes", "french fries", "fries", "scissors", "socks", "broccoli", "corn", "maize",
              "cattle", "wine", "beer", "coffee", "clothing", "furniture", "weather", "fast food"}


def article(words):
    """`words` with "a" or "an" in front, or nothing where the name takes none."""
    if words in NO_ARTICLE:
        return words
    return ("an " if words[0] in "aeiou" and not words.startswith("ufo") else "a ") + words


def names_of(factor, value):
    """Short names of a factor's value, the usual one first."""
    if factor == "object":
        return [value, *OTHER_NAMES[value]]
    if factor == "style":
        return STYLE_WORDS[value][1]
    if factor == "background":
        return PLACE_WORDS[value][1]
    words = {"position": POSITION_WORDS, "size": SIZE_WORDS, "count": NUMBER_WORDS,
             "effect": EFFECT_WORDS}.get(factor)
    return [value] if words is None else words[value]


def sentences(factor, value):
    """Sentences that state one factor's value and nothing else."""
    if factor == "object":
        first = article(value)
        return [first, f"a picture of {first}", f"this is {first}", f"{first} is shown",
                *[f"a picture of {article(name)}" for name in OTHER_NAMES[value]]]
    if factor == "category":
        first = article(value)
        return [first, f"a picture of {first}", f"some kind of {value}", f"{first} is shown"]
    if factor == "style":
        adjectives, nouns = STYLE_WORDS[value]
        return [article(nouns[0]), f"{article(nouns[1])} of something",
                f"{article(adjectives[0])} thing", f"something {adjectives[1]}",
                f"drawn in {value} style"]
    if factor == "background":
        phrases, nouns = PLACE_WORDS[value]
        return [f"something {phrases[0]}", f"something {phrases[1]}", f"a picture of {nouns[0]}",
                f"the background is {nouns[1]}"]
    if factor == "position":
        first, second = POSITION_WORDS[value]
        return [f"something {first}", f"a thing {second}", f"a picture with something {second}",
                f"it is {first}"]
    if factor == "size":
        first, second = SIZE_WORDS[value]
        return [f"something {first}", f"a {second} thing", f"a picture of something {second}",
                f"it is {first}"]
    if factor == "count":
        if value == 1:
            return ["one thing", "a single thing", "a picture of one thing", "there is one of it"]
        word = NUMBER_WORDS[value][0]
        return [f"{word} things", f"{word} of them", f"a picture of {word} things",
                f"there are {word} of it"]
    if factor == "effect":
        first, second = EFFECT_WORDS[value]
        return [f"a picture {first}", f"something {second}", f"a picture {second}",
                f"it is shown {first}"]
    raise KeyError(f"no factor {factor!r}; there are {', '.join(FACTORS)}")


def prompts(factor):
    """One list of sentences per value of `factor`, in the order of FACTORS[factor]."""
    return [sentences(factor, value) for value in FACTORS[factor]]


def true_captions(factors):
    """Every one-factor sentence that is true of a picture: [(sentence, facts)]."""
    out = []
    for factor in FACTORS:
        out += [(text, {factor: factors[factor]}) for text in sentences(factor, factors[factor])]
    if factors["object2"] is not None:
        other = factors["object2"]
        out += [(text, {"object": other}) for text in sentences("object", other)]
        category = CATEGORY_OF[other]
        out += [(text, {"category": category}) for text in sentences("category", category)]
    return out


# Facts about the first object alone: a caption that has one of them cannot speak of the second.
_FIRST_ONLY = ("position", "size", "count")
_SHARED = ("style", "background", "effect")


def caption_matches(facts, factors):
    """Whether a caption that states `facts` is true of a picture with `factors`.

    A caption that only names an object (or category) is true where either object fits. One that
    says where the object is, how large or how many is true only of the first object.
    """
    if any(facts[key] != factors[key] for key in _SHARED if key in facts):
        return False
    if any(facts[key] != factors[key] for key in _FIRST_ONLY if key in facts):
        return False
    first, second = factors["object"], factors["object2"]
    orders = [(first, second)]
    if second is not None and not any(key in facts for key in _FIRST_ONLY):
        orders.append((second, first))
    for one, other in orders:
        if "object" in facts and facts["object"] != one:
            continue
        if "category" in facts and facts["category"] != CATEGORY_OF[one]:
            continue
        if facts.get("object2") is not None and facts["object2"] != other:
            continue
        return True
    return False


# How often a caption states each factor, and the odds of naming only the category.
_STATE = {"style": 0.5, "background": 0.55, "position": 0.4, "size": 0.4}
_CATEGORY_ONLY, _NO_OBJECT, _EFFECT, _NO_EFFECT, _COUNT_ONE = 0.1, 0.06, 0.7, 0.12, 0.2


def write_caption(factors, draw):
    """A caption of a picture: (text, facts). `draw` gives chance(p) and pick(list)."""
    count = factors["count"]
    facts = {key: factors[key] for key, odds in _STATE.items() if draw.chance(odds)}
    if draw.chance(_EFFECT if factors["effect"] != "none" else _NO_EFFECT):
        facts["effect"] = factors["effect"]
    if count > 1 or (factors["object2"] is None and draw.chance(_COUNT_ONE)):
        facts["count"] = count
    whole = draw.chance(1 - _NO_OBJECT) or not facts
    if not whole:
        name, plural = "thing", "things"
    elif draw.chance(_CATEGORY_ONLY):
        name = facts["category"] = factors["category"]
        plural = name + "s"
        if name in ("fast food", "furniture", "clothing", "weather"):
            plural = name + " things"
    else:
        facts["object"] = factors["object"]
        name = draw.pick(names_of("object", factors["object"]))
        plural = PLURAL[factors["object"]]

    adjectives = []
    if "size" in facts:
        adjectives.append(draw.pick(SIZE_WORDS[facts["size"]]))
    style_noun = None
    if "style" in facts:
        words, nouns = STYLE_WORDS[facts["style"]]
        if draw.chance(0.5):
            adjectives.insert(0 if draw.chance(0.5) else len(adjectives), draw.pick(words))
        else:
            style_noun = draw.pick(nouns)
    if count > 1:
        number = draw.pick(NUMBER_WORDS[count])
        subject = " ".join([number, *adjectives, plural])
    elif "count" in facts and name not in NO_ARTICLE:
        subject = " ".join([draw.pick(NUMBER_WORDS[1]), *adjectives, name])
    else:
        facts.pop("count", None)
        subject = article(" ".join([*adjectives, name]))
        if name in NO_ARTICLE:
            subject = " ".join([*adjectives, name])

    position = draw.pick(POSITION_WORDS[facts["position"]]) if "position" in facts else None
    second = None
    if factors["object2"] is not None and "object" in facts and draw.chance(0.75):
        facts["object2"] = factors["object2"]
        second = article(draw.pick(names_of("object", factors["object2"])))

    if position is not None and second is not None:
        subject, position = f"{subject} {position}", None
    if second is not None:
        subject = f"{subject} and {second}"
    if style_noun is not None:
        subject = f"{article(style_noun)} of {subject}"
    elif draw.chance(0.25):
        subject = f"{draw.pick(['a picture of', 'this is', 'we see'])} {subject}"

    tail = []
    if position is not None:
        tail.append(position)
    if "background" in facts:
        tail.append(draw.pick(PLACE_WORDS[facts["background"]][0]))
    if "effect" in facts:
        tail.append(draw.pick(EFFECT_WORDS[facts["effect"]]))
    if len(tail) > 1 and draw.chance(0.4):
        tail.reverse()
    if tail and draw.chance(0.15):
        front = tail.pop()
        return " ".join([front, subject, *tail]), facts
    return " ".join([subject, *tail]), facts
