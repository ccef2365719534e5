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
# # A first look
#
# Ten minutes with a model and a folder of pictures: the sum, what heads write, where a score comes from. The folder is
# `photos/` with one folder for each class; [the tutorial](../tutorial.md) says how to make it from shipped pictures.

# %%
import numpy as np

import cliplens as cl

model = cl.load("pictureworld")  # or your own: a directory, a checkpoint, "hf:ORG/NAME"
model

# %% [markdown]
# ## Every picture is a sum
#
# `decompose` gives the contributions of every head, MLP and the input. They add up to the embedding.

# %%
store = model.decompose("photos")
store

# %%
total = sum(store.contributions(name) for name in store.components)
print("largest difference", np.abs(total - store.embeddings()).max())

# %% [markdown]
# Which parts carry how much? Shares of the embedding's variance, by layer; early layers carry little directly.

# %%
span = store.span("texts.txt", count=2)
shares = span.to_pandas().drop_duplicates("head").set_index("head")["variance_share"]
shares.groupby(shares.index.str.split(".").str[0]).sum()

# %% [markdown]
# ## What heads write
#
# The texts along which the heads of the last layer vary most.

# %%
last = [head for head in span.heads if head.head.startswith("L5")]
{head.head: [text.text for text in head.texts] for head in last}

# %% [markdown]
# ## Where a score comes from
#
# Red patches speak for the text, blue ones against it.

# %%
picture = "photos/duck/test-000091.png"
model.heatmap(picture, ["a picture of a duck", "by the pond", "in the snow"])

# %%
why = model.explain(picture, classes="classes.txt", templates="templates.txt")
print(why.text, "against", why.against, f"{why.score:+.3f}")
why

# %% [markdown]
# Go on with [labels and edits](labels_and_edits.py).
