"""Decoded, resized and normalised pictures against open_clip's transform and transformers' image
processor: equal in every float."""

from __future__ import annotations

import warnings

import pytest

import pixels
from harness import PICTURE_SEED


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rule", ["open_clip", "Hugging Face"])
def test_every_float_is_equal(measured, tmp_path, rule):
    warnings.filterwarnings("ignore")
    settings = pixels.SETTINGS if rule == "open_clip" else pixels.HUGGING_FACE
    counts, kinds = pixels.compare(pixels.by_package, tmp_path, PICTURE_SEED, settings=settings)
    print(dict(counts), dict(kinds))
    measured.note(f"pixels, {rule}: pictures", counts["pictures"])
    measured.note(f"pixels, {rule}: tensors equal", counts["equal"])
    measured.note(f"pixels, {rule}: files that both refuse", counts["refused by both"])
    measured.at_most(f"pixels, {rule}: tensors different or refused",
                     counts["DIFFERENT"] + counts["FAILED"], 0)
    assert counts["pictures"] >= 200
    assert min(kinds[kind] for kind in ("jpeg", "png", "webp")) > 100
