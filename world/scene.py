"""Draws pictures of the picture world. A picture depends only on (set name, seed, index)."""

import functools
import hashlib
from pathlib import Path

import numpy as np

from world import assets
from world.backgrounds import BACKGROUNDS, LAND, SIDE, VARIANTS, WATER, kind_of
from world.factors import COUNTS, EFFECTS, POSITIONS, SIZES, STYLES, write_caption
from world.objects import CATEGORIES, CATEGORY_OF, OBJECTS

SETS = ["train", "test", "heldout", "birds", "single"]
WATER_BIRDS = [row[0] for row in CATEGORIES["water bird"]]
LAND_BIRDS = [row[0] for row in CATEGORIES["land bird"]]

TWO_OBJECTS = 0.2   # share of pictures with two different objects
NO_EFFECT = 0.55    # share of pictures without an effect; the others share the rest
# Copies stand in a block, and only tiny and small ones leave room for it. The weights keep the
# sizes nearly level: 4, 4, 3 and 3 of 14.
COUNT_AND_SIZE = ([(1, "tiny"), (1, "small")] + 3 * [(1, "large"), (1, "huge")]
                  + [(count, size) for count in (2, 3, 4) for size in ("tiny", "small")])
# What `World.counterpart` changes.
CHANGES = {"object": OBJECTS, "style": STYLES, "background": BACKGROUNDS, "position": POSITIONS,
           "size": SIZES, "count": COUNTS, "effect": EFFECTS}
# Left or top edge of a block of this length for the three columns or rows, all on the patch grid.
ANCHORS = {20: (0, 30, 60), 30: (0, 20, 50), 40: (0, 20, 40), 60: (0, 10, 20)}


class WorldError(RuntimeError):
    """The world's assets are missing or old; the message says what to do."""


class Draw:
    """Random numbers from a counter-based generator keyed by (set name, seed, index)."""

    def __init__(self, stream, seed, index):
        key = [stream, (seed & 0xFFFFFFFF) << 32 | (index & 0xFFFFFFFF)]
        self._bits = np.random.Philox(key=np.array(key, dtype=np.uint64))
        self._block = []

    def real(self):
        """A number in [0, 1) with 53 random bits."""
        if not self._block:
            self._block = (self._bits.random_raw(48) >> np.uint64(11)).tolist()
        return self._block.pop() * 2.0 ** -53

    def chance(self, odds):
        return self.real() < odds

    def below(self, n):
        return min(n - 1, int(self.real() * n))

    def pick(self, values):
        return values[self.below(len(values))]


class Picture:
    """One picture: image, mask, factors, caption and the facts that the caption states."""

    __slots__ = ("image", "mask", "factors", "caption", "caption_facts")

    def __init__(self, image, mask, factors, caption, caption_facts):
        self.image = image
        self.mask = mask
        self.factors = factors
        self.caption = caption
        self.caption_facts = caption_facts


@functools.lru_cache(maxsize=None)
def stream_of(name):
    """The 64-bit key of a named stream of random numbers."""
    return int.from_bytes(hashlib.sha256(f"picture world/{name}".encode()).digest()[:8], "little")


@functools.lru_cache(maxsize=4096)
def deck(name, seed, round_, length):
    """A shuffled range(length): dealing decks in turn gives every value equally often."""
    draw = Draw(stream_of(f"deck/{name}/{length}"), seed, round_)
    order = list(range(length))
    for i in range(length - 1, 0, -1):
        j = draw.below(i + 1)
        order[i], order[j] = order[j], order[i]
    return order


