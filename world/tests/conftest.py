"""Fixtures of the picture world's tests: the assets are built when they are missing (20 s)."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def world():
    from world import assets
    from world.scene import World
    if not assets.is_current():
        if not (assets.ROOT / "node_modules").exists():
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=assets.ROOT,
                           check=True)
        assets.build()
    return World.load()
