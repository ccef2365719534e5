"""Factors from a model that runs in PyTorch.

    from cliplens.torch import Recorder
    rec = Recorder(model)                       # open_clip, transformers or timm
    with rec, torch.inference_mode():
        model.encode_image(pixels)
    block = rec.factors()                       # what a store's shard holds: block.head_z [L, H, B, K], ...
    basis = rec.basis()                         # block.contributions(basis) [L, H, B, E]

`families.py` has the tables of module names, `attention.py` what is read of a block, `readout.py` the sums, and
`recorder.py` the hooks.
"""

from .errors import RecorderError
from .families import Layout
from .recorder import Basis, Factors, Recorder

__all__ = ["Basis", "Factors", "Layout", "Recorder", "RecorderError"]
