"""cliplens on a cluster of machines, by Ray (``pip install "cliplens[ray]"``)::

    import cliplens.ray
    cliplens.ray.decompose("pictureworld", "s3://bucket/photos", "s3://bucket/store", on_error="skip")
    cliplens.ray.search("s3://bucket/store", text="a red duck")

The same from a shell: ``python -m cliplens.ray decompose pictureworld --images photos --out store``.
"""

from __future__ import annotations

from ._answers import evaluate, label, search
from ._decompose import Decomposed, decompose
from ._places import copy
from ._work import Recorded

__all__ = ["Decomposed", "Recorded", "copy", "decompose", "evaluate", "label", "search"]
