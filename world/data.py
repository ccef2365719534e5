"""Training batches of the picture world: pictures, factors and captions as arrays.

A batch depends on the plan and the step alone, so a resumed run sees what an uninterrupted one
would have seen. Rendering runs in a process of its own.
"""
import dataclasses
import multiprocessing
import os
import queue

import numpy as np
import torch

from world.factors import FACTORS, prompts
from world.model import PATCH
from world.objects import CATEGORY_OF

NAMES = list(FACTORS)
COLUMN = {name: i for i, name in enumerate(NAMES)}
INDEX = {name: {value: i for i, value in enumerate(values)} for name, values in FACTORS.items()}
# Category number of every object; the entry that index −1 finds stands for "no object".
CATEGORY = torch.tensor([INDEX["category"][CATEGORY_OF[o]] for o in FACTORS["object"]] + [-2])
# These describe the first object alone, so they are asked only of pictures with one object.
PLACED = ("position", "size", "count")


@dataclasses.dataclass
class Batch:
    """One step's data. Factors hold value numbers, −1 where the factor does not apply."""
    images: torch.Tensor        # uint8 [B, S, S, 3]
    factors: torch.Tensor       # int64 [B, factors]
    second: torch.Tensor        # int64 [B] second object, −1 without one
    patch_objects: torch.Tensor  # int64 [B, N] object a patch shows, −1 for background
    captions: torch.Tensor      # int64 [B, context]
    stated: torch.Tensor        # int64 [B, factors] value a caption states, −1 where silent
    stated_second: torch.Tensor  # int64 [B] second object a caption states

    def to(self, device):
        return Batch(**{f.name: getattr(self, f.name).to(device)
                        for f in dataclasses.fields(self)})


def encode_factors(values):
    """A factor → value dict as a row of value numbers, −1 where absent, and the second object."""
    row = np.full(len(NAMES), -1, np.int64)
    for name, value in values.items():
        if name in COLUMN and value is not None:
            row[COLUMN[name]] = INDEX[name][value]
    second = values.get("object2")
    return row, -1 if second is None else INDEX["object"][second]


def patch_labels(mask, first, second, size):
    """Object number shown by each patch [N]: at least half covered by it, else −1."""
    grid = len(mask) // size
    cells = mask.reshape(grid, size, grid, size)
    out = np.full(grid * grid, -1, np.int64)
    for level, number in ((1, first), (2, second)):
        share = (cells == level).mean((1, 3)).reshape(-1)
        out[share >= 0.5] = number
    return out


def collate(pictures, tokenizer, patch=PATCH):
    rows, seconds, patches, said, said_second = [], [], [], [], []
    for p in pictures:
        row, second = encode_factors(p.factors)
        rows.append(row)
        seconds.append(second)
        patches.append(patch_labels(p.mask, row[COLUMN["object"]], second, patch))
        stated, stated_second = encode_factors(p.caption_facts)
        said.append(stated)
        said_second.append(stated_second)
    return Batch(
        images=torch.from_numpy(np.stack([p.image for p in pictures])),
        factors=torch.from_numpy(np.stack(rows)),
        second=torch.tensor(seconds),
        patch_objects=torch.from_numpy(np.stack(patches)),
        captions=tokenizer([p.caption for p in pictures]),
        stated=torch.from_numpy(np.stack(said)),
        stated_second=torch.tensor(said_second))


def true_captions(batch):
    """Which captions are true of which pictures, bool [B pictures, B captions].

    The same rule as world.factors.caption_matches, for all pairs of a batch at once.
    """
    def agrees(said, has):
        return (said < 0)[None, :] | (has[:, None] == said[None, :])

    n = len(batch.images)
    true = torch.ones(n, n, dtype=torch.bool, device=batch.images.device)
    for name in NAMES:
        if name not in ("object", "category"):
            true &= agrees(batch.stated[:, COLUMN[name]], batch.factors[:, COLUMN[name]])
    name, category = batch.stated[:, COLUMN["object"]], batch.stated[:, COLUMN["category"]]
    other = batch.stated_second
    first, second = batch.factors[:, COLUMN["object"]], batch.second
    category_of = CATEGORY.to(first.device)
    in_order, swapped = (
        agrees(name, one) & agrees(category, category_of[one]) & agrees(other, two)
        for one, two in ((first, second), (second, first)))
    swapped &= (second >= 0)[:, None]
    for name in PLACED:
        swapped &= (batch.stated[:, COLUMN[name]] < 0)[None, :]
    return true & (in_order | swapped)


class Prompts:
    """Prompt sentences of every factor as token ids, several templates for each value."""

    def __init__(self, tokenizer):
        self.sentences = {name: prompts(name) for name in NAMES}
        self.ids = {name: [tokenizer(s) for s in self.sentences[name]] for name in NAMES}
        self.spans, start = {}, 0
        for name in NAMES:
            self.spans[name] = (start, start + len(FACTORS[name]))
            start += len(FACTORS[name])
        self.count = start

    def sample(self, generator):
        """Two sentences for every value, drawn apart: ids [2, values of all factors, context]."""
        rows = ([], [])
        for name in NAMES:
            for ids in self.ids[name]:
                pick = torch.randperm(len(ids), generator=generator)
                rows[0].append(ids[pick[0]])
                rows[1].append(ids[pick[min(1, len(ids) - 1)]])
        return torch.stack([torch.stack(r) for r in rows])


def _render(make, requests, results, parent):
    # The training process may be tied to one core; rendering may use the others.
    os.sched_setaffinity(0, range(os.cpu_count()))
    torch.set_num_threads(1)
    source = make()
    while True:
        try:
            step = requests.get(timeout=5)
        except queue.Empty:
            if os.getppid() != parent:
                results.cancel_join_thread()  # nobody reads what is still in the pipe
                return
            continue
        if step is None:
            return
        batch = source(step)
        results.put({f.name: getattr(batch, f.name).numpy()
                     for f in dataclasses.fields(batch)})


class Feeder:
    """Renders batches for steps start, start+1, … in another process, a few ahead.

    make: a picklable callable that returns step → Batch; called once in that process.
    """

    def __init__(self, make, start, ahead=12):
        context = multiprocessing.get_context("fork")
        self._requests, self._results = context.Queue(), context.Queue()
        self._next = start
        self._process = context.Process(
            target=_render, args=(make, self._requests, self._results, os.getpid()), daemon=True)
        self._process.start()
        for _ in range(ahead):
            self._ask()

    def _ask(self):
        self._requests.put(self._next)
        self._next += 1

    def get(self):
        while True:
            try:
                item = self._results.get(timeout=30)
                break
            except queue.Empty:
                if not self._process.is_alive():
                    raise RuntimeError("the rendering process ended; see its error above") from None
        self._ask()
        return Batch(**{k: torch.from_numpy(v) for k, v in item.items()})

    def close(self):
        self._requests.put(None)
        self._process.join(timeout=2)
        if self._process.is_alive():
            self._process.terminate()
