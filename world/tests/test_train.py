"""The training code: token ids, export, contributions, caption truth, head shares, resuming."""
import argparse
import functools
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from world import data, evaluate, layouts, roles, train
from world import model as clip
from world.factors import FACTORS, caption_matches
from world.tokenizer import SentencePieces, Tokenizer, count_words, learn_merges, load_tokenizer

TEXTS = ["a duck on the sea", "The quick, brown fox's 12 photographs... café 日本",
         "A VERY big   dog", "", " ".join(["cat"] * 40), "don't &amp; won't", "x", "what a dog! really!"]


@pytest.fixture(scope="module")
def counts():
    import collections
    counts = collections.Counter()
    count_words(["a duck on the sea", "very big dogs and cats", "a picture of a brown fox"], 2,
                counts)
    return counts


@pytest.fixture(scope="module")
def tokenizer(counts):
    return Tokenizer(learn_merges(counts, 60))


@pytest.fixture(scope="module")
def pieces(counts):
    return SentencePieces.learn(counts)


def small(tokenizer, seed=0, patch=clip.PATCH, kind="clip"):
    cfg = clip.config(tokenizer.vocab_size, width=64, layers=2, text_width=32, text_layers=1,
                      embed=32, patch=patch, kind=kind)
    return cfg, layouts.initial_state(cfg, seed)


def jittered(state, dtype=torch.float64):
    """Every tensor moved off its start, so that none is zero or one."""
    generator = torch.Generator().manual_seed(9)
    return {k: v.to(dtype) + 0.05 * torch.randn(v.shape, generator=generator, dtype=dtype)
            for k, v in state.items()}


def pictures(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 80, 80, 3), generator=generator, dtype=torch.uint8)


def test_merges_join_the_most_frequent_pair_first():
    assert learn_merges({"aab": 3, "ab": 1}, 2) == [("a", "b</w>"), ("a", "ab</w>")]


def test_saved_files_give_the_same_ids_in_transformers(tokenizer, tmp_path):
    import transformers
    tokenizer.save(tmp_path)
    other = transformers.CLIPTokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        if "&" in text:
            continue  # only open_clip resolves HTML entities
        ids = other(text, max_length=clip.CONTEXT, truncation=True)["input_ids"]
        mine = tokenizer([text])[0].tolist()
        assert ids == mine[:len(ids)] and not any(mine[len(ids):]), text


def test_saved_files_name_every_id_and_reload(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    vocab = json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8"))
    assert sorted(vocab.values()) == list(range(tokenizer.vocab_size))
    assert vocab["<|startoftext|>"] == tokenizer.vocab_size - 2
    assert not (tmp_path / "merges.txt").read_text(encoding="utf-8").endswith("\n")
    again = load_tokenizer(tmp_path)
    assert torch.equal(again(TEXTS), tokenizer(TEXTS))


def test_saved_pieces_give_the_same_ids_in_transformers(pieces, tmp_path):
    import transformers
    pieces.save(tmp_path)
    other = transformers.AutoTokenizer.from_pretrained(tmp_path)
    ids = other(TEXTS, padding="max_length", truncation=True, return_tensors="pt").input_ids
    assert torch.equal(ids, pieces(TEXTS))
    assert torch.equal(load_tokenizer(tmp_path)(TEXTS), ids)


@pytest.mark.parametrize("patch", [10, 16])
def test_exported_directory_gives_open_clip_the_same_embeddings(tokenizer, tmp_path, patch):
    import open_clip
    cfg, state = small(tokenizer, patch=patch)
    layouts.export(str(tmp_path), state, cfg, tokenizer)
    model = open_clip.create_model(f"local-dir:{tmp_path}").eval()
    state, cfg = layouts.load(str(tmp_path))
    images = pictures(3)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (clip.MEAN, clip.STD))
    with torch.no_grad():
        theirs = model.encode_image((images.permute(0, 3, 1, 2) / 255 - mean) / std,
                                    normalize=True)
        assert torch.allclose(theirs, evaluate.embed(state, cfg, images), atol=1e-6)
        ids = tokenizer(TEXTS)
        assert torch.allclose(model.encode_text(ids, normalize=True),
                              clip.text_embeddings(state, cfg, ids), atol=1e-6)


