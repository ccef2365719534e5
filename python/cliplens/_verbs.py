"""The verbs of the command line as calls. Written by tools/write_python_api.py."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ._run import IMAGES, KEPT, LINES, REPEATED, WITH_LEVEL, WITH_MODEL, Progress
from ._tables import Result
from ._views import Drawn, Explanation, HeatMap, Segmentation

if TYPE_CHECKING:
    from ._store import NeuronStore, Store

Path = str | os.PathLike[str]
Value = str | os.PathLike[str] | Sequence[str]
Lines = str | os.PathLike[str] | Sequence[str] | Mapping[str, str]

REPEATED.update({
    "info": ("text_rows",),
    "tokenize": ("text_rows",),
    "preprocess": ("text_rows",),
    "edit suggest": ("text_rows", "cue"),
    "embed": ("text_rows",),
    "classify": ("text_rows",),
    "compare": ("text", "text_rows"),
    "decompose": ("text_rows",),
    "segment": ("text_rows",),
    "span": ("text_rows",),
    "describe": ("text_rows",),
    "weights": ("text_rows",),
    "ablate": ("text_rows",),
    "reconstruct": ("texts", "counts", "text_rows"),
    "label": ("text_rows",),
    "evaluate groups": ("text_rows",),
    "evaluate labels": ("text_rows", "truth"),
    "evaluate segmentation": ("text_rows",),
    "search": ("image", "item", "text", "like", "unlike", "in_", "text_rows"),
    "neurons ablate": ("text_rows",),
    "neurons collect": ("text_rows",),
    "neurons cue": ("text_rows",),
    "neurons discover": ("text_rows",),
    "neurons reconstruct": ("text_rows", "texts", "counts"),
    "neurons show": ("text_rows",),
    "neurons weights": ("text_rows",),
    "neurons words": ("text_rows",),
    "heatmap": ("text_rows", "text", "direction"),
    "explain": ("text_rows",),
    "report": ("text", "text_rows"),
    "export": ("text_rows",),
})
LINES.update(["classes", "cue_file", "properties", "templates", "texts"])
IMAGES.update(["image", "images", "minus"])
KEPT.update(["edit make", "label", "span"])
WITH_LEVEL.update(["embed", "classify", "decompose", "segment", "describe", "evaluate segmentation",
                   "heatmap", "explain"])
WITH_MODEL.update(["edit suggest", "compare", "span", "ablate", "reconstruct", "label",
                   "evaluate groups", "evaluate labels", "search", "neurons ablate", "neurons cue",
                   "neurons discover", "neurons reconstruct", "neurons show", "neurons words",
                   "report", "export", "verify"])


class ModelVerbs:
    """Verbs of a model, as methods."""

    def _run(self, verb: str, positionals: list[tuple[str, Any]], options: dict[str, Any],
             progress: Progress | bool | None) -> Result:
        raise NotImplementedError

    def _drawn(self, verb: str, kind: type[Drawn], options: dict[str, Any],
               progress: Progress | bool | None) -> Drawn:
        raise NotImplementedError

    def _decompose(self, options: dict[str, Any], name: str | None,
                   progress: Progress | bool | None) -> Store:
        raise NotImplementedError

    def _neurons_collect(self, options: dict[str, Any], name: str | None,
                         progress: Progress | bool | None) -> NeuronStore:
        raise NotImplementedError

    def info(self, *, threads: int | None = None,
             progress: Progress | bool | None = None) -> Result:
        """Configuration, sizes and rank of each head.

        The verb ``cliplens info``; its fields are in docs/json.md.

        threads: Threads to use (0: all cores).
        """
        return self._run("info", [], {"threads": threads}, progress)

    def tokenize(self, texts: Lines, *, threads: int | None = None, truncate: bool = False,
                 progress: Progress | bool | None = None) -> Result:
        """Token ids of each line, from start to end token.

        The verb ``cliplens tokenize``; its fields are in docs/json.md.

        texts: File with one text a line.
        threads: Threads to use (0: all cores).
        truncate: Cut texts longer than the context.
        """
        return self._run("tokenize", [], {"texts": texts, "threads": threads,
                                          "truncate": truncate}, progress)

    def preprocess(self, image: Any, out: Value, *, threads: int | None = None,
                   exif_orientation: bool = False,
                   progress: Progress | bool | None = None) -> Result:
        """The tensor that the model reads, [3, S, S].

        The verb ``cliplens preprocess``; its fields are in docs/json.md.

        image: The picture.
        out: float32 .npy file to write.
        threads: Threads to use (0: all cores).
        exif_orientation: Turn pictures upright by their EXIF orientation, which the reference
            leaves alone.
        """
        return self._run("preprocess", [], {"image": image, "out": out, "threads": threads,
                                            "exif_orientation": exif_orientation}, progress)

    def embed(self, out: Value, *, threads: int | None = None, split: Value | None = None,
              path_column: Value | None = None, allow_absolute: bool = False,
              exif_orientation: bool = False, edit: Path | Result | None = None,
              no_normalize: bool = False, on_error: Value | None = None, truncate: bool = False,
              images: Any | None = None, texts: Lines | None = None,
              progress: Progress | bool | None = None) -> Result:
        """Unit embeddings of pictures or texts, [B, E].

        The verb ``cliplens embed``; its fields are in docs/json.md.

        out: float32 .npy file to write.
        threads: Threads to use (0: all cores).
        split: Only this split of the pictures, where the set has splits: train, val, test, or a
            value of a table's column 'split'.
        path_column: Column of a table that holds the pictures' paths, where it has no usual
            name.
        allow_absolute: A table's paths may be absolute or have '..' in them: files anywhere are
            read.
        exif_orientation: Turn pictures upright by their EXIF orientation, which the reference
            leaves alone.
        edit: Edit to apply (cliplens edit).
        no_normalize: Leave edited rows as they are.
        on_error: Pictures that cannot be read: stop at the first, or skip and list them.
        truncate: Cut texts longer than the context.
        images: Picture, folder, table (.csv, .tsv, .jsonl, .parquet), WebDataset shards or
            published data set.
        texts: File with one text a line, or a shipped pool: general, common_words, properties.
        """
        return self._run("embed", [], {"out": out, "threads": threads, "split": split,
                                       "path_column": path_column, "allow_absolute": allow_absolute,
                                       "exif_orientation": exif_orientation, "edit": edit,
                                       "no_normalize": no_normalize, "on_error": on_error,
                                       "truncate": truncate, "images": images,
                                       "texts": texts}, progress)

    def classify(self, images: Any, classes: Lines, *, threads: int | None = None,
                 split: Value | None = None, path_column: Value | None = None,
                 allow_absolute: bool = False, exif_orientation: bool = False,
                 templates: Lines | None = None, label: Value | None = None, truncate: bool = False,
                 count: int | None = None, edit: Path | Result | None = None,
                 no_normalize: bool = False, on_error: Value | None = None,
                 progress: Progress | bool | None = None) -> Result:
        """Zero-shot classes of pictures, and accuracy where labels are known.

        The verb ``cliplens classify``; its fields are in docs/json.md.

        images: Picture, folder, table (.csv, .tsv, .jsonl, .parquet), WebDataset shards or
            published data set.
        classes: File with one class a line, optionally a tab and its label.
        threads: Threads to use (0: all cores).
        split: Only this split of the pictures, where the set has splits: train, val, test, or a
            value of a table's column 'split'.
        path_column: Column of a table that holds the pictures' paths, where it has no usual
            name.
        allow_absolute: A table's paths may be absolute or have '..' in them: files anywhere are
            read.
        exif_orientation: Turn pictures upright by their EXIF orientation, which the reference
            leaves alone.
        templates: File with one template a line ({} is the class), imagenet (80) or simple
            (default imagenet).
        label: Attribute that holds the label (default: the picture's own label).
        truncate: Cut texts longer than the context.
        count: Classes to list for each picture (default 5).
        edit: Edit to apply (cliplens edit).
        no_normalize: Leave edited rows as they are.
        on_error: Pictures that cannot be read: stop at the first, or skip and list them.
        """
        return self._run("classify", [], {"images": images, "classes": classes, "threads": threads,
                                          "split": split, "path_column": path_column,
                                          "allow_absolute": allow_absolute,
                                          "exif_orientation": exif_orientation,
                                          "templates": templates, "label": label,
                                          "truncate": truncate, "count": count, "edit": edit,
                                          "no_normalize": no_normalize,
                                          "on_error": on_error}, progress)

    def decompose(self, images: Any, out: Value | None = None, *, threads: int | None = None,
                  split: Value | None = None, path_column: Value | None = None,
                  allow_absolute: bool = False, exif_orientation: bool = False,
                  stats_only: bool = False, store_dtype: Value | None = None,
                  slices: int | None = None, resume: bool = False, shard: Value | None = None,
                  shard_images: int | None = None, on_error: Value | None = None,
                  name: str | None = None, progress: Progress | bool | None = None) -> Store:
        """Write pictures' embeddings as exact sums of contributions: a store.

        The verb ``cliplens decompose``; its fields are in docs/json.md.

        images: Picture, folder, table (.csv, .tsv, .jsonl, .parquet), WebDataset shards or
            published data set.
        out: Store directory to make.
        threads: Threads to use (0: all cores).
        split: Only this split of the pictures, where the set has splits: train, val, test, or a
            value of a table's column 'split'.
        path_column: Column of a table that holds the pictures' paths, where it has no usual
            name.
        allow_absolute: A table's paths may be absolute or have '..' in them: files anywhere are
            read.
        exif_orientation: Turn pictures upright by their EXIF orientation, which the reference
            leaves alone.
        stats_only: Keep statistics only: the store's size does not grow with the pictures.
        store_dtype: Numbers in the store: fp32 or fp16 (default fp32).
        slices: Disjoint parts of the pictures that give figures their spread (default 8).
        resume: Go on with what an interrupted run with the same arguments left.
        shard: Do part i of n only (i/n, from 0/n); merge makes the whole of all parts.
        shard_images: Pictures in a shard file, which is what is done, or done again, at once
            (default 1024).
        on_error: Pictures that cannot be read: stop at the first, or skip and list them.
        name: Of pictures in memory, which stand as memory:NAME in the store (default pictures).
        """
        return self._decompose({"images": images, "out": out, "threads": threads, "split": split,
                                "path_column": path_column, "allow_absolute": allow_absolute,
                                "exif_orientation": exif_orientation, "stats_only": stats_only,
                                "store_dtype": store_dtype, "slices": slices, "resume": resume,
                                "shard": shard, "shard_images": shard_images,
                                "on_error": on_error}, name, progress)

    def segment(self, image: Any, text: Value | None = None, *, threads: int | None = None,
                heads: Value | None = None, property: Value | None = None,
                labels: Path | Result | None = None, method: Value | None = None,
                neurons: Value | None = None, layers: Value | None = None,
                top_neurons: int | None = None, cut: Value | None = None,
                exif_orientation: bool = False, classes: Lines | None = None,
                class_: Value | None = None, templates: Lines | None = None, truncate: bool = False,
                progress: Progress | bool | None = None) -> Segmentation:
        """Mask of the object that a text or a class names, from its heat map.

        The verb ``cliplens segment``; its fields are in docs/json.md.

        image: The picture.
        text: What to look for; nothing is subtracted from its map.
        threads: Threads to use (0: all cores).
        heads: L11.H3, L9-L11, last-4, all; POOL.H3 at the level of the pool; commas between
            (default all).
        property: The heads that ``labels`` names this property for.
        labels: What ``label`` gave, or its file.
        method: Where maps come from.
        neurons: Store of neurons whose directions ``method`` neurons uses.
        layers: Layers of neurons: 8-10, 9, last-3 (default: all of the store).
        top_neurons: Neurons of a class that ``method`` neurons takes (default 200).
        cut: What is object: above the mean of what is above 0, or above one half of the map's
            range.
        exif_orientation: Turn pictures upright by their EXIF orientation, which the reference
            leaves alone.
        classes: File with one class a line: the map of the class that the model answers, minus
            the mean over the classes.
        class_: This class instead of the answer.
        templates: File with one template a line ({} is the class), imagenet (80) or simple
            (default imagenet).
        truncate: Cut texts longer than the context.
        """
        return self._drawn("segment", Segmentation, {"image": image, "text": text,
                                                     "threads": threads, "heads": heads,
                                                     "property": property, "labels": labels,
                                                     "method": method, "neurons": neurons,
                                                     "layers": layers, "top_neurons": top_neurons,
                                                     "cut": cut,
                                                     "exif_orientation": exif_orientation,
                                                     "classes": classes, "class_": class_,
                                                     "templates": templates,
                                                     "truncate": truncate}, progress)

    def describe(self, *, threads: int | None = None, split: Value | None = None,
                 path_column: Value | None = None, allow_absolute: bool = False,
                 exif_orientation: bool = False, only: Value | None = None, item: int | None = None,
                 minus: Any | None = None, minus_only: Value | None = None,
                 means: Value | None = None, components: Value | None = None,
                 texts: Lines | None = None, count: int | None = None,
                 on_error: Value | None = None, out: Value | None = None, truncate: bool = False,
                 image: Any | None = None, images: Any | None = None, store: Value | None = None,
                 progress: Progress | bool | None = None) -> Result:
        """Pictures, or what a head adds to them, as a sum of a few texts.

        The verb ``cliplens describe``; its fields are in docs/json.md.

        threads: Threads to use (0: all cores).
        split: Only this split of the pictures, where the set has splits: train, val, test, or a
            value of a table's column 'split'.
        path_column: Column of a table that holds the pictures' paths, where it has no usual
            name.
        allow_absolute: A table's paths may be absolute or have '..' in them: files anywhere are
            read.
        exif_orientation: Turn pictures upright by their EXIF orientation, which the reference
            leaves alone.
        only: Only pictures with this ATTRIBUTE=VALUE, or label=VALUE.
        item: Only this picture of the store (by number, from 0).
        minus: Pictures, or a store, whose mean is taken off.
        minus_only: Of what is taken off only pictures with this ATTRIBUTE=VALUE; without
            ``minus``: of the same pictures.
        means: Store whose mean is taken off, statistics are enough (default: ``store``, where a
            part of it is described).
        components: Describe what these add instead of the whole embedding: L11.H3, L9 (all
            heads of it), L9.MLP, INPUT, POOL.MLP; commas between.
        texts: Text pool, one text a line, or a shipped one: general, common_words, properties
            (default general).
        count: Most texts (default 10).
        on_error: Pictures that cannot be read: stop at the first, or skip and list them.
        out: JSON file to write beside what is printed.
        truncate: Cut texts longer than the context.
        image: One picture.
        images: Picture, folder, table (.csv, .tsv, .jsonl, .parquet), WebDataset shards or
            published data set.
        store: A store of pictures, by this model.
        """
        return self._run("describe", [], {"threads": threads, "split": split,
                                          "path_column": path_column,
                                          "allow_absolute": allow_absolute,
                                          "exif_orientation": exif_orientation, "only": only,
                                          "item": item, "minus": minus, "minus_only": minus_only,
                                          "means": means, "components": components, "texts": texts,
                                          "count": count, "on_error": on_error, "out": out,
                                          "truncate": truncate, "image": image, "images": images,
                                          "store": store}, progress)

    def weights(self, *, threads: int | None = None, texts: Lines | None = None,
                heads: Value | None = None, directions: int | None = None, count: int | None = None,
                coherence: float | None = None, out: Value | None = None, csv: Value | None = None,
                truncate: bool = False, progress: Progress | bool | None = None) -> Result:
        """What heads write and read, in words, from their weights alone.

        The verb ``cliplens weights``; its fields are in docs/json.md.

        threads: Threads to use (0: all cores).
        texts: Text pool, one text a line, or a shipped one: general, common_words, properties
            (default general).
        heads: L11.H3, L9-L11, last-4, all; POOL.H3 at the level of the pool; commas between
            (default all).
        directions: Singular directions of each head, the largest first (default 3).
        count: Texts for a direction (default 5).
        coherence: How much texts are preferred that are like those picked before (default 0.3).
        out: JSON file to write beside what is printed.
        csv: CSV file to write, with every text of every direction.
        truncate: Cut texts longer than the context.
        """
        return self._run("weights", [], {"threads": threads, "texts": texts, "heads": heads,
                                         "directions": directions, "count": count,
                                         "coherence": coherence, "out": out, "csv": csv,
                                         "truncate": truncate}, progress)

    def evaluate_segmentation(self, images: Any, classes: Lines, *, threads: int | None = None,
                              split: Value | None = None, path_column: Value | None = None,
                              allow_absolute: bool = False, exif_orientation: bool = False,
                              templates: Lines | None = None, label: Value | None = None,
                              truncate: bool = False, heads: Value | None = None,
                              property: Value | None = None, labels: Path | Result | None = None,
                              method: Value | None = None, neurons: Value | None = None,
                              layers: Value | None = None, top_neurons: int | None = None,
                              cut: Value | None = None, geometry: Value | None = None,
                              truth: bool = False, ignore: int | None = None,
                              maps: Value | None = None, on_error: Value | None = None,
                              progress: Progress | bool | None = None) -> Result:
        """Zero-shot segmentation against masks.

        The verb ``cliplens evaluate segmentation``; its fields are in docs/json.md.

        images: Picture, folder, table (.csv, .tsv, .jsonl, .parquet), WebDataset shards or
            published data set.
        classes: File with one class a line, optionally a tab and its label.
        threads: Threads to use (0: all cores).
        split: Only this split of the pictures, where the set has splits: train, val, test, or a
            value of a table's column 'split'.
        path_column: Column of a table that holds the pictures' paths, where it has no usual
            name.
        allow_absolute: A table's paths may be absolute or have '..' in them: files anywhere are
            read.
        exif_orientation: Turn pictures upright by their EXIF orientation, which the reference
            leaves alone.
        templates: File with one template a line ({} is the class), imagenet (80) or simple
            (default imagenet).
        label: Attribute that holds the label (default: the picture's own label).
        truncate: Cut texts longer than the context.
        heads: L11.H3, L9-L11, last-4, all; POOL.H3 at the level of the pool; commas between
            (default all).
        property: The heads that ``labels`` names this property for.
        labels: What ``label`` gave, or its file.
        method: Where maps come from.
        neurons: Store of neurons whose directions ``method`` neurons uses.
        layers: Layers of neurons: 8-10, 9, last-3 (default: all of the store).
        top_neurons: Neurons of a class that ``method`` neurons takes (default 200).
        cut: What is object: above the mean of what is above 0, or above one half of the map's
            range.
        geometry: What is seen of picture and mask: both cut as the model does, both made
            square, or as the paper's code.
        truth: Maps of the pictures' labels instead of the model's answers.
        ignore: Value of mask pixels that are not counted (default: the set's own).
        maps: The maps before they are enlarged: float32 .npy [pictures, grid, grid] of the
            counted pictures in their order.
        on_error: Pictures that cannot be read: stop at the first, or skip and list them.
        """
        return self._run("evaluate segmentation", [], {"images": images, "classes": classes,
                                                       "threads": threads, "split": split,
                                                       "path_column": path_column,
                                                       "allow_absolute": allow_absolute,
                                                       "exif_orientation": exif_orientation,
                                                       "templates": templates, "label": label,
                                                       "truncate": truncate, "heads": heads,
                                                       "property": property, "labels": labels,
                                                       "method": method, "neurons": neurons,
                                                       "layers": layers, "top_neurons": top_neurons,
                                                       "cut": cut, "geometry": geometry,
                                                       "truth": truth, "ignore": ignore,
                                                       "maps": maps,
                                                       "on_error": on_error}, progress)

    def neurons_collect(self, out: Value | None = None, *, threads: int | None = None,
                        split: Value | None = None, path_column: Value | None = None,
                        allow_absolute: bool = False, exif_orientation: bool = False,
                        truncate: bool = False, layers: Value | None = None, top: int | None = None,
                        stats_only: bool = False, resume: bool = False, shard: Value | None = None,
                        shard_images: int | None = None, on_error: Value | None = None,
                        images: Any | None = None, texts: Lines | None = None,
                        name: str | None = None,
                        progress: Progress | bool | None = None) -> NeuronStore:
        """Collect what neurons do on pictures: a store of neurons.

        The verb ``cliplens neurons collect``; its fields are in docs/json.md.

        out: Store directory to make.
        threads: Threads to use (0: all cores).
        split: Only this split of the pictures, where the set has splits: train, val, test, or a
            value of a table's column 'split'.
        path_column: Column of a table that holds the pictures' paths, where it has no usual
            name.
        allow_absolute: A table's paths may be absolute or have '..' in them: files anywhere are
            read.
        exif_orientation: Turn pictures upright by their EXIF orientation, which the reference
            leaves alone.
        truncate: Cut texts longer than the context.
        layers: Layers whose neurons are wanted: 8-10, 9, last-3 or all (the last layer has no
            attention after it) (default last-3).
        top: Pictures of largest effect that a direction is made of; 0: 100, or a tenth of the
            pictures where that is less (default 0).
        stats_only: Keep statistics only: store and memory do not grow with the pictures, which
            are encoded twice.
        resume: Go on with what an interrupted run with the same arguments left.
        shard: Do part i of n only (i/n, from 0/n); merge makes the whole of all parts.
        shard_images: Pictures in a shard file, which are held in memory, and done again, at
            once (default 128).
        on_error: Pictures that cannot be read: stop at the first, or skip and list them.
        images: Picture, folder, table (.csv, .tsv, .jsonl, .parquet), WebDataset shards or
            published data set.
        texts: Text pool: neurons of the text tower, on these texts.
        name: Of pictures in memory, which stand as memory:NAME in the store (default pictures).
        """
        return self._neurons_collect({"out": out, "threads": threads, "split": split,
                                      "path_column": path_column, "allow_absolute": allow_absolute,
                                      "exif_orientation": exif_orientation, "truncate": truncate,
                                      "layers": layers, "top": top, "stats_only": stats_only,
                                      "resume": resume, "shard": shard,
                                      "shard_images": shard_images, "on_error": on_error,
                                      "images": images, "texts": texts}, name, progress)

    def neurons_weights(self, *, threads: int | None = None, texts: Lines | None = None,
                        tower: Value | None = None, layers: Value | None = None,
                        pairs: int | None = None, count: int | None = None,
                        feeders: int | None = None, normalize: Value | None = None,
                        truncate: bool = False, out: Value | None = None, csv: Value | None = None,
                        png: Value | None = None,
                        progress: Progress | bool | None = None) -> Result:
        """What neurons write through later heads, from weights alone.

        The verb ``cliplens neurons weights``; its fields are in docs/json.md.

        threads: Threads to use (0: all cores).
        texts: Text pool, one text a line, or a shipped one: general, common_words, properties
            (default general).
        tower: Whose neurons: the image tower's or the text tower's (default image).
        layers: Layers: 8-10, 9, last-3 or all (default last-3).
        pairs: Pairs of a neuron and a head to describe in each layer, the strongest (default
            20).
        count: Texts for a pair (default 5).
        feeders: Neurons to name for each head, those that feed it most (default 5).
        normalize: Texts about their mean: each made unit, or scaled by coordinate as in the
            paper's code (default unit).
        truncate: Cut texts longer than the context.
        out: JSON file to write beside what is printed.
        csv: CSV file to write, with every word of every pair.
        png: PNG to write: which later heads each layer feeds.
        """
        return self._run("neurons weights", [], {"threads": threads, "texts": texts, "tower": tower,
                                                 "layers": layers, "pairs": pairs, "count": count,
                                                 "feeders": feeders, "normalize": normalize,
                                                 "truncate": truncate, "out": out, "csv": csv,
                                                 "png": png}, progress)

    def heatmap(self, image: Any, text: Value | None = None, *, threads: int | None = None,
                exif_orientation: bool = False, against: Value | None = None,
                against_classes: Value | None = None, templates: Lines | None = None,
                truncate: bool = False, heads: Value | None = None, property: Value | None = None,
                labels: Path | Result | None = None, direction: Value | None = None,
                span: Path | Result | None = None, scale: Value | None = None,
                progress: Progress | bool | None = None) -> HeatMap:
        """Where in a picture its agreement with a text comes from.

        The verb ``cliplens heatmap``; its fields are in docs/json.md.

        image: The picture.
        text: A text; as often as you like.
        threads: Threads to use (0: all cores).
        exif_orientation: Turn pictures upright by their EXIF orientation, which the reference
            leaves alone.
        against: A text whose map is taken off.
        against_classes: Class file: the mean of the classes' maps is taken off, and a ``text``
            that names a class stands for it.
        templates: Of ``against_classes``: a file with one template a line, imagenet (80) or
            simple (default imagenet).
        truncate: Cut texts longer than the context.
        heads: L11.H3, L9-L11, last-4, all; POOL.H3 at the level of the pool; commas between
            (default all).
        property: The heads that ``labels`` names this property for.
        labels: What ``label`` gave, or its file.
        direction: L11.H3:2, a text of ``span`` through its head alone; as often as you like.
        span: What ``span`` gave, or its file.
        scale: Score of a patch that gets the full colour, or auto: the largest, rounded up
            (default auto).
        """
        return self._drawn("heatmap", HeatMap, {"image": image, "text": text, "threads": threads,
                                                "exif_orientation": exif_orientation,
                                                "against": against,
                                                "against_classes": against_classes,
                                                "templates": templates, "truncate": truncate,
                                                "heads": heads, "property": property,
                                                "labels": labels, "direction": direction,
                                                "span": span, "scale": scale}, progress)

    def explain(self, image: Any, text: Value | None = None, *, threads: int | None = None,
                exif_orientation: bool = False, classes: Lines | None = None,
                class_: Value | None = None, against: Value | None = None,
                templates: Lines | None = None, truncate: bool = False,
                labels: Path | Result | None = None, top: int | None = None,
                through: Value | None = None,
                progress: Progress | bool | None = None) -> Explanation:
        """What each component, patch and word brings to one score.

        The verb ``cliplens explain``; its fields are in docs/json.md.

        image: The picture.
        text: The text that is scored.
        threads: Threads to use (0: all cores).
        exif_orientation: Turn pictures upright by their EXIF orientation, which the reference
            leaves alone.
        classes: Class file: the picture's best class is explained, against the runner-up.
        class_: A class of ``classes`` instead of the best one.
        against: What is taken off: a text, or with ``classes`` a class, runner-up (the default
            there) or mean.
        templates: Of ``classes``: a file with one template a line, imagenet (80) or simple;
            with one template the words are told apart (default imagenet).
        truncate: Cut texts longer than the context.
        labels: What ``label`` gave, or its file, to name heads by.
        top: Components to list on each side (default 8).
        through: A layer, as L9, or text:L9 of the text tower: the score is also split over its
            neurons and the later heads that carry what they write.
        """
        return self._drawn("explain", Explanation, {"image": image, "text": text,
                                                    "threads": threads,
                                                    "exif_orientation": exif_orientation,
                                                    "classes": classes, "class_": class_,
                                                    "against": against, "templates": templates,
                                                    "truncate": truncate, "labels": labels,
                                                    "top": top, "through": through}, progress)


class StoreVerbs:
    """Verbs of a store, as methods."""

    def _run(self, verb: str, positionals: list[tuple[str, Any]], options: dict[str, Any],
             progress: Progress | bool | None) -> Result:
        raise NotImplementedError

    def edit_suggest(self, classes: Lines, *, threads: int | None = None,
                     templates: Lines | None = None, label: Value | None = None,
                     truncate: bool = False, within_classes: bool = False,
                     most_images: int | None = None, means: Value | None = None,
                     out: Value | None = None, cue: Value | None = None,
                     cue_file: Lines | None = None, attribute: Value | None = None,
                     progress: Progress | bool | None = None) -> Result:
        """Whether the class logits follow a cue, and the heads that carry it.

        The verb ``cliplens edit suggest``; its fields are in docs/json.md.

        classes: File with one class a line, optionally a tab and its label.
        threads: Threads to use (0: all cores).
        templates: File with one template a line ({} is the class), imagenet (80) or simple
            (default imagenet).
        label: Attribute that holds the label (default: the picture's own label).
        truncate: Cut texts longer than the context.
        within_classes: Measure the cue within each class, by the pictures' labels.
        most_images: Of more pictures every n-th is used (default 20000).
        means: Store whose means the edit has (default: STORE's own).
        out: Edit file to write.
        cue: Text that names one of the cue's values; twice or more. The model's own answers are
            the groups.
        cue_file: The same from a file: one text a line, optionally a tab and its group.
        attribute: Attribute of the pictures that is the cue.
        """
        return self._run("edit suggest", [], {"classes": classes, "threads": threads,
                                              "templates": templates, "label": label,
                                              "truncate": truncate,
                                              "within_classes": within_classes,
                                              "most_images": most_images, "means": means,
                                              "out": out, "cue": cue, "cue_file": cue_file,
                                              "attribute": attribute}, progress)

    def edit_make(self, *, threads: int | None = None, labels: Path | Result | None = None,
                  mode: Value | None = None, means: Value | None = None, out: Value | None = None,
                  heads: Value | None = None, property: Value | None = None,
                  progress: Progress | bool | None = None) -> Result:
        """An edit of the components that are named.

        The verb ``cliplens edit make``; its fields are in docs/json.md.

        threads: Threads to use (0: all cores).
        labels: What ``label`` gave, or its file.
        mode: mean: replaced by the mean; scale=X: times X (default mean).
        means: Store whose means stand in (default: STORE's own).
        out: Edit file to write.
        heads: L11.H3, L9-L11, last-4, all, also L11.MLP, mlps, INPUT and POOL.MLP; commas
            between.
        property: The heads that ``labels`` names this property for.
        """
        return self._run("edit make", [], {"threads": threads, "labels": labels, "mode": mode,
                                           "means": means, "out": out, "heads": heads,
                                           "property": property}, progress)

    def compare(self, store2: Any, *, threads: int | None = None, classes: Lines | None = None,
                templates: Lines | None = None, label: Value | None = None, truncate: bool = False,
                properties: Lines | None = None, labels: Path | Result | None = None,
                labels2: Path | Result | None = None, most_images: int | None = None,
                count: int | None = None, sort: Value | None = None, flips: int | None = None,
                image: Any | None = None, text: Value | None = None, images: Any | None = None,
                model2: Value | None = None, maps: Value | None = None, out: Value | None = None,
                csv: Value | None = None, progress: Progress | bool | None = None) -> Result:
        """What changed in heads, labels and answers between two models of one shape.

        The verb ``cliplens compare``; its fields are in docs/json.md.

        store2: Store of the same pictures by a model of the same shape: after.
        threads: Threads to use (0: all cores).
        classes: File with one class a line, optionally a tab and its label.
        templates: File with one template a line ({} is the class), imagenet (80) or simple
            (default imagenet).
        label: Attribute that holds the label (default: the picture's own label).
        truncate: Cut texts longer than the context.
        properties: Property table: labels of the heads before and after.
        labels: What ``label`` gave, or its file.
        labels2: The same of STORE2.
        most_images: Of more common pictures the heads are compared on every n-th by path
            (default 2000).
        count: Heads in the table (default 10).
        sort: cka: the least alike first; share: the largest change of the share of variance
            first.
        flips: Pictures with another answer to list (default 10).
        image: A picture; the maps are then of each ``text``.
        text: A text for ``image``; as often as you like.
        images: The pictures, where the store's own have moved.
        model2: The second store's model, where it has moved.
        maps: PNG to write: heat maps of both models side by side, of the listed flips or of
            ``image``.
        out: JSON file to write beside what is printed.
        csv: CSV file to write, with every component.
        """
        return self._run("compare", [("STORE2", store2)], {"threads": threads, "classes": classes,
                                                           "templates": templates, "label": label,
                                                           "truncate": truncate,
                                                           "properties": properties,
                                                           "labels": labels, "labels2": labels2,
                                                           "most_images": most_images,
                                                           "count": count, "sort": sort,
                                                           "flips": flips, "image": image,
                                                           "text": text, "images": images,
                                                           "model2": model2, "maps": maps,
                                                           "out": out, "csv": csv}, progress)

    def span(self, texts: Lines, *, threads: int | None = None, heads: Value | None = None,
             count: int | None = None, rank: int | None = None, out: Value | None = None,
             truncate: bool = False, progress: Progress | bool | None = None) -> Result:
        """TextSpan: the texts that span what each head writes.

        The verb ``cliplens span``; its fields are in docs/json.md.

        texts: Text pool, one text a line, or a shipped one: general, common_words, properties.
        threads: Threads to use (0: all cores).
        heads: L11.H3, L9-L11, last-4, all; POOL.H3 at the level of the pool; commas between
            (default all).
        count: Texts for each head (default 20).
        rank: Directions of the head to keep (0: its numerical rank) (default 0).
        out: JSON file to write beside what is printed.
        truncate: Cut texts longer than the context.
        """
        return self._run("span", [], {"texts": texts, "threads": threads, "heads": heads,
                                      "count": count, "rank": rank, "out": out,
                                      "truncate": truncate}, progress)

    def ablate(self, classes: Lines, *, threads: int | None = None, templates: Lines | None = None,
               label: Value | None = None, truncate: bool = False, means: Value | None = None,
               components: int | None = None, out: Value | None = None, csv: Value | None = None,
               svg: Value | None = None, progress: Progress | bool | None = None) -> Result:
        """Accuracy when parts of the model are replaced by their means.

        The verb ``cliplens ablate``; its fields are in docs/json.md.

        classes: File with one class a line, optionally a tab and its label.
        threads: Threads to use (0: all cores).
        templates: File with one template a line ({} is the class), imagenet (80) or simple
            (default imagenet).
        label: Attribute that holds the label (default: the picture's own label).
        truncate: Cut texts longer than the context.
        means: Store whose means stand in (default: STORE's own).
        components: Components to list, those first whose loss costs most accuracy (default 10).
        out: JSON file to write beside what is printed.
        csv: CSV file to write, with every component.
        svg: SVG file to write, with both curves.
        """
        return self._run("ablate", [], {"classes": classes, "threads": threads,
                                        "templates": templates, "label": label,
                                        "truncate": truncate, "means": means,
                                        "components": components, "out": out, "csv": csv,
                                        "svg": svg}, progress)

    def reconstruct(self, texts: Value, classes: Lines, *, threads: int | None = None,
                    templates: Lines | None = None, label: Value | None = None,
                    truncate: bool = False, counts: Value | None = None, layers: int | None = None,
                    rank: int | None = None, random: int | None = None, out: Value | None = None,
                    csv: Value | None = None, progress: Progress | bool | None = None) -> Result:
        """Accuracy when each head keeps only the span of its texts.

        The verb ``cliplens reconstruct``; its fields are in docs/json.md.

        texts: Text pool, one text a line, or a shipped one: general, common_words, properties;
            may be given several times.
        classes: File with one class a line, optionally a tab and its label.
        threads: Threads to use (0: all cores).
        templates: File with one template a line ({} is the class), imagenet (80) or simple
            (default imagenet).
        label: Attribute that holds the label (default: the picture's own label).
        truncate: Cut texts longer than the context.
        counts: Texts of each head, ascending (default [5,10,20,60]).
        layers: The last so many layers are reconstructed (default 4).
        rank: Directions of the head to keep (0: its numerical rank) (default 0).
        random: Controls: so many random pools with the spectrum of the first (default 0).
        out: JSON file to write beside what is printed.
        csv: CSV file to write.
        """
        return self._run("reconstruct", [], {"texts": texts, "classes": classes, "threads": threads,
                                             "templates": templates, "label": label,
                                             "truncate": truncate, "counts": counts,
                                             "layers": layers, "rank": rank, "random": random,
                                             "out": out, "csv": csv}, progress)

    def label(self, *, threads: int | None = None, properties: Lines | None = None,
              texts: Lines | None = None, heads: Value | None = None,
              most_images: int | None = None, seed: int | None = None, truncate: bool = False,
              beside: Value | None = None, beside_model: Value | None = None,
              out: Value | None = None, csv: Value | None = None,
              progress: Progress | bool | None = None) -> Result:
        """One property for each head, or none.

        The verb ``cliplens label``; its fields are in docs/json.md.

        threads: Threads to use (0: all cores).
        properties: Property table: one text a line, a tab, its property (default: the shipped
            table for photographs).
        texts: Pool with properties for the scores, or the shipped general (default: the
            property table).
        heads: L11.H3, L9-L11, last-4, all; POOL.H3 at the level of the pool; commas between
            (default all).
        most_images: Of more pictures every n-th is used (default 10000).
        seed: Of random texts and halves (default 1).
        truncate: Cut texts longer than the context.
        beside: Store of a second model, whose scores stand beside the first's.
        beside_model: The second store's model (default: what the store names).
        out: JSON file to write beside what is printed.
        csv: CSV file to write, with every property of every head.
        """
        return self._run("label", [], {"threads": threads, "properties": properties, "texts": texts,
                                       "heads": heads, "most_images": most_images, "seed": seed,
                                       "truncate": truncate, "beside": beside,
                                       "beside_model": beside_model, "out": out,
                                       "csv": csv}, progress)

    def evaluate_groups(self, classes: Lines, attribute: Value, *, threads: int | None = None,
                        templates: Lines | None = None, label: Value | None = None,
                        truncate: bool = False, labels: Path | Result | None = None,
                        means: Value | None = None, random: int | None = None,
                        seed: int | None = None, skip_empty: bool = False,
                        weights_from: Value | None = None, weights_split: Value | None = None,
                        out: Value | None = None, csv: Value | None = None,
                        edit: Path | Result | None = None, heads: Value | None = None,
                        property: Value | None = None,
                        progress: Progress | bool | None = None) -> Result:
        """Accuracy by group of class and attribute, before and after an edit.

        The verb ``cliplens evaluate groups``; its fields are in docs/json.md.

        classes: File with one class a line, optionally a tab and its label.
        attribute: Attribute of the pictures that makes groups of each class.
        threads: Threads to use (0: all cores).
        templates: File with one template a line ({} is the class), imagenet (80) or simple
            (default imagenet).
        label: Attribute that holds the label (default: the picture's own label).
        truncate: Cut texts longer than the context.
        labels: What ``label`` gave, or its file.
        means: Store whose means stand in (default: STORE's own).
        random: Draws of as many random heads (default 5).
        seed: Of the random heads (default 1).
        skip_empty: Leave groups without pictures out.
        weights_from: Also the average over groups weighted by their pictures here: a store, or
            pictures with labels and attributes (the training set).
        weights_split: Count this split of the pictures of ``weights_from`` only.
        out: JSON file to write beside what is printed.
        csv: CSV file to write, with every group.
        edit: Edit file (cliplens edit).
        heads: Components to replace by means: L11.H3, L9-L11, L11.MLP, mlps, INPUT.
        property: Replace the heads that ``labels`` names this property for.
        """
        return self._run("evaluate groups", [], {"classes": classes, "attribute": attribute,
                                                 "threads": threads, "templates": templates,
                                                 "label": label, "truncate": truncate,
                                                 "labels": labels, "means": means, "random": random,
                                                 "seed": seed, "skip_empty": skip_empty,
                                                 "weights_from": weights_from,
                                                 "weights_split": weights_split, "out": out,
                                                 "csv": csv, "edit": edit, "heads": heads,
                                                 "property": property}, progress)

    def evaluate_labels(self, truth: Value, *, threads: int | None = None,
                        properties: Lines | None = None, texts: Lines | None = None,
                        heads: Value | None = None, most_images: int | None = None,
                        seed: int | None = None, truncate: bool = False, only: Value | None = None,
                        progress: Progress | bool | None = None) -> Result:
        """Labels of heads against known factors of the pictures.

        The verb ``cliplens evaluate labels``; its fields are in docs/json.md.

        truth: Attributes of the pictures that hold the truth; commas between.
        threads: Threads to use (0: all cores).
        properties: Property table: one text a line, a tab, its property (default: the shipped
            table for photographs).
        texts: Pool with properties for the scores, or the shipped general (default: the
            property table).
        heads: L11.H3, L9-L11, last-4, all; POOL.H3 at the level of the pool; commas between
            (default all).
        most_images: Of more pictures every n-th is used (default 10000).
        seed: Of random texts and halves (default 1).
        truncate: Cut texts longer than the context.
        only: Measure the truth on the pictures with ATTRIBUTE=VALUE (empty: without it).
        """
        return self._run("evaluate labels", [], {"truth": truth, "threads": threads,
                                                 "properties": properties, "texts": texts,
                                                 "heads": heads, "most_images": most_images,
                                                 "seed": seed, "truncate": truncate,
                                                 "only": only}, progress)

    def search(self, *, threads: int | None = None, image: Value | None = None,
               item: Value | None = None, text: Value | None = None, like: Value | None = None,
               unlike: Value | None = None, in_: Value | None = None, heads: Value | None = None,
               property: Value | None = None, labels: Path | Result | None = None,
               definition: Value | None = None, measure: Value | None = None, raw: bool = False,
               count: int | None = None, index: Value | None = None, shard: Value | None = None,
               truncate: bool = False, progress: Progress | bool | None = None) -> Result:
        """The pictures of a store that are most alike in some heads.

        The verb ``cliplens search``; its fields are in docs/json.md.

        threads: Threads to use (0: all cores).
        image: Pictures like this file.
        item: Pictures like this item of the store (by number, from 0).
        text: Pictures of this text.
        like: As ``image``, ``item`` or ``text``: FILE, N or text:WORDS; may repeat.
        unlike: The same, away from it.
        in_: Where the query before it is compared: a property, heads, or embedding.
        heads: L11.H3, L9-L11, last-4, all; POOL.H3 at the level of the pool; commas between;
            embedding: the whole of it (default embedding).
        property: The heads of which ``labels`` says that this property explains more than
            chance does, by their shares, in what the property's texts differ in.
        labels: What ``label`` gave, or its file.
        definition: Likeness of several heads: score-of-sum or sum-of-scores (default score-of-
            sum).
        measure: cosine or dot, about the mean of the store's pictures; raw: dot product of the
            contributions as they are (default cosine).
        raw: The same as ``measure`` raw.
        count: Pictures to find (default 10).
        index: FAISS index that answers; made when the file is not there.
        shard: Search part i of n of the shards only (i/n, from 0/n); the best of all parts are
            the best of the store.
        truncate: Cut texts longer than the context.
        """
        return self._run("search", [], {"threads": threads, "image": image, "item": item,
                                        "text": text, "like": like, "unlike": unlike, "in_": in_,
                                        "heads": heads, "property": property, "labels": labels,
                                        "definition": definition, "measure": measure, "raw": raw,
                                        "count": count, "index": index, "shard": shard,
                                        "truncate": truncate}, progress)

    def match(self, store2: Any, *, threads: int | None = None, labels: Path | Result | None = None,
              labels2: Path | Result | None = None, most_images: int | None = None,
              count: int | None = None, progress: Progress | bool | None = None) -> Result:
        """Heads of two stores that tell the same pictures apart.

        The verb ``cliplens match``; its fields are in docs/json.md.

        store2: Store of the same pictures, of this or another model.
        threads: Threads to use (0: all cores).
        labels: What ``label`` gave, or its file, to name heads by.
        labels2: The same of STORE2.
        most_images: Of more common pictures every n-th by path is used (default 512).
        count: Matches in the table (default 20).
        """
        return self._run("match", [("STORE2", store2)], {"threads": threads, "labels": labels,
                                                         "labels2": labels2,
                                                         "most_images": most_images,
                                                         "count": count}, progress)

    def report(self, texts: Lines, out: Value, *, threads: int | None = None,
               heads: Value | None = None, count: int | None = None, pictures: int | None = None,
               images: Any | None = None, properties: Lines | None = None,
               classes: Lines | None = None, templates: Lines | None = None,
               label: Value | None = None, truncate: bool = False, attribute: Value | None = None,
               edit: Path | Result | None = None, image: Any | None = None,
               text: Value | None = None, beside: Value | None = None,
               beside_model: Value | None = None, neurons: Value | None = None,
               neuron_images: Value | None = None,
               progress: Progress | bool | None = None) -> Result:
        """One self-contained HTML page about the heads of a store.

        The verb ``cliplens report``; its fields are in docs/json.md.

        texts: Text pool, one text a line, or a shipped one: general, common_words, properties.
        out: HTML file to write.
        threads: Threads to use (0: all cores).
        heads: L11.H3, L9-L11, last-4, all; POOL.H3 at the level of the pool; commas between
            (default all).
        count: Texts for each head (default 10).
        pictures: Pictures highest and lowest along each of a head's first texts (default 6).
        images: The pictures, where the store's own have moved.
        properties: Property table; the page then labels the heads.
        classes: File with one class a line, optionally a tab and its label.
        templates: File with one template a line ({} is the class), imagenet (80) or simple
            (default imagenet).
        label: Attribute that holds the label (default: the picture's own label).
        truncate: Cut texts longer than the context.
        attribute: Attribute of the pictures: accuracy by group of class and attribute.
        edit: Edit to show before and after, by group.
        image: A picture; the page then shows where its scores with each ``text`` come from.
        text: A text for ``image``; as often as you like.
        beside: Store of the same pictures by a model of the same shape, such as before or after
            fine-tuning; the page then says what changed.
        beside_model: The second store's model (default: what the store names).
        neurons: Store of neurons of the same model; the page then shows those that matter most
            in each layer, and which of them feed a head.
        neuron_images: The pictures of the store of neurons, where they have moved.
        """
        return self._run("report", [], {"texts": texts, "out": out, "threads": threads,
                                        "heads": heads, "count": count, "pictures": pictures,
                                        "images": images, "properties": properties,
                                        "classes": classes, "templates": templates, "label": label,
                                        "truncate": truncate, "attribute": attribute, "edit": edit,
                                        "image": image, "text": text, "beside": beside,
                                        "beside_model": beside_model, "neurons": neurons,
                                        "neuron_images": neuron_images}, progress)

    def export(self, out: Value, *, threads: int | None = None, format: Value | None = None,
               heads: Value | None = None, property: Value | None = None,
               labels: Path | Result | None = None, definition: Value | None = None,
               measure: Value | None = None, raw: bool = False, edit: Path | Result | None = None,
               no_normalize: bool = False, progress: Progress | bool | None = None) -> Result:
        """A store's contributions, or an index of them, for other programs.

        The verb ``cliplens export``; its fields are in docs/json.md.

        out: Directory to make, or file of an index.
        threads: Threads to use (0: all cores).
        format: npy: float32 arrays of numpy; faiss: an index for search (default npy).
        heads: L11.H3, L9-L11, last-4, all; POOL.H3 at the level of the pool; commas between;
            embedding: the whole of it (default embedding).
        property: The heads of which ``labels`` says that this property explains more than
            chance does, by their shares, in what the property's texts differ in.
        labels: What ``label`` gave, or its file.
        definition: Likeness of several heads: score-of-sum or sum-of-scores (default score-of-
            sum).
        measure: cosine or dot, about the mean of the store's pictures; raw: dot product of the
            contributions as they are (default cosine).
        raw: The same as ``measure`` raw.
        edit: Edit to apply (cliplens edit).
        no_normalize: Leave edited rows as they are.
        """
        return self._run("export", [], {"out": out, "threads": threads, "format": format,
                                        "heads": heads, "property": property, "labels": labels,
                                        "definition": definition, "measure": measure, "raw": raw,
                                        "edit": edit, "no_normalize": no_normalize}, progress)

    def verify(self, *, threads: int | None = None,
               progress: Progress | bool | None = None) -> Result:
        """Check everything that a store promises.

        The verb ``cliplens verify``; its fields are in docs/json.md.

        threads: Threads to use (0: all cores).
        """
        return self._run("verify", [], {"threads": threads}, progress)


class NeuronVerbs:
    """Verbs of a store of neurons, as methods."""

    def _run(self, verb: str, positionals: list[tuple[str, Any]], options: dict[str, Any],
             progress: Progress | bool | None) -> Result:
        raise NotImplementedError

    def ablate(self, classes: Lines, *, threads: int | None = None, templates: Lines | None = None,
               label: Value | None = None, truncate: bool = False, layers: Value | None = None,
               directions: Value | None = None, out: Value | None = None, csv: Value | None = None,
               svg: Value | None = None, progress: Progress | bool | None = None) -> Result:
        """Accuracy when neurons' effects are replaced by their means.

        The verb ``cliplens neurons ablate``; its fields are in docs/json.md.

        classes: File with one class a line, optionally a tab and its label.
        threads: Threads to use (0: all cores).
        templates: File with one template a line ({} is the class), imagenet (80) or simple
            (default imagenet).
        label: Attribute that holds the label (default: the picture's own label).
        truncate: Cut texts longer than the context.
        layers: Layers: 8-10, 9, last-3 (default: all of STORE).
        directions: Store of neurons whose means, directions and thresholds are used (default:
            STORE's own).
        out: JSON file to write beside what is printed.
        csv: CSV file to write, with every row of every layer.
        svg: SVG file to write, accuracy by layer.
        """
        return self._run("neurons ablate", [], {"classes": classes, "threads": threads,
                                                "templates": templates, "label": label,
                                                "truncate": truncate, "layers": layers,
                                                "directions": directions, "out": out, "csv": csv,
                                                "svg": svg}, progress)

    def cue(self, towards: Any, from_: Any, *, threads: int | None = None,
            texts: Lines | None = None, count: int | None = None, neurons: int | None = None,
            words: int | None = None, similar: float | None = None, layers: Value | None = None,
            normalize: Value | None = None, score: Value | None = None,
            on_error: Value | None = None, truncate: bool = False, out: Value | None = None,
            progress: Progress | bool | None = None) -> Result:
        """Words that push the answer from one class towards another.

        The verb ``cliplens neurons cue``; its fields are in docs/json.md.

        towards: Text of the class that is to be answered.
        from_: Text of the class that is in the picture.
        threads: Threads to use (0: all cores).
        texts: Text pool, one text a line, or a shipped one: general, common_words, properties
            (default general).
        count: Words to list (default 20).
        neurons: Neurons whose directions tell the classes apart most (default 100).
        words: Texts for a neuron (default 32).
        similar: Words whose cosine with TOWARDS, about the pool's mean, is at least this are
            left out (default 0.6).
        layers: Layers: 8-10, 9, last-3 (default: all of STORE).
        normalize: Texts about their mean: each made unit, or scaled by coordinate as in the
            paper's code (default unit).
        score: Pictures to hold against both classes: how many are answered with TOWARDS.
        on_error: Pictures that cannot be read: stop at the first, or skip and list them.
        truncate: Cut texts longer than the context.
        out: JSON file to write beside what is printed.
        """
        return self._run("neurons cue", [("TOWARDS", towards), ("FROM", from_)], {"threads": threads,
                                                                                  "texts": texts,
                                                                                  "count": count,
                                                                                  "neurons": neurons,
                                                                                  "words": words,
                                                                                  "similar": similar,
                                                                                  "layers": layers,
                                                                                  "normalize": normalize,
                                                                                  "score": score,
                                                                                  "on_error": on_error,
                                                                                  "truncate": truncate,
                                                                                  "out": out}, progress)

    def discover(self, image: Any, *, threads: int | None = None, exif_orientation: bool = False,
                 texts: Lines | None = None, count: int | None = None,
                 normalize: Value | None = None, truncate: bool = False,
                 layers: Value | None = None, concepts: int | None = None,
                 neurons: int | None = None, out: Value | None = None,
                 progress: Progress | bool | None = None) -> Result:
        """Concepts in a picture, by the neurons that are active in it.

        The verb ``cliplens neurons discover``; its fields are in docs/json.md.

        image: The picture.
        threads: Threads to use (0: all cores).
        exif_orientation: Turn pictures upright by their EXIF orientation, which the reference
            leaves alone.
        texts: Text pool, one text a line, or a shipped one: general, common_words, properties
            (default general).
        count: Texts for a neuron (default 32).
        normalize: Texts about their mean: each made unit, or scaled by coordinate as in the
            paper's code (default unit).
        truncate: Cut texts longer than the context.
        layers: Layers: 8-10, 9, last-3 (default: all of STORE).
        concepts: Concepts to list on each side (default 10).
        neurons: Active neurons to list (default 10).
        out: JSON file to write beside what is printed.
        """
        return self._run("neurons discover", [], {"image": image, "threads": threads,
                                                  "exif_orientation": exif_orientation,
                                                  "texts": texts, "count": count,
                                                  "normalize": normalize, "truncate": truncate,
                                                  "layers": layers, "concepts": concepts,
                                                  "neurons": neurons, "out": out}, progress)

    def reconstruct(self, classes: Lines, *, threads: int | None = None,
                    templates: Lines | None = None, label: Value | None = None,
                    truncate: bool = False, layers: Value | None = None,
                    directions: Value | None = None, texts: Value | None = None,
                    counts: Value | None = None, normalize: Value | None = None, raw: bool = False,
                    out: Value | None = None, csv: Value | None = None, svg: Value | None = None,
                    progress: Progress | bool | None = None) -> Result:
        """Accuracy when neurons keep the sums of their texts.

        The verb ``cliplens neurons reconstruct``; its fields are in docs/json.md.

        classes: File with one class a line, optionally a tab and its label.
        threads: Threads to use (0: all cores).
        templates: File with one template a line ({} is the class), imagenet (80) or simple
            (default imagenet).
        label: Attribute that holds the label (default: the picture's own label).
        truncate: Cut texts longer than the context.
        layers: Layers: 8-10, 9, last-3 (default: all of STORE).
        directions: Store of neurons whose means, directions and thresholds are used (default:
            STORE's own).
        texts: Text pools; may be given several times (default [general]).
        counts: Texts a neuron; commas between (default [1,2,4,8,16,32,64,128]).
        normalize: Texts about their mean: each made unit, or scaled by coordinate as in the
            paper's code (default unit).
        raw: Project effects on the sum of texts as it is, as the paper's code does.
        out: JSON file to write beside what is printed.
        csv: CSV file to write.
        svg: SVG file to write, accuracy by number of texts, a figure for each layer.
        """
        return self._run("neurons reconstruct", [], {"classes": classes, "threads": threads,
                                                     "templates": templates, "label": label,
                                                     "truncate": truncate, "layers": layers,
                                                     "directions": directions, "texts": texts,
                                                     "counts": counts, "normalize": normalize,
                                                     "raw": raw, "out": out, "csv": csv,
                                                     "svg": svg}, progress)

    def show(self, neuron: Any, *, threads: int | None = None, texts: Lines | None = None,
             count: int | None = None, normalize: Value | None = None, truncate: bool = False,
             heads: int | None = None, pictures: int | None = None, maps: Value | None = None,
             images: Any | None = None, out: Value | None = None,
             progress: Progress | bool | None = None) -> Result:
        """One neuron: its words, the heads that carry it, its pictures.

        The verb ``cliplens neurons show``; its fields are in docs/json.md.

        neuron: The neuron, as L9.N2914.
        threads: Threads to use (0: all cores).
        texts: Text pool, one text a line, or a shipped one: general, common_words, properties
            (default general).
        count: Texts for a neuron (default 8).
        normalize: Texts about their mean: each made unit, or scaled by coordinate as in the
            paper's code (default unit).
        truncate: Cut texts longer than the context.
        heads: Heads to list, the strongest (default 8).
        pictures: Pictures to list, those of largest effect (default 9).
        maps: PNG to write: where the neuron fires in them.
        images: Where the store's pictures are, if they have moved.
        out: JSON file to write beside what is printed.
        """
        return self._run("neurons show", [("NEURON", neuron)], {"threads": threads, "texts": texts,
                                                                "count": count,
                                                                "normalize": normalize,
                                                                "truncate": truncate,
                                                                "heads": heads,
                                                                "pictures": pictures, "maps": maps,
                                                                "images": images,
                                                                "out": out}, progress)

    def words(self, *, threads: int | None = None, texts: Lines | None = None,
              neurons: Value | None = None, count: int | None = None,
              directions: Value | None = None, normalize: Value | None = None,
              most: int | None = None, truncate: bool = False, out: Value | None = None,
              csv: Value | None = None, npz: Value | None = None,
              progress: Progress | bool | None = None) -> Result:
        """What neurons do, in a few words each.

        The verb ``cliplens neurons words``; its fields are in docs/json.md.

        threads: Threads to use (0: all cores).
        texts: Text pool, one text a line, or a shipped one: general, common_words, properties
            (default general).
        neurons: Neurons and layers, as L9.N2914,L10 (default: all).
        count: Texts for a neuron (default 8).
        directions: Directions from the pictures of largest effect, or from all (default top).
        normalize: Texts about their mean: each made unit, or scaled by coordinate as in the
            paper's code (default unit).
        most: Neurons to list, those of largest variance; files have all (default 20).
        truncate: Cut texts longer than the context.
        out: JSON file to write beside what is printed.
        csv: CSV file to write, with every word of every neuron.
        npz: NPZ file to write: directions, and weights of texts.
        """
        return self._run("neurons words", [], {"threads": threads, "texts": texts,
                                               "neurons": neurons, "count": count,
                                               "directions": directions, "normalize": normalize,
                                               "most": most, "truncate": truncate, "out": out,
                                               "csv": csv, "npz": npz}, progress)


def _run(verb: str, positionals: list[tuple[str, Any]], options: dict[str, Any],
         progress: Progress | bool | None) -> Result:
    from ._run import run

    return run(verb, positionals, options, progress=progress)


def pull(name: Any, *, threads: int | None = None, revision: Value | None = None,
         original: bool = False, any: bool = False,
         progress: Progress | bool | None = None) -> Result:
    """Fetch a model into the cache that transformers and open_clip read.

    The verb ``cliplens pull``; its fields are in docs/json.md.

    name: hf:ORG/NAME, or open_clip's ARCH/TAG such as ViT-B-32/openai.
    threads: Threads to use (0: all cores).
    revision: A branch, a tag or a commit (default: main).
    original: ARCH/TAG from OpenAI's or open_clip's own address, into ~/.cache/clip.
    any: Also a model that this version does not evaluate, for other programs.
    """
    return _run("pull", [("NAME", name)], {"threads": threads, "revision": revision,
                                           "original": original, "any": any}, progress)


def edit_show(edit: Any, *, threads: int | None = None,
              progress: Progress | bool | None = None) -> Result:
    """What an edit does.

    The verb ``cliplens edit show``; its fields are in docs/json.md.

    edit: Edit file.
    threads: Threads to use (0: all cores).
    """
    return _run("edit show", [("EDIT", edit)], {"threads": threads}, progress)


def merge(stores: Sequence[Any], out: Value, *, threads: int | None = None,
          progress: Progress | bool | None = None) -> Result:
    """One store out of several of the same model.

    The verb ``cliplens merge``; its fields are in docs/json.md.

    stores: Stores to merge.
    out: Store directory to make.
    threads: Threads to use (0: all cores).
    """
    return _run("merge", [("STORES", stores)], {"out": out, "threads": threads}, progress)
