"""Backgrounds of the picture world: eleven plain colours, three patterns and fifteen places.

Every background has VARIANTS drawings that differ in shade and detail. They are drawn without
anti-aliasing and with few colours, so that PNG files of the pictures stay small.
"""

import random

import numpy as np
from PIL import Image, ImageDraw

SIDE = 80
VARIANTS = 32

COLOURS = {
    "red": (214, 40, 40), "orange": (245, 138, 32), "yellow": (250, 218, 60),
    "green": (60, 170, 72), "cyan": (72, 214, 222), "blue": (36, 84, 206),
    "purple": (118, 48, 160), "pink": (250, 160, 200), "brown": (116, 72, 40),
    "black": (16, 16, 18), "white": (250, 250, 250),
}
WATER = ["sea", "lake", "underwater"]
LAND = ["grass", "forest", "desert"]
PLACES = WATER + LAND + ["snow", "sky", "night", "sunset", "bricks", "planks", "stones", "city",
                         "lava"]
PATTERNS = ["dots", "stripes", "checks"]
BACKGROUNDS = PLACES + PATTERNS + list(COLOURS)


def kind_of(background):
    """'place', 'pattern' or 'colour'."""
    if background in COLOURS:
        return "colour"
    return "pattern" if background in PATTERNS else "place"


def shade(rng, colour, spread=10):
    step = rng.randint(-spread, spread)
    return tuple(max(0, min(255, c + step)) for c in colour)


def draw_background(name, variant):
    """Variant `variant` of a background, uint8 [80, 80, 3]."""
    rng = random.Random(f"{name}/{variant}")
    if name in COLOURS:
        return np.full((SIDE, SIDE, 3), shade(rng, COLOURS[name], 6), np.uint8)
    image = Image.new("RGB", (SIDE, SIDE))
    PAINTERS[name](image, ImageDraw.Draw(image), rng)
    return np.asarray(image, dtype=np.uint8).copy()


def fill(draw, colour, top=0, bottom=SIDE):
    draw.rectangle((0, top, SIDE, bottom), fill=colour)


def sea(image, draw, rng):
    fill(draw, shade(rng, (30, 110, 190)))
    crest = shade(rng, (190, 226, 250))
    shift = rng.randrange(20)
    for row, y in enumerate(range(6 + rng.randrange(4), SIDE, 12)):
        for x in range(-20 + (shift + 10 * row) % 20, SIDE, 20):
            draw.arc((x, y - 5, x + 10, y + 4), 0, 180, fill=crest, width=2)
            draw.arc((x + 10, y - 5, x + 20, y + 4), 0, 180, fill=crest, width=2)


def lake(image, draw, rng):
    fill(draw, shade(rng, (122, 186, 90)))
    top = rng.randint(14, 24)
    draw.ellipse((-14, top, SIDE + 14, SIDE + 20), fill=shade(rng, (226, 206, 140)))
    draw.ellipse((-9, top + 4, SIDE + 9, SIDE + 24), fill=shade(rng, (96, 178, 214)))
    for _ in range(7):
        x, y = rng.randint(0, 70), rng.randint(top + 12, 78)
        draw.line((x, y, x + rng.randint(6, 14), y), fill=(190, 228, 244))
    for _ in range(8):
        x = rng.randint(0, 79)
        draw.line((x, top + 6, x, top - 6), fill=(60, 110, 40), width=2)


def underwater(image, draw, rng):
    for band in range(4):
        fill(draw, shade(rng, (8, 140 - 26 * band, 150 - 18 * band), 4), 20 * band, 20 * band + 20)
    for _ in range(7):
        x, y, r = rng.randint(2, 78), rng.randint(2, 66), rng.randint(2, 4)
        draw.ellipse((x - r, y - r, x + r, y + r), outline=(186, 240, 240))
    for x in range(rng.randint(0, 8), SIDE, 13):
        for y in range(80, rng.randint(44, 62), -6):
            draw.arc((x - 3, y - 6, x + 3, y), 90 if y % 12 else 270, 270 if y % 12 else 90,
                     fill=(20, 200, 110), width=2)


def grass(image, draw, rng):
    fill(draw, shade(rng, (104, 180, 54)))
    for y in range(4, 86, 9):
        for x in range(rng.randint(0, 5), SIDE, 7):
            lean = rng.choice((-2, 0, 2))
            draw.line((x, y, x + lean, y - 6), fill=(52, 124, 30))


def forest(image, draw, rng):
    fill(draw, shade(rng, (24, 64, 36), 6))
    for x in range(rng.randint(-4, 2), SIDE, 14):
        draw.rectangle((x + 4, 0, x + 8, SIDE), fill=(70, 46, 28))
        for y in range(rng.randint(-6, 4), SIDE, 20):
            draw.polygon([(x + 6, y), (x - 1, y + 15), (x + 13, y + 15)],
                         fill=shade(rng, (34, 112, 56), 8))


def desert(image, draw, rng):
    fill(draw, shade(rng, (250, 222, 160), 6))
    for step, base in enumerate((24, 44, 62)):
        x = rng.randint(-30, 10)
        tone = (232 - 16 * step, 184 - 18 * step, 104 - 12 * step)
        draw.ellipse((x - 30, base + rng.randint(-4, 4), x + 74, base + 90), fill=tone)
        tone = (222 - 16 * step, 172 - 18 * step, 92 - 12 * step)
        draw.ellipse((x + 36, base + 4, x + 150, base + 90), fill=tone)


