"""Decoded, resized and normalised pictures against open_clip's transform: equal in every float."""

from __future__ import annotations

import warnings

import pytest

import pixels
from harness import PICTURE_SEED


@pytest.mark.filterwarnings("ignore")
def test_every_float_is_equal(cliplens, measured, tmp_path):
    warnings.filterwarnings("ignore")
    counts, kinds = pixels.compare(cliplens.path, tmp_path, PICTURE_SEED)
    print(dict(counts), dict(kinds))
    measured.note("pixels: pictures", counts["pictures"])
    measured.note("pixels: tensors equal", counts["equal"])
    measured.note("pixels: files that both refuse", counts["refused by both"])
    measured.at_most("pixels: tensors different or refused", counts["DIFFERENT"] + counts["FAILED"],
                     0)
    assert counts["pictures"] >= 200
    assert min(kinds[kind] for kind in ("jpeg", "png", "webp")) > 100
