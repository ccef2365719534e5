# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The recorder
#
# A model that runs in PyTorch, its factors, and a store of them. Needs PyTorch and open_clip.

# %%
import pathlib

import open_clip
import PIL.Image
import torch

import cliplens as cl
from cliplens.torch import Recorder

torch.manual_seed(0)
model = open_clip.CLIP(  # put your own model here; this one is small and has random weights
    embed_dim=64,
    vision_cfg={"image_size": 64, "layers": 3, "width": 64, "head_width": 16, "patch_size": 16},
    text_cfg={"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2},
).eval()
preprocess = open_clip.image_transform(64, is_train=False)
paths = sorted(pathlib.Path("photos").rglob("*.png"))

# %% [markdown]
# Within `with recorder` every pass is recorded. `factors()` takes what has come.

# %%
recorder = Recorder(model, name="random")
items = [cl.Item(str(path), label=path.parent.name) for path in paths]
with cl.StoreWriter("recorded", recorder, items, root=".") as writer, torch.inference_mode():
    for start in range(0, len(paths), 32):
        batch = torch.stack([preprocess(PIL.Image.open(path).convert("RGB")) for path in paths[start:start + 32]])
        with recorder:
            model.encode_image(batch, normalize=True)
        writer.add(recorder.factors())

# %% [markdown]
# A store like any other. Texts go through the model's own text tower.

# %%
store = cl.Store("recorded", texts=recorder.embed_texts)
print(store, f"certificate {store.certificate:.0e}")
store.span(["a duck", "a violin", "in the snow", "at sunset"], heads="last-1", count=2).table()
