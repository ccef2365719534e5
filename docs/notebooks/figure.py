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
# # A figure
#
# Two panels for a paper: accuracy when layers are replaced by their means, and the labels of all heads as a grid.

# %%
import matplotlib.pyplot as plt
import numpy as np

import cliplens as cl

model = cl.load("pictureworld")
store = model.decompose("photos")
ablation = store.ablate("classes.txt", templates="templates.txt")
labels = store.label(properties="properties.txt")

# %% [markdown]
# `cumulative` has the accuracy with the first l layers' heads replaced, with bounds of 95 %.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
value = np.array([point["value"] for point in ablation["cumulative"]])
low = np.array([point["low"] for point in ablation["cumulative"]])
high = np.array([point["high"] for point in ablation["cumulative"]])
left.plot(100 * value, marker="o")
left.fill_between(np.arange(len(value)), 100 * low, 100 * high, alpha=0.2)
left.set_xlabel("first layers replaced by their means")
left.set_ylabel("accuracy, %")

# %% [markdown]
# One square for each head, its colour the property, its strength the confidence. White squares have no label.

# %%
table = labels.to_pandas()
properties = sorted(table["label"].dropna().unique())
colours = plt.get_cmap("tab10")
grid = np.ones((model.layers, model.heads, 4))
for row in table.itertuples():
    layer, head = (int(part[1:]) for part in row.head.split("."))
    if row.label in properties:
        grid[layer, head] = (*colours(properties.index(row.label))[:3], row.confidence)
right.imshow(grid)
right.set_xlabel("head")
right.set_ylabel("layer")
for i, name in enumerate(properties):
    right.plot([], [], "s", color=colours(i), label=name)
right.legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False)
figure.savefig("heads.pdf")
figure
