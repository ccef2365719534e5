"""The templates of cliplens/dataset/imagenet_templates.cc are those of open_clip, in order."""

import re
from pathlib import Path

from open_clip import zero_shot_metadata

SOURCE = Path(__file__).resolve().parents[2] / "cliplens/dataset/imagenet_templates.cc"


def test_equal_to_open_clip():
    ours = re.findall(r'^ +"(.*)",$', SOURCE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(ours) == 80
    assert ours == [template("{}") for template in zero_shot_metadata.OPENAI_IMAGENET_TEMPLATES]
