"""What `cliplens pull` fetched is what huggingface_hub, transformers and open_clip find, offline."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from harness import ROOT, SHIPPED

sys.path.insert(0, str(ROOT / "tests/python"))
from hub_server import Hub  # noqa: E402

OPENAI = "timm/vit_base_patch32_clip_224.openai"
SIZES = dict(hidden_size=64, intermediate_size=128, num_attention_heads=2, projection_dim=48)
# The libraries read their settings when they are imported, so each asks in a process of its own.
READERS = {
    "huggingface_hub": """
from pathlib import Path
import huggingface_hub
for name in ("org/open-clip", "org/transformers"):
    print(Path(huggingface_hub.snapshot_download(name)).name)
print(Path(huggingface_hub.hf_hub_download("org/open-clip", "open_clip_config.json")).read_text())
scan = huggingface_hub.scan_cache_dir()
print(sorted(r.repo_id for r in scan.repos), [str(w) for w in scan.warnings])
""",
    "transformers": """
import torch, transformers
model = transformers.CLIPModel.from_pretrained("org/transformers")
print(float(model.visual_projection.weight.detach().double().sum()))
""",
    "open_clip": """
import open_clip
from open_clip.pretrained import download_pretrained, get_pretrained_cfg
print(download_pretrained(get_pretrained_cfg("ViT-B-32", "openai")))
model = open_clip.create_model("hf-hub:org/open-clip")
print(float(model.visual.proj.detach().double().sum()))
""",
}


@pytest.fixture(scope="module")
def pulled(cliplens, tmp_path_factory):
    """(environment, what each pull printed, the models' files)."""
    folder = tmp_path_factory.mktemp("pull")
    torch.manual_seed(5)
    CLIPModel(CLIPConfig(
        projection_dim=48, text_config=dict(SIZES, num_hidden_layers=1),
        vision_config=dict(SIZES, num_hidden_layers=2, image_size=48, patch_size=8),
    )).save_pretrained(folder / "transformers")
    (folder / "transformers/preprocessor_config.json").write_text(
        '{"size": {"shortest_edge": 48}, "crop_size": 48}')
    shipped = ROOT / "models" / SHIPPED
    files = {name: {path.name: path.read_bytes() for path in place.iterdir()} for name, place in (
        ("org/open-clip", shipped), (OPENAI, shipped),
        ("org/transformers", folder / "transformers"))}
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TRANSFORMERS_"))}
    environment["HF_HOME"] = str(folder / "hf")
    results = {}
    with Hub() as hub:
        for name, content in files.items():
            hub.add(name, content)
        for name in ("hf:org/open-clip", "hf:org/transformers", "ViT-B-32/openai"):
            done = subprocess.run([cliplens.path, "pull", name, "--json"], text=True,
                                  capture_output=True,
                                  env=environment | {"HF_ENDPOINT": hub.url, "no_proxy": "*"})
            assert done.returncode == 0, done.stderr
            results[name] = json.loads(done.stdout)
    return environment | {"HF_HUB_OFFLINE": "1"}, results, files


def read(pulled, library):
    done = subprocess.run([sys.executable, "-c", READERS[library]], text=True, capture_output=True,
                          env=pulled[0], timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_huggingface_hub_finds_it(pulled):
    _, results, files = pulled
    out = read(pulled, "huggingface_hub")
    assert out[:2] == [results[f"hf:org/{name}"]["commit"] for name in ("open-clip", "transformers")]
    config = files["org/open-clip"]["open_clip_config.json"].decode()
    assert "\n".join(out[2:-1]).strip() == config.strip()
    assert out[-1] == f"{sorted(files)} []"


def test_transformers_finds_it(pulled, cliplens):
    environment, results, _ = pulled
    want = CLIPModel.from_pretrained(results["hf:org/transformers"]["path"]).visual_projection.weight
    assert float(read(pulled, "transformers")[-1]) == float(want.detach().double().sum())
    done = subprocess.run([cliplens.path, "info", "hf:org/transformers"], env=environment,
                          text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_open_clip_finds_it(pulled):
    from safetensors.torch import load_file
    _, results, _ = pulled
    weights, total = read(pulled, "open_clip")[-2:]
    assert weights == results["ViT-B-32/openai"]["path"] + "/open_clip_model.safetensors"
    tensors = load_file(weights)
    assert float(total) == float(tensors["visual.proj"].double().sum())


def files_in(cache):
    """{path: what a link says, or the bytes of a file} of models in a cache."""
    return {str(path.relative_to(cache)): os.readlink(path) if path.is_symlink() else path.read_bytes()
            for path in cache.glob("models--*/**/*")
            if path.is_symlink() or path.is_file() and path.parent.name != "trees"}


def test_the_cache_is_what_huggingface_hub_makes_of_the_same_answers(pulled, cliplens, tmp_path):
    environment, _, files = pulled
    wanted = ["open_clip_config.json", "open_clip_model.safetensors", "vocab.json", "merges.txt",
              "tokenizer_config.json"]
    with Hub() as hub:
        hub.add("org/open-clip", files["org/open-clip"])
        common = environment | {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "no_proxy": "*"}
        program = ("import huggingface_hub\n"
                   f"for name in {wanted}: huggingface_hub.hf_hub_download('org/open-clip', name)\n")
        for cache, command in (("theirs", [sys.executable, "-c", program]),
                               ("ours", [cliplens.path, "pull", "hf:org/open-clip"])):
            done = subprocess.run(command, env=common | {"HF_HUB_CACHE": str(tmp_path / cache)},
                                  text=True, capture_output=True, timeout=600)
            assert done.returncode == 0, done.stderr
        assert files_in(tmp_path / "ours") == files_in(tmp_path / "theirs")
        # What one has fetched the other does not fetch again.
        done = subprocess.run([cliplens.path, "pull", "hf:org/open-clip", "--json"], text=True,
                              env=common | {"HF_HUB_CACHE": str(tmp_path / "theirs")},
                              capture_output=True)
        assert not any(file["fetched"] for file in json.loads(done.stdout)["files"])


def test_the_table_of_published_weights_is_open_clips():
    done = subprocess.run([sys.executable, ROOT / "tools/generate_published_weights.py", "--check"],
                          text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