@pytest.mark.parametrize("kind", ["siglip", "eva"])
def test_exported_directory_gives_the_library_the_same_embeddings(tokenizer, pieces, tmp_path, kind):
    own = pieces if kind == "siglip" else tokenizer
    cfg, state = small(own, kind=kind)
    layouts.export(str(tmp_path), jittered(state), cfg, own)
    state, again = layouts.load(str(tmp_path))
    assert again == cfg
    images, ids = pictures(3), own(TEXTS)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (clip.MEAN, clip.STD))
    pixels = (images.permute(0, 3, 1, 2) / 255 - mean) / std
    if kind == "siglip":
        import transformers
        model = transformers.AutoModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
        with torch.no_grad():
            rows = model.get_image_features(pixels).pooler_output
            texts = model.get_text_features(ids).pooler_output
    else:
        from safetensors.torch import load_file
        model = layouts.library_model(cfg).eval()
        assert not model.load_state_dict(load_file(tmp_path / "open_clip_model.safetensors"),
                                         strict=False).unexpected_keys
        with torch.no_grad():
            rows, texts = model.visual.trunk(pixels), model.encode_text(ids)
    assert torch.allclose(F.normalize(rows, dim=-1), evaluate.embed(state, cfg, images), atol=1e-6)
    assert torch.allclose(F.normalize(texts, dim=-1), clip.text_embeddings(state, cfg, ids), atol=1e-6)


@pytest.mark.parametrize("kind", clip.KINDS)
def test_contributions_add_up_to_the_embedding(tokenizer, kind):
    cfg, state = small(tokenizer, kind=kind)
    state = jittered(state)
    record = {}
    x = clip.image_tokens(state, cfg, clip.patchify(pictures(4), cfg).double(), record=record)
    heads, rest, unit = clip.contributions(state, cfg, record, x)
    assert torch.allclose(unit, F.normalize(clip.image_rows(state, cfg, x), dim=-1), atol=1e-12)
    assert (heads.sum((1, 2)) + rest.sum(1) - unit).abs().max() < 1e-12
    pooled = kind == "siglip"  # its rows have the tower's width, and its pool's MLP is one part more
    width = 64 if pooled else 32
    assert heads.shape == (4, 2, 2, width) and rest.shape == (4, 3 + pooled, width)


@pytest.mark.parametrize("kind", clip.KINDS)
def test_all_tokens_kept_are_all_tokens(tokenizer, kind):
    cfg, state = small(tokenizer, kind=kind)
    state, patches = jittered(state), clip.patchify(pictures(2), small(tokenizer)[0]).double()
    whole = clip.image_tokens(state, cfg, patches)
    assert torch.allclose(clip.image_tokens(state, cfg, patches, torch.arange(64).expand(2, 64)), whole)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1)).expand(2, 64)
    assert torch.allclose(clip.image_rows(state, cfg, clip.image_tokens(state, cfg, patches, order)),
                          clip.image_rows(state, cfg, whole))


def test_kept_tokens_hold_objects_and_some_background():
    labels = torch.full((5, 64), -1)
    labels[:, 20:40] = 3
    keep = train.keep_tokens(labels, 26, torch.Generator().manual_seed(0))
    on_object = (labels.gather(1, keep) >= 0).sum(1)
    assert (on_object == 20).all()
    assert all(len(set(row.tolist())) == 26 for row in keep)


def test_caption_truth_is_the_worlds_rule(world, tokenizer):
    shown = [world.picture("train", seed=3, index=i) for i in range(80)]
    true = data.true_captions(data.collate(shown, tokenizer))
    expected = [[caption_matches(c.caption_facts, p.factors) for c in shown] for p in shown]
    assert true.tolist() == expected


def test_share_is_one_for_a_group_mean_and_near_zero_for_noise():
    generator = torch.Generator().manual_seed(0)
    groups = torch.randint(0, 20, (2000,), generator=generator)
    centres = torch.randn(20, 8, generator=generator)
    assert evaluate.share(centres[groups], groups) == pytest.approx(1.0)
    noise = torch.randn(2000, 8, generator=generator)
    assert abs(evaluate.share(noise, groups)) < 0.01
    assert evaluate.share(centres[groups] + centres.std() * noise, groups) == pytest.approx(
        0.5, abs=0.1)


