"""Draws world/contact_sheet.png: one picture for each style and object, and some of the mixed set."""

from pathlib import Path

import numpy as np
from PIL import Image

from world.backgrounds import BACKGROUNDS
from world.factors import STYLES
from world.objects import CATEGORIES
from world.scene import World

FILE = Path(__file__).resolve().parent / "contact_sheet.png"
COLUMNS = 9


def build(world=None):
    world = world or World.load()
    rows = [[world.plain(list(CATEGORIES.values())[column][0][0], style,
                         BACKGROUNDS[(7 * row + 2 * column) % len(BACKGROUNDS)])
             for column in range(COLUMNS)] for row, style in enumerate(STYLES)]
    rows += [[world.picture("train", 1, COLUMNS * row + column).image
              for column in range(COLUMNS)] for row in range(2)]
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)
    Image.fromarray(sheet).save(FILE, optimize=True)