def deal(name, seed, index, values):
    """The value for picture `index` from the decks of the stream `name`."""
    return values[deck(name, seed, index // len(values), len(values))[index % len(values)]]


def held_out_pairs():
    """A tenth of all (object, style) pairs: every other object lacks one style, styles in turn."""
    order = deck("held out", 0, 0, len(OBJECTS))
    count = len(OBJECTS) * len(STYLES) // 10
    return {(OBJECTS[o], STYLES[i % len(STYLES)]) for i, o in enumerate(order[:count])}


def block_cells(count, side, draw):
    """Offsets of `count` sprites of `side` in a block, and the block's width and height."""
    if count == 1:
        return [(0, 0)], side, side
    if count == 2:
        if draw.chance(0.5):
            return [(0, 0), (side, 0)], 2 * side, side
        return [(0, 0), (0, side)], side, 2 * side
    cells = [(0, 0), (side, 0), (0, side), (side, side)]
    if count == 3:
        cells.pop(draw.below(4))
    return cells, 2 * side, 2 * side


class World:
    """The sprites and backgrounds in memory; `picture` draws."""

    def __init__(self, sprites, backgrounds):
        self._sprites = sprites
        self._backgrounds = backgrounds
        self.heldout = held_out_pairs()
        self._cut = {}

    @classmethod
    def load(cls):
        """Loads world/assets; raises WorldError when they are missing or out of date."""
        if not assets.is_current():
            raise WorldError(f"{Path('world') / 'assets'} is missing or out of date: run "
                             "`make world`")
        with np.load(assets.ASSETS / "sprites.npz") as data:
            sprites = {size: data[size] for size in SIZES}
        return cls(sprites, np.load(assets.ASSETS / "backgrounds.npy"))

    def sprite(self, name, style, size):
        """(premultiplied colour uint16, 255 - alpha uint16, alpha >= half) of one sprite."""
        key = (name, style, size)
        cut = self._cut.get(key)
        if cut is None:
            rgba = self._sprites[size][STYLES.index(style), OBJECTS.index(name)]
            alpha = rgba[..., 3]
            cut = (rgba[..., :3].astype(np.uint16), 255 - alpha[..., None].astype(np.uint16),
                   alpha >= 128)
            self._cut[key] = cut
        return cut

    def picture(self, set_name, seed, index, easy=0.0, agreement=None):
        """Picture `index` of a set.

        easy: chance (0..1) that the picture shows one large or huge object in the middle, without
        an effect. agreement: chance that a bird stands on its own kind of place (set "birds"; 0.5
        where not given).
        """
        if set_name not in SETS:
            raise WorldError(f"no set {set_name!r}; there are {', '.join(SETS)}")
        draw = Draw(stream_of(set_name), seed, index)
        factors = self._factors(set_name, seed, index, draw, easy, agreement)
        return self._finish(factors, draw)

    def counterpart(self, seed, index, factor):
        """Picture `index` of the set "test" with one factor changed and all else the same.

        The random numbers are the picture's own, so the variant of the background and the shape of
        a block stay where the factor leaves them. `factor` is one of CHANGES; the category follows
        a changed object, the kind of place a changed background.

        Returns (Picture, odds), or None where no other value goes with the picture: it has a
        second object, or its size leaves room for one count only. odds: the probability that the
        factor, drawn again given all the others, takes another value. Then half the mean over
        pictures of odds · |f(picture) − f(counterpart)|² is the expected variance of f given all
        the other factors.
        """
        draw = Draw(stream_of("test"), seed, index)
        factors = self._factors("test", seed, index, draw, 0.0, None)
        if factors["object2"] is not None:
            return None
        values = self._values(factors, factor)
        others = [(value, weight) for value, weight in values if value != factors[factor]]
        if not others:
            return None
        weight = sum(weight for _, weight in others)
        spot = weight * Draw(stream_of(f"change/{factor}"), seed, index).real()
        for value, part in others:
            spot -= part
            if spot < 0:
                break
        factors[factor] = value
        factors["category"] = CATEGORY_OF[factors["object"]]
        factors["place"] = kind_of(factors["background"])
        return self._finish(factors, draw), weight / sum(part for _, part in values)

    def _values(self, factors, factor):
        """[(value, weight)] that a factor can take in the set "test", given all the others."""
        if factor == "object":
            # A style that an object lacks is dealt to its other styles, so these weigh more.
            def styles(name):
                return sum((name, style) not in self.heldout for style in STYLES)
            return [(name, 1 / styles(name)) for name in OBJECTS
                    if (name, factors["style"]) not in self.heldout]
        if factor == "style":
            return [(style, 1) for style in STYLES
                    if (factors["object"], style) not in self.heldout]
        other = {"count": "size", "size": "count"}.get(factor)
        if other:
            weights = {}
            for count, size in COUNT_AND_SIZE:
                pair = {"count": count, "size": size}
                if pair[other] == factors[other]:
                    weights[pair[factor]] = (weights.get(pair[factor], 0)
                                             + self._single_odds(count, size))
            return list(weights.items())
        try:
            return [(value, 1) for value in CHANGES[factor]]
        except KeyError:
            raise WorldError(f"no factor {factor!r} to change; there are {', '.join(CHANGES)}")

    def _single_odds(self, count, size):
        """Odds that a picture has no second object."""
        return 1 - self._two_odds() if count == 1 and size != "huge" else 1

    def _finish(self, factors, draw):
        image, mask = self._paint(factors, draw)
        caption, facts = write_caption(factors, draw)
        return Picture(image, mask, factors, caption, facts)

    def plain(self, name, style, background):
        """A huge `name` in the middle of a background, uint8 [80, 80, 3]: one sprite to look at."""
        image = self._backgrounds[BACKGROUNDS.index(background), 0].copy()
        mask = np.zeros((SIDE, SIDE), np.uint8)
        self._place(image, mask, (name, style, "huge"), *ANCHORS[60][1:2] * 2, 1)
        return image

    def _factors(self, set_name, seed, index, draw, easy, agreement):
        balanced = set_name == "test"

        def value(name, values):
            return deal(f"{set_name}/{name}", seed, index, values) if balanced else draw.pick(values)

        name, style = value("object", OBJECTS), value("style", STYLES)
        background = value("background", BACKGROUNDS)
        position = value("position", POSITIONS)
        count, size = value("count and size", COUNT_AND_SIZE)
        if balanced:
            effect = value("effect", EFFECTS)
        else:
            effect = "none" if draw.chance(NO_EFFECT) else draw.pick(EFFECTS[1:])
        two = count == 1 and size != "huge" and draw.chance(self._two_odds())
        extra = {}

        if set_name == "heldout":
            name, style = deal("heldout/pair", seed, index, sorted(self.heldout))
            two = False
        elif set_name == "single":
            two, count = False, 1
            size = draw.pick(SIZES[1:])
        elif set_name == "birds":
            two, count, effect = False, 1, "none"
            size = draw.pick(SIZES[2:])
            water_bird = deal("birds/kind", seed, index, [True, False])
            name = draw.pick(WATER_BIRDS if water_bird else LAND_BIRDS)
            agrees = draw.chance(0.5 if agreement is None else agreement)
            if agreement is None:  # every group equally often
                agrees = deal("birds/agrees", seed, index // 2, [True, False])
            water_place = water_bird == agrees
            background = draw.pick(WATER if water_place else LAND)
            extra = {"bird_kind": "water bird" if water_bird else "land bird",
                     "place_kind": "water" if water_place else "land"}
        if easy > 0 and draw.chance(easy):
            count, two, position, effect = 1, False, "middle", "none"
            size = draw.pick(SIZES[2:])

        name2 = None
        if two:
            name2 = OBJECTS[(OBJECTS.index(name) + 1 + draw.below(len(OBJECTS) - 1))
                            % len(OBJECTS)]
        if set_name != "heldout":
            # The picture keeps its objects and takes another style.
            while (name, style) in self.heldout or (name2, style) in self.heldout:
                style = draw.pick(STYLES)
        return {"object": name, "object2": name2, "category": CATEGORY_OF[name], "style": style,
                "background": background, "place": kind_of(background), "position": position,
                "size": size, "count": count, "effect": effect, **extra}

    @staticmethod
    @functools.lru_cache(maxsize=None)
    def _two_odds():
        """Odds where two objects fit, so that TWO_OBJECTS of all pictures have two."""
        fits = sum(count == 1 and size != "huge" for count, size in COUNT_AND_SIZE)
        return TWO_OBJECTS * len(COUNT_AND_SIZE) / fits

    def _paint(self, factors, draw):
        tile = self._backgrounds[BACKGROUNDS.index(factors["background"]), draw.below(VARIANTS)]
        image, mask = tile.copy(), np.zeros((SIDE, SIDE), np.uint8)
        side = assets.SIDES[factors["size"]]
        row, column = divmod(POSITIONS.index(factors["position"]), 3)
        cells, width, height = block_cells(factors["count"], side, draw)
        left, top = ANCHORS[width][column], ANCHORS[height][row]
        style = factors["style"]
        for dx, dy in cells:
            self._place(image, mask, (factors["object"], style, factors["size"]), left + dx,
                        top + dy, 1)
        if factors["object2"] is not None:
            size2, left2, top2 = draw.pick(free_places(left, top, side))
            self._place(image, mask, (factors["object2"], style, size2), left2, top2, 2)
        return apply_effect(factors["effect"], image), mask

    def _place(self, image, mask, key, left, top, label):
        colour, through, inside = self.sprite(*key)
        side = colour.shape[0]
        spot = image[top:top + side, left:left + side]
        spot[:] = colour + (spot * through + 127) // 255
        mask[top:top + side, left:left + side][inside] = label


@functools.lru_cache(maxsize=None)
def free_places(left, top, side):
    """Where a second object fits beside a first: [(size, left, top)], no overlap.

    Its size is the first's where one fits, else the largest that does.
    """
    for size in ("large", "small", "tiny"):
        other = assets.SIDES[size]
        if other > side:
            continue
        found = [(size, x, y) for x in ANCHORS[other] for y in ANCHORS[other]
                 if x + other <= left or left + side <= x or y + other <= top or top + side <= y]
        if found:
            return found
    raise WorldError(f"no room beside a {side}-pixel object at ({left}, {top})")


_LUMA = np.array([77, 150, 29], np.uint16)  # of 256
_SEPIA = np.stack([np.clip(np.arange(256) * gain + lift, 0, 255).astype(np.uint8)
                   for gain, lift in ((0.90, 40), (0.78, 18), (0.60, 0))], axis=1)
_BLUE = np.stack([np.clip(np.arange(256) * gain + lift, 0, 255).astype(np.uint8)
                  for gain, lift in ((0.35, 0), (0.55, 10), (0.65, 90))], axis=1)


def apply_effect(effect, image):
    """The picture under an effect, uint8 [80, 80, 3]."""
    if effect == "none":
        return image
    if effect == "blue":
        return np.stack([_BLUE[image[..., c], c] for c in range(3)], axis=2)
    if effect == "lines":
        image[1::4] >>= 2
        return image
    grey = ((image * _LUMA).sum(axis=2, dtype=np.uint16) >> 8).astype(np.uint8)
    if effect == "black and white":
        return np.repeat(grey[..., None], 3, axis=2)
    return _SEPIA[grey]


