"""One step of each loss with everything but the random draws on another device.

No GPU is needed: `Elsewhere` marks tensors as being on another device, computes on the CPU, and
refuses operations on tensors of both devices (a GPU does too, but for indices). So a step must
neither leave a tensor behind nor change a number.
"""
import argparse

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_iter, tree_map_only

from world import data, evaluate, layouts, roles, train
from world import model as clip
from world.factors import FACTORS
from world.tokenizer import Tokenizer

# A device name whose gradients PyTorch computes without hardware for it.
LABEL = torch.device("meta")


class Marked(torch.Tensor):
    """A CPU tensor that says it is elsewhere."""

    @staticmethod
    def __new__(cls, inner):
        marked = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(),
            dtype=inner.dtype, device=LABEL)
        marked.inner = inner
        return marked

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        raise AssertionError(f"{function} outside of Elsewhere")


class Elsewhere(TorchDispatchMode):
    """Runs operations on marked tensors; they fail where marked and unmarked ones meet."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        tensors = [t for t in tree_iter((args, kwargs)) if isinstance(t, torch.Tensor)]
        marked = any(isinstance(t, Marked) for t in tensors)
        if function is torch.ops.aten.copy_.default:  # may go between devices
            marked = isinstance(args[0], Marked)
        elif marked:
            # Single numbers may come from the CPU.
            left = [tuple(t.shape) for t in tensors if not isinstance(t, Marked) and t.ndim]
            if left:
                raise RuntimeError(f"{function}: tensors {left} left on the CPU")
        if kwargs.get("device") is not None:
            marked = torch.device(kwargs["device"]) == LABEL
            kwargs["device"] = torch.device("cpu")
        inner_args, inner_kwargs = tree_map_only(Marked, lambda t: t.inner, (args, kwargs))
        out = function(*inner_args, **inner_kwargs)
        if not marked:
            return out
        out = tree_map_only(torch.Tensor, Marked, out)
        return return_and_correct_aliasing(function, args, kwargs, out)


@pytest.fixture(scope="module")
def batch(world):
    return data.collate([world.picture("train", seed=5, index=i) for i in range(24)],
                        Tokenizer([]))


def gradient(name, batch, device):
    """Loss of one step and the gradient of all parameters, on the CPU."""
    tokenizer = Tokenizer([])
    cfg = clip.config(tokenizer.vocab_size, width=64, layers=2, text_width=32, text_layers=1,
                      embed=32, kind=name if name in clip.KINDS else "clip")
    state = layouts.initial_state(cfg, 0)
    flat = clip.FlatParameters(state, torch.bfloat16, device)
    here, prompts = batch.to(device), data.Prompts(tokenizer)
    if name in clip.KINDS:
        loss, _ = train.natural_loss(flat.views, cfg, here, prompts, 3, 26, 1)
    elif name == "roles":
        sizes = {n: len(FACTORS[n]) for n in evaluate.HEAD_FACTORS}
        keeper = roles.RoleLoss({"object": [0, 3], "style": [1]}, 4, 32, sizes, device=device)
        weights = argparse.Namespace(own=3.0, other=2.0, answers=0.5)
        for _ in range(2):
            loss, _ = train.roles_loss(flat.views, cfg, here, prompts, keeper, 3, 1, weights)
        keeper.load({k: v.cpu() if torch.is_tensor(v) else v for k, v in keeper.state().items()})
        assert keeper.sums.device == device
    else:
        flat = clip.FlatParameters(state, torch.float32, device)
        texts = evaluate.bird_texts(flat.state(), cfg, tokenizer)
        loss = train.birds_loss(flat.views, cfg, here, texts.to(device),
                                flat.state()["logit_scale"].exp())
    assert loss.device == device
    loss.backward()
    out = flat.collect()
    flat.refresh()
    embedded = evaluate.embed(flat.state(), cfg, batch.images, heads=True)
    return [loss.detach().cpu(), out.cpu(), *embedded]


@pytest.mark.parametrize("name", [*clip.KINDS, "roles", "birds"])
def test_a_step_elsewhere_is_the_step_on_the_cpu(batch, name):
    torch.set_num_threads(1)
    expected = gradient(name, batch, torch.device("cpu"))
    with Elsewhere():
        found = gradient(name, batch, LABEL)
    for e, f in zip(expected, found, strict=True):
        assert torch.equal(e, f)


def test_a_tensor_left_behind_is_found():
    with Elsewhere(), pytest.raises(RuntimeError, match="left on the CPU"):
        torch.ones(3, device=LABEL) + torch.ones(3)
