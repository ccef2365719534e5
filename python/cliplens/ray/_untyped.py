"""Ray and Arrow, whose own types are incomplete."""

from __future__ import annotations

from typing import Any

try:
    import pyarrow.fs as _fs  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import ray as _ray  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import ray.cloudpickle as _cloudpickle  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import ray.exceptions as _exceptions  # type: ignore[import-not-found, import-untyped, unused-ignore]
except ImportError as error:
    raise ImportError(f"cliplens.ray needs Ray and Arrow: pip install 'cliplens[ray]' ({error})") from error

ray: Any = _ray
fs: Any = _fs
cloudpickle: Any = _cloudpickle
exceptions: Any = _exceptions
