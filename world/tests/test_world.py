"""What a user of the picture world relies on: determinism, balance, true captions, exact masks."""

import collections
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from world import assets, make_texts, scene, shards
from world.backgrounds import BACKGROUNDS, LAND, WATER, draw_background, kind_of
from world.factors import FACTORS, caption_matches, prompts, true_captions
from world.objects import CATEGORIES, CATEGORY_OF, OBJECTS, OTHER_NAMES

ROOT = Path(__file__).resolve().parents[1]


def digest(picture):
    parts = [picture.image.tobytes(), picture.mask.tobytes(),
             json.dumps(picture.factors, sort_keys=True).encode(), picture.caption.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def digests_of(jobs):
    world = scene.World.load()
    return [digest(world.picture(*job)) for job in jobs]


def test_sizes_of_the_world():
    assert len(OBJECTS) == len(set(OBJECTS)) == 118
    assert len(CATEGORIES) == 27
    assert len(CATEGORIES["water bird"]) + len(CATEGORIES["land bird"]) >= 8
    assert len(BACKGROUNDS) == len(set(BACKGROUNDS)) == 29
    names = [n for name in OBJECTS for n in [name, *OTHER_NAMES[name]]]
    assert len(names) == len(set(names)), "two objects share a name"


def test_same_key_same_picture_in_any_order_and_process(world):
    jobs = [(name, seed, index) for name in scene.SETS for seed in (1, 2) for index in range(12)]
    expected = [digest(world.picture(*job)) for job in jobs]
    backwards = [digest(world.picture(*job)) for job in reversed(jobs)]
    assert backwards[::-1] == expected
    for workers in (1, 3):
        chunks = [jobs[i::workers] for i in range(workers)]
        with ProcessPoolExecutor(workers) as pool:
            found = list(pool.map(digests_of, chunks))
        for i, part in enumerate(found):
            assert part == expected[i::workers]
    assert len(set(expected)) == len(expected), "different keys drew the same picture"


def test_backgrounds_are_drawn_the_same_each_time(world):
    for name in ("forest", "lava", "red"):
        assert np.array_equal(draw_background(name, 3), draw_background(name, 3))


def test_held_out_pairs(world):
    assert len(world.heldout) == len(OBJECTS) * 5 // 10
    assert len({name for name, _ in world.heldout}) == len(world.heldout), "one style an object"
    per_style = collections.Counter(style for _, style in world.heldout)
    assert max(per_style.values()) - min(per_style.values()) <= 1
    # The same art is seen in training in another style.
    for name, style in world.heldout:
        siblings = [s for s, art in assets.STYLE_ART.items()
                    if art == assets.STYLE_ART[style] and s != style]
        assert any((name, s) not in world.heldout for s in siblings)


@pytest.mark.parametrize("name", ["train", "test", "birds", "single"])
def test_held_out_pairs_never_drawn(world, name):
    for index in range(4000):
        factors = world._factors(name, 5, index, scene.Draw(scene.stream_of(name), 5, index),
                                 0.3 if name == "train" else 0, None)
        for key in ("object", "object2"):
            assert (factors[key], factors["style"]) not in world.heldout


def test_heldout_set_shows_each_pair_equally_often(world):
    n = len(world.heldout)
    seen = collections.Counter()
    for index in range(2 * n):
        factors = world.picture("heldout", 1, index).factors
        assert factors["object2"] is None
        seen[factors["object"], factors["style"]] += 1
    assert set(seen) == world.heldout and set(seen.values()) == {2}


def test_factors_are_known_values(world):
    for name in scene.SETS:
        for index in range(300):
            factors = world.picture(name, 3, index).factors
            for factor, values in FACTORS.items():
                assert factors[factor] in values
            assert factors["category"] == CATEGORY_OF[factors["object"]]
            assert factors["place"] == kind_of(factors["background"])
            assert factors["object2"] != factors["object"]
            if factors["object2"] is not None:
                assert factors["count"] == 1


def test_test_set_is_balanced(world):
    total = 1180
    pictures = [world.picture("test", shards.SEED, index).factors for index in range(total)]
    for factor in ("object", "background", "position", "effect"):
        seen = collections.Counter(p[factor] for p in pictures)
        assert set(seen) == set(FACTORS[factor])
        assert max(seen.values()) - min(seen.values()) <= 1, factor
    for factor, slack in (("style", 0.25), ("size", 0.2)):
        seen = collections.Counter(p[factor] for p in pictures)
        level = total / len(FACTORS[factor])
        assert all(abs(n - level) < slack * level for n in seen.values()), (factor, seen)
    counts = collections.Counter(p["count"] for p in pictures)
    assert all(abs(counts[n] - total / 7) <= 4 for n in (2, 3, 4))
    assert 0.16 < sum(p["object2"] is not None for p in pictures) / total < 0.24


def test_factors_of_the_training_set_are_independent(world):
    draws = [world.picture("train", 9, index).factors for index in range(6000)]
    for one, two in (("style", "background"), ("style", "position"), ("position", "background"),
                     ("effect", "style"), ("position", "size"), ("count", "position")):
        a, b = (np.array([FACTORS[f].index(d[f]) for d in draws]) for f in (one, two))
        table = np.zeros((len(FACTORS[one]), len(FACTORS[two])))
        np.add.at(table, (a, b), 1)
        expected = np.outer(table.sum(1), table.sum(0)) / len(draws)
        chi2 = ((table - expected) ** 2 / expected).sum()
        freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
        assert chi2 < freedom + 5 * (2 * freedom) ** 0.5, (one, two, chi2, freedom)


def test_birds_agreement(world):
    for agreement in (0.0, 0.95, 1.0):
        agrees = []
        for index in range(1000):
            factors = world.picture("birds", 4, index, agreement=agreement).factors
            assert factors["category"] == factors["bird_kind"]
            place = "water" if factors["background"] in WATER else "land"
            assert factors["background"] in WATER + LAND and place == factors["place_kind"]
            agrees.append(factors["bird_kind"].startswith(place))
        assert abs(np.mean(agrees) - agreement) < 0.03
    groups = collections.Counter()
    for index in range(200):
        factors = world.picture("birds", 1, index).factors
        groups[factors["bird_kind"], factors["place_kind"]] += 1
    assert len(groups) == 4 and set(groups.values()) == {50}


def test_easy_pictures(world):
    for index in range(300):
        factors = world.picture("train", 2, index, easy=1.0).factors
        assert factors["size"] in ("large", "huge") and factors["position"] == "middle"
        assert factors["count"] == 1 and factors["object2"] is None and factors["effect"] == "none"


@pytest.mark.parametrize("factor", scene.CHANGES)
def test_a_counterpart_differs_in_one_factor_alone(world, factor):
    derived = {"object": {"category"}, "background": {"place"}}.get(factor, set())
    changed = 0
    for index in range(120):
        picture, found = world.picture("test", 4, index), world.counterpart(4, index, factor)
        if found is None:
            assert picture.factors["object2"] is not None or factor == "count"
            continue
        other, odds = found
        changed += 1
        assert 0 < odds < 1
        differs = {k for k in picture.factors if picture.factors[k] != other.factors[k]}
        assert factor in differs and differs <= {factor} | derived
        assert (other.factors["object"], other.factors["style"]) not in world.heldout
        assert other.factors["category"] == CATEGORY_OF[other.factors["object"]]
        assert other.factors["place"] == kind_of(other.factors["background"])
        if factor in ("background", "effect"):
            assert np.array_equal(picture.mask, other.mask)
        if factor == "background" and picture.factors["effect"] == "none":
            assert not np.array_equal(picture.image, other.image)
        assert digest(world.counterpart(4, index, factor)[0]) == digest(other)
    assert changed > 20


def test_odds_of_a_counterpart_are_those_of_a_new_draw(world):
    assert world.counterpart(4, single(world, 4), "background")[1] == pytest.approx(28 / 29)
    sizes = {"tiny": 1, "small": 1, "large": 3, "huge": 3}
    keep = 1 - 0.2 * 14 / 5
    weights = {s: w * (1 if s == "huge" else keep) for s, w in sizes.items()}
    index = single(world, 4, count=1, size="large")
    assert world.counterpart(4, index, "size")[1] == pytest.approx(
        1 - weights["large"] / sum(weights.values()))
    assert world.counterpart(4, single(world, 4, size="huge"), "count") is None


def single(world, seed, **wanted):
    """The first picture of the test set with one object and these values."""
    for index in range(1000):
        factors = world.picture("test", seed, index).factors
        if factors["object2"] is None and all(factors[k] == v for k, v in wanted.items()):
            return index
    raise AssertionError(wanted)


def test_no_counterpart_of_an_unknown_factor(world):
    with pytest.raises(scene.WorldError, match="no factor 'mood'"):
        world.counterpart(4, single(world, 4), "mood")


def test_masks_are_where_the_sprites_are(world):
    """Without an effect, the picture differs from its background nearly where the mask says."""
    covered = []
    for index in range(400):
        picture = world.picture("train", 6, index)
        factors = picture.factors
        assert set(np.unique(picture.mask)) == ({0, 1, 2} if factors["object2"] else {0, 1})
        if factors["effect"] != "none":
            continue
        tiles = world._backgrounds[BACKGROUNDS.index(factors["background"])]
        outside = picture.mask == 0
        same = [(tile == picture.image).all(axis=2) for tile in tiles]
        best = max(same, key=lambda s: (s & outside).sum())
        # Outside only the half-covered rim of a sprite may differ, and it touches the mask.
        near = picture.mask > 0
        for _ in range(3):
            near = (near | np.roll(near, 1, 0) | np.roll(near, -1, 0) | np.roll(near, 1, 1)
                    | np.roll(near, -1, 1))
        stray = ~best & ~near
        assert stray.mean() < 0.01, factors
        covered.append((~best)[picture.mask > 0].mean())
    assert len(covered) > 100 and np.mean(covered) > 0.97


def test_mask_tells_position_size_and_count(world):
    for index in range(400):
        picture = world.picture("train", 8, index)
        factors = picture.factors
        side = assets.SIDES[factors["size"]]
        ys, xs = np.nonzero(picture.mask == 1)
        width, height = xs.max() - xs.min() + 1, ys.max() - ys.min() + 1
        if factors["count"] == 1:
            assert max(width, height) <= side and max(width, height) >= side - 4
        else:
            assert max(width, height) <= 2 * side
        if factors["count"] == 1 and factors["size"] in ("tiny", "small", "large"):
            column = int((xs.min() + xs.max()) / 2 // (80 / 3))
            row = int((ys.min() + ys.max()) / 2 // (80 / 3))
            assert FACTORS["position"][3 * row + column] == factors["position"]


def test_captions_are_true_of_their_picture_and_false_elsewhere(world):
    pictures = [world.picture("train", 11, index) for index in range(600)]
    for picture in pictures:
        assert picture.caption == picture.caption.lower() and picture.caption_facts
        assert caption_matches(picture.caption_facts, picture.factors)
        for factor, value in picture.caption_facts.items():
            assert picture.factors[factor] == value
    for one, two in zip(pictures, pictures[1:]):
        facts = one.caption_facts
        if "object" in facts and facts["object"] not in (two.factors["object"],
                                                         two.factors["object2"]):
            assert not caption_matches(facts, two.factors)


def test_caption_names_what_it_states(world):
    """Every stated fact can be read in the caption's words, and no unstated one is in it."""
    from world.factors import (EFFECT_WORDS, PLACE_WORDS, POSITION_WORDS, STYLE_WORDS, names_of)
    from world.objects import PLURAL
    for index in range(1500):
        picture = world.picture("train", 12, index)
        facts, text = picture.caption_facts, f" {picture.caption} "
        words = {"position": POSITION_WORDS, "effect": EFFECT_WORDS}
        for factor, table in words.items():
            for value, phrases in table.items():
                # "at the top right" says neither "at the top" nor "on the right".
                said = [p for p in phrases if f" {p} " in text
                        and not any(q != p and q.startswith(p) and f" {q} " in text
                                    for others in table.values() for q in others)]
                assert not said or facts.get(factor) == value, (text, facts)
            if factor in facts:
                assert any(f" {p} " in text for p in table[facts[factor]]), (text, facts)
        if "background" in facts:
            assert any(p in text for p in PLACE_WORDS[facts["background"]][0])
        if "style" in facts:
            assert any(w in text for group in STYLE_WORDS[facts["style"]] for w in group)
        if "object" in facts:
            assert any(n in text for n in [*names_of("object", facts["object"]),
                                           PLURAL[facts["object"]]])


def test_two_objects_either_order():
    factors = {"object": "duck", "object2": "car", "category": "water bird", "style": "flat",
               "background": "sea", "place": "place", "position": "left", "size": "small",
               "count": 1, "effect": "none"}
    assert caption_matches({"object": "car"}, factors)
    assert caption_matches({"object": "car", "object2": "duck"}, factors)
    assert caption_matches({"category": "vehicle", "background": "sea"}, factors)
    assert caption_matches({"object": "duck", "position": "left"}, factors)
    assert not caption_matches({"object": "car", "position": "left"}, factors)
    assert not caption_matches({"object": "duck", "object2": "bus"}, factors)
    assert not caption_matches({"object": "duck", "style": "neon"}, factors)
    assert all(caption_matches(facts, factors) for _, facts in true_captions(factors))


def test_prompts_cover_every_value():
    for factor, values in FACTORS.items():
        lists = prompts(factor)
        assert len(lists) == len(values) and all(len(set(texts)) >= 4 for texts in lists)
        texts = [text for group in lists for text in group]
        assert len(texts) == len(set(texts)), f"two values of {factor} share a sentence"


def test_styles_differ(world):
    """The same object looks different in every pair of styles, far more than rounding."""
    size = world._sprites["large"].astype(np.float32)
    for one in range(size.shape[0]):
        for two in range(one):
            gap = np.abs(size[one] - size[two]).mean(axis=(1, 2, 3))
            assert gap.mean() > 20 and gap.min() > 4, (one, two, gap.min())


def test_texts_are_what_the_grammar_says():
    wanted = make_texts.files()
    assert {p.name for p in make_texts.TEXTS.glob("*.txt")} == set(wanted)
    for name, content in wanted.items():
        assert (make_texts.TEXTS / name).read_text(encoding="utf-8") == content, name
    phrases = wanted["phrases.txt"].splitlines()
    assert len(phrases) >= 300 and len(set(phrases)) == len(phrases)
    assert {line.split("\t")[1] for line in phrases} == set(FACTORS)


def test_committed_sets_show_the_pictures_of_the_generator(world):
    for line in (shards.SETS_FOLDER / "SHA256SUMS").read_text().splitlines():
        want, name = line.split("  ")
        assert hashlib.sha256((shards.SETS_FOLDER / name).read_bytes()).hexdigest() == want, name
    for name, (set_name, first, count) in shards.SHARDS.items():
        with tarfile.open(shards.SETS_FOLDER / name) as tar:
            names = tar.getnames()
            assert len(names) == 3 * count and names == sorted(names)
            assert all(m.mtime == 0 and m.uid == 0 and m.gid == 0 for m in tar.getmembers())
            for index in range(first, first + count, 7):
                key = f"{set_name}-{index:06d}"
                read = {end: tar.extractfile(f"{key}.{end}").read()
                        for end in ("png", "json", "mask.png")}
                picture = world.picture(set_name, shards.SEED, index)
                image = np.asarray(Image.open(io.BytesIO(read["png"])).convert("RGB"))
                assert np.array_equal(image, picture.image), key
                assert np.array_equal(np.asarray(Image.open(io.BytesIO(read["mask.png"]))),
                                      picture.mask), key
                facts = json.loads(read["json"])
                assert facts["caption"] == picture.caption
                assert facts["label"] == shards.label_of(set_name, picture.factors)
                assert {k: facts[k] for k in picture.factors} == picture.factors


def test_committed_files_are_small():
    total = sum(p.stat().st_size for folder in ("sets", "texts") for p in (ROOT / folder).iterdir())
    assert total < 9e6
    assert (ROOT / "contact_sheet.png").stat().st_size <= 200_000


def test_shard_bytes_are_deterministic(world):
    once = shards.shard_bytes(world, "test", 1, 0, 6)
    assert once == shards.shard_bytes(scene.World.load(), "test", 1, 0, 6)


def test_licences_exist():
    text = (ROOT / "LICENCES.md").read_text()
    lock = json.loads((ROOT / "package-lock.json").read_text())
    for package, version in json.loads((ROOT / "package.json").read_text())["dependencies"].items():
        assert f"`{package}` {version}" in text
        assert lock["packages"][f"node_modules/{package}"]["version"] == version
    for package, licence in (("noto", "Apache-2.0"), ("fluent-emoji-flat", "MIT")):
        lock_entry = lock["packages"][f"node_modules/@iconify-json/{package}"]
        assert lock_entry["license"] == licence
        assert "integrity" in lock_entry
    for name in ("Apache-2.0.txt", "MIT-fluentui-emoji.txt"):
        assert (ROOT / "licences" / name).exists()


def test_installed_packages_state_their_licences(world):
    for package, licence in (("noto", "Apache-2.0"), ("fluent-emoji-flat", "MIT")):
        info = json.loads((ROOT / "node_modules/@iconify-json" / package / "info.json").read_text())
        assert info["license"]["spdx"] == licence


def test_lock_file_names_no_other_registry():
    assert "\"resolved\": \"" not in (ROOT / "package-lock.json").read_text().replace(
        "\"resolved\": \"https://registry.npmjs.org/", "")


def test_missing_assets_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(assets, "ASSETS", tmp_path)
    with pytest.raises(scene.WorldError, match="make world"):
        scene.World.load()


def test_unknown_set_is_named(world):
    with pytest.raises(scene.WorldError, match="no set 'training'"):
        world.picture("training", 1, 0)


def test_command_refuses_unknown_part():
    run = subprocess.run([sys.executable, "-m", "world", "build", "pictures"], cwd=ROOT.parent,
                         capture_output=True, text=True, check=False)
    assert run.returncode == 2 and "no part 'pictures'" in run.stderr
