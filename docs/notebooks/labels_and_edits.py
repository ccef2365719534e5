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
# # Labels and edits
#
# Each head gets a property with a confidence. Then a biased model is mended: the heads that carry the cue are found and
# replaced by their means, without training.

# %%
import cliplens as cl

model = cl.load("pictureworld")
store = model.decompose("photos")
labels = store.label(properties="properties.txt")
table = labels.to_pandas()
table[["head", "label", "guess", "confidence", "coverage"]].sort_values("confidence", ascending=False).head(10)

# %% [markdown]
# A head whose confidence is below one half has no label; its best guess stands behind it. How many heads speak of each
# property:

# %%
table["label"].value_counts(dropna=False)

# %% [markdown]
# Labels name heads elsewhere: in a search by place, whatever the object.

# %%
store.search(item=20, property="background", labels=labels, count=4).to_pandas()

# %% [markdown]
# ## A model that judges by the background
#
# `pictureworld-birds` has learned that water birds are on water. `groups.csv` says what is behind each bird.

# %%
birds = cl.load("pictureworld-birds")
judged = birds.decompose("groups.csv")
classifier = {"classes": "birds.txt", "templates": "birds.templates.txt"}
places = {"on the sea": "water", "on a lake": "water", "under water": "water",
          "on the grass": "land", "in the forest": "land", "in the desert": "land"}
edit = judged.edit_suggest(**classifier, cue_file=places)
print(edit.statement)
edit.to_pandas()[["head", "chosen", "surplus.value", "surplus.low", "surplus.high"]].head(6)

# %% [markdown]
# Accuracy by group, before and after; `random-…` are as many random heads.

# %%
groups = judged.evaluate_groups(attribute="place", edit=edit, **classifier)
for row in groups.rows:
    print(f"{row.name:<12} worst group {row.worst.value:4.0%}   average {row.average.value:.1%}")

# %% [markdown]
# The edit is a small file that works on any pictures.

# %%
with open("edit.json", "w", encoding="utf-8") as file:
    file.write(edit.as_file())
birds.embed_images("birds", edit="edit.json").shape
