"""The templates of cliplens/dataset/imagenet_templates.cc are those of open_clip, in order."""

import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "cliplens/dataset/imagenet_templates.cc"


def test_equal_to_open_clip():
    metadata = pytest.importorskip("open_clip.zero_shot_metadata")
    ours = re.findall(r'^ +"(.*)",$', SOURCE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(ours) == 80
    assert ours == [template("{}") for template in metadata.OPENAI_IMAGENET_TEMPLATES]