def test_roles_use_each_head_once():
    rows = [{"head": f"L{i // 6}.H{i % 6}",
             "shares": {n: float(np.random.default_rng(i * 7 + j).random())
                        for j, n in enumerate(evaluate.HEAD_FACTORS)}} for i in range(36)]
    given = roles.assign(rows, train.QUOTA, train.EARLIEST)
    assert {n: len(v) for n, v in given.items()} == train.QUOTA
    assert all(i >= 6 * train.EARLIEST.get(n, 0) for n, v in given.items() for i in v)
    assert sorted(i for v in given.values() for i in v) == list(range(36))


def test_running_shares_approach_the_shares_of_all_pictures():
    sizes = {n: len(FACTORS[n]) for n in evaluate.HEAD_FACTORS}
    keeper = roles.RoleLoss({"style": [0]}, 1, 16, sizes)
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(sizes["style"], 16, generator=generator)
    seen = []
    for _ in range(300):
        rows = torch.stack([keeper.starts[n] + torch.randint(0, sizes[n], (64,),
                                                             generator=generator)
                            for n in evaluate.HEAD_FACTORS])
        style = rows[evaluate.HEAD_FACTORS.index("style")] - keeper.starts["style"]
        heads = (centres[style] + torch.randn(64, 16, generator=generator))[:, None]
        seen.append(keeper.shares(heads, rows))
        keeper.update(heads, rows)
    mean = dict(zip(evaluate.HEAD_FACTORS, torch.stack(seen[100:]).mean(0)[:, 0].tolist()))
    truth = float(centres.var(0, unbiased=False).sum())
    assert mean["style"] == pytest.approx(truth / (truth + 16), abs=0.05)
    assert abs(mean["object"]) < 0.02


def tiny_run(tmp_path, name, steps, stops, tokenizer, monkeypatch):
    """Trains a tiny model for `steps`, stopping at each of `stops` and resuming."""
    run = tmp_path / name
    run.mkdir(exist_ok=True)
    monkeypatch.setattr(train, "BATCH", 8)
    tokenizer.save(run)
    plan = train.Plan(steps)
    for total in [*stops, steps]:
        cfg, state = small(tokenizer)
        flat = clip.FlatParameters(state, torch.bfloat16)
        prompts = data.Prompts(tokenizer)
        args = argparse.Namespace(save_every=1, evaluate_every=10 ** 9, snapshots=[3])
        loss = lambda p, b, s: train.natural_loss(p, cfg, b, prompts, s, plan.kept(s), 1)
        monkeypatch.setattr(evaluate, "quick", lambda *_: {})
        train.fit(args, str(run), flat, train.Optimizer(flat, 0.03), loss,
                  functools.partial(train.make_source, plan, str(run), 1, 8), total,
                  functools.partial(train.rate_at, total=steps, peak=1e-3, warmup=2), cfg,
                  tokenizer, str(run / "model"))
    return flat.master, sorted(p.name for p in run.glob("model*"))


def test_a_resumed_run_equals_an_uninterrupted_one(world, tokenizer, tmp_path, monkeypatch):
    torch.set_num_threads(1)
    whole, written = tiny_run(tmp_path, "whole", 6, [], tokenizer, monkeypatch)
    parts, _ = tiny_run(tmp_path, "parts", 6, [2, 3], tokenizer, monkeypatch)
    assert torch.equal(whole, parts)
    assert written == ["model", "model-3"]


@pytest.mark.parametrize("patch", [8, 20])
def test_a_patch_shows_what_covers_half_of_it(patch):
    mask = np.zeros((80, 80), np.uint8)
    mask[:patch, :patch // 2] = 1
    mask[-patch:, -patch:] = 2
    mask[:patch, -patch // 2 + 1:] = 2
    labels = data.patch_labels(mask, 5, 6, patch)
    assert len(labels) == (80 // patch) ** 2
    assert labels[0] == 5 and labels[-1] == 6 and (labels >= 0).sum() == 2
