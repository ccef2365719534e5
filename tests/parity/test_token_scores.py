"""Heat maps and explanations against the definition, token by token in fp64, for both towers."""

from __future__ import annotations

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from harness import SHIPPED
from reference import TextTower, VisionTower

MODELS = ["odd", SHIPPED]  # heads of 80 and of 32
MAX_ABS = 1e-5
TEXT = "a red car by the sea"
OTHER = "snow"


@pytest.fixture(params=MODELS)
def case(request, model_folders, odd_folder):
    """(name, directory, picture, its decomposition, tokens of the text, its decomposition)."""
    directory = model_folders[request.param]
    picture = sorted(odd_folder.iterdir())[0]
    _, _, transform = open_clip.create_model_and_transforms(f"local-dir:{directory}")
    image = VisionTower(directory).decompose(transform(Image.open(picture)).numpy())
    tokenizer = open_clip.get_tokenizer(f"local-dir:{directory}")
    texts = {text: TextTower(directory).decompose(tokenizer([text])[0]) for text in (TEXT, OTHER)}
    return request.param, directory, picture, image, texts


def test_the_text_definition_is_the_model(measured, case):
    name, directory, _, _, texts = case
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{directory}")
    tokens = open_clip.get_tokenizer(f"local-dir:{directory}")([TEXT])
    with torch.no_grad():
        embedding = model.double().encode_text(tokens, normalize=True)[0]
    text = texts[TEXT]
    measured.at_most(f"the fp64 definition of texts against open_clip in fp64, {name}",
                     (text.embedding - embedding).abs().max().item(), 1e-12)
    total = text.heads.sum((0, 1, 2)) + text.mlps.sum(0)
    measured.at_most(f"the fp64 definition of texts, its sum, {name}",
                     (total - text.embedding).abs().max().item(), 1e-12)


def test_heat_maps(measured, cliplens, case):
    name, directory, picture, image, texts = case
    for heads, chosen in (("all", slice(None)), ("last-1", slice(-1, None))):
        got = cliplens.json("heatmap", directory, "--image", picture, "--text", TEXT, "--against",
                            OTHER, "--heads", heads)
        direction = texts[TEXT].embedding - texts[OTHER].embedding
        tokens = (image.heads[chosen] @ direction).sum((0, 1)).numpy()
        label = f"{name}, heads {heads}"
        measured.at_most(f"heat map against the definition, {label}: largest difference",
                         np.abs(np.array(got["map"]).ravel() - tokens[1:]).max(), MAX_ABS)
        rest = dict(class_token=tokens[0], input=float(image.mlps[0] @ direction),
                    mlps=float((image.mlps[1:] @ direction).sum()),
                    other_heads=float((image.attn @ direction).sum()) - tokens.sum())
        measured.at_most(f"rest of a heat map against the definition, {label}",
                         max(abs(got["rest"][part] - value) for part, value in rest.items()),
                         MAX_ABS)
        measured.at_most(f"score of a heat map against the definition, {label}",
                         abs(got["score"] - float(image.embedding @ direction)), MAX_ABS)


def test_explanations(measured, cliplens, case):
    name, directory, picture, image, texts = case
    got = cliplens.json("explain", directory, "--image", picture, "--text", TEXT)
    text = texts[TEXT]
    components = {c["component"]: c["score"] for c in got["components"]}
    layers, heads = image.heads.shape[:2]
    wanted = {f"L{l}.H{h}": float(image.attn[l, h] @ text.embedding)
              for l in range(layers) for h in range(heads)}
    wanted |= {"INPUT" if i == 0 else f"L{i - 1}.MLP": float(image.mlps[i] @ text.embedding)
               for i in range(layers + 1)}
    assert components.keys() == wanted.keys()
    measured.at_most(f"components of a score against the definition, {name}",
                     max(abs(components[c] - value) for c, value in wanted.items()), MAX_ABS)
    measured.at_most(f"class token's attention to itself against the definition, {name}",
                     np.abs(np.array(got["class_to_class"])
                            - (image.cls_attn @ text.embedding).numpy()).max(), MAX_ABS)

    # Every pair of patch and word. A word has the tokens that follow until its share is met.
    image_rows = torch.cat([image.heads.sum((0, 1)), image.mlps[:1], image.mlps[1:].sum(0)[None]])
    pairs = (image_rows @ text.heads.sum((0, 1)).T).numpy()  # [N+2, text tokens]
    token, differences = 0, []
    for row, word in zip(got["patch_word"], got["words"], strict=True):
        got_share = np.array([word["class_token"], *row, word["input"], word["mlps"]])
        if word["kind"] == "word":
            share = np.zeros(len(image_rows))
            while token < pairs.shape[1]:
                share += pairs[:, token]
                token += 1
                if np.abs(got_share - share).max() <= MAX_ABS:
                    break
        else:
            part = text.mlps[0] if word["kind"] == "input" else text.mlps[1:].sum(0)
            share = (image_rows @ part).numpy()
        differences.append(np.abs(got_share - share).max())
    measured.at_most(f"words by patches against the definition, {name}: largest difference",
                     max(differences), MAX_ABS)
    assert token == pairs.shape[1]
    for total in ("sum", "sum_of_components"):
        measured.at_most(f"{total} of an explanation against its score, {name}",
                         abs(got[total] - got["score"]), MAX_ABS)