def snow(image, draw, rng):
    fill(draw, shade(rng, (176, 200, 224), 8))
    for base in (26, 48):
        x = rng.randint(-30, 20)
        draw.ellipse((x - 40, base, x + 80, base + 90), fill=(232, 240, 250))
        draw.ellipse((x + 40, base + 6, x + 140, base + 90), fill=(246, 250, 255))
    for _ in range(26):
        x, y = rng.randint(0, 78), rng.randint(0, 78)
        draw.rectangle((x, y, x + 1, y + 1), fill=(255, 255, 255) if y < 30 else (150, 184, 220))


def sky(image, draw, rng):
    fill(draw, shade(rng, (130, 198, 250)))
    for _ in range(5):
        x, y = rng.randint(-6, 70), rng.randint(2, 70)
        for dx, dy, r in ((0, 0, 6), (7, -3, 7), (14, 0, 6)):
            draw.ellipse((x + dx - r, y + dy - r // 2, x + dx + r, y + dy + r // 2),
                         fill=(255, 255, 255))


def night(image, draw, rng):
    fill(draw, shade(rng, (16, 20, 62), 6))
    for _ in range(26):
        x, y = rng.randint(1, 78), rng.randint(1, 78)
        draw.line((x - 1, y, x + 1, y), fill=(255, 244, 170))
        draw.line((x, y - 1, x, y + 1), fill=(255, 244, 170))
    x, y = rng.randint(8, 66), rng.randint(6, 14)
    draw.ellipse((x - 6, y - 6, x + 6, y + 6), fill=(240, 236, 200))
    draw.ellipse((x - 3, y - 8, x + 8, y + 3), fill=(16, 20, 62))


def sunset(image, draw, rng):
    bands = ((92, 40, 110), (170, 54, 110), (226, 84, 84), (246, 136, 66), (252, 190, 84))
    for step, tone in enumerate(bands):
        fill(draw, shade(rng, tone, 6), 13 * step, 13 * step + 13)
    x = rng.randint(16, 64)
    draw.ellipse((x - 11, 44, x + 11, 66), fill=(255, 236, 130))
    fill(draw, (60, 26, 60), 65)


def bricks(image, draw, rng):
    fill(draw, (214, 196, 184))
    tone = (176, 72, 54)
    for row, y in enumerate(range(-rng.randint(0, 6), SIDE, 8)):
        for x in range(-16 + 8 * (row % 2), SIDE, 16):
            draw.rectangle((x, y, x + 14, y + 6), fill=shade(rng, tone, 9))


def planks(image, draw, rng):
    for x in range(-rng.randint(0, 9), SIDE, 13):
        draw.rectangle((x, 0, x + 12, SIDE), fill=shade(rng, (190, 136, 80), 14))
        draw.line((x + 12, 0, x + 12, SIDE), fill=(92, 58, 30))
        for grain in (4, 8):
            draw.line((x + grain, rng.randint(0, 40), x + grain, rng.randint(40, 80)),
                      fill=(152, 102, 56))
        y = rng.randint(4, 74)
        draw.ellipse((x + 4, y, x + 8, y + 6), outline=(110, 70, 38))


def stones(image, draw, rng):
    fill(draw, (84, 84, 88))
    for row, y in enumerate(range(-rng.randint(0, 8), SIDE, 13)):
        for x in range(-18 + 8 * (row % 2) - rng.randint(0, 4), SIDE, 17):
            draw.ellipse((x, y, x + 15, y + 11), fill=shade(rng, (164, 164, 168), 18))


def city(image, draw, rng):
    fill(draw, shade(rng, (196, 204, 216), 6))
    x = -rng.randint(0, 10)
    while x < SIDE:
        width, top = rng.randint(12, 18), rng.randint(6, 36)
        draw.rectangle((x, top, x + width - 2, SIDE), fill=shade(rng, (74, 84, 104), 12))
        for wy in range(top + 4, SIDE, 7):
            for wx in range(x + 2, x + width - 4, 5):
                draw.rectangle((wx, wy, wx + 1, wy + 2), fill=(250, 224, 120))
        x += width


def lava(image, draw, rng):
    fill(draw, shade(rng, (52, 16, 14), 5))
    for _ in range(7):
        x, y = rng.randint(-10, 80), rng.randint(0, 80)
        points = [(x, y)]
        for _ in range(5):
            x, y = x + rng.randint(4, 16), y + rng.randint(-14, 14)
            points.append((x, y))
        draw.line(points, fill=(232, 58, 10), width=4)
        draw.line(points, fill=(255, 176, 30), width=2)


def dots(image, draw, rng):
    fill(draw, shade(rng, (255, 246, 224), 6))
    shift = rng.randrange(10)
    for row, y in enumerate(range(-10 + shift, 90, 10)):
        for x in range(-10 + shift + 8 * (row % 2), 90, 16):
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=(224, 60, 120))


def stripes(image, draw, rng):
    fill(draw, shade(rng, (244, 240, 250), 6))
    for x in range(-80 + rng.randrange(16), 160, 16):
        draw.polygon([(x, 0), (x + 8, 0), (x + 8 - 80, 80), (x - 80, 80)], fill=(80, 70, 190))


def checks(image, draw, rng):
    fill(draw, shade(rng, (240, 240, 232), 6))
    shift = rng.randrange(10)
    for row in range(-1, 9):
        for column in range(-1, 9):
            if (row + column) % 2:
                x, y = 10 * column + shift, 10 * row + shift
                draw.rectangle((x, y, x + 9, y + 9), fill=(70, 160, 150))


PAINTERS = {name: globals()[name] for name in PLACES + PATTERNS}
