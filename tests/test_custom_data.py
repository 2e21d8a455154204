"""The commands of docs/custom_data.md, as they stand there, on two small videos."""

import re
import shlex
from pathlib import Path

import numpy as np

from data.video.windows import write_video
from tests.entries import Script
from tests.helpers import ROOT

PAGE = "docs/custom_data.md"
HEADER = "video,second,x1,y1,x2,y2,label,person\n"
# A detector and a training that take a second.
MODEL = ["width=4", "fc_dim=8", "local_dim=16", "pool_size=2", "image_size=32", "workers=0"]
TRAINING = [*MODEL, "iterations=2", "batch_size=2", "output=runs"]


def commands(page: str) -> list[list[str]]:
    """The lines of the indented block that begins with the conversion, each as its arguments."""
    text = (ROOT / page).read_text()
    block = re.search(
        r"(?:^    .*\n|^\n)*^    python scripts/convert_labels.*\n(?:^    .*\n|^\n)*", text, re.M
    )
    assert block is not None, f"{page} has no such block"
    lines = block[0].replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.strip().startswith("python ")]


def write_inputs(folder: Path) -> None:
    """The videos and label files that the page names, 3 seconds at 12 frames per second."""
    (folder / "my_videos").mkdir()
    rng = np.random.default_rng(0)
    for name in ("game1", "game3"):
        frames = [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(36)]
        write_video(folder / "my_videos" / f"{name}.mp4", iter(frames), 12)
    for split, video in (("train", "game1"), ("val", "game3")):
        rows = [f"{video},{t},0.2,0.2,0.6,0.9,{('run', 'jump')[t % 2]},0\n" for t in range(3)]
        (folder / f"{split}_labels.csv").write_text(HEADER + "".join(rows))


def test_the_way_from_videos_to_a_demo(tmp_path, monkeypatch, capsys):
    write_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    steps = []
    for _, name, *arguments in commands(PAGE):
        # The page's folders are the repository's; here they are the test's.
        if name in ("train.py", "scripts/check_data.py", "test.py"):
            arguments.append("root=datasets/custom")
        if name == "train.py":
            arguments += TRAINING
        if name == "test.py":
            arguments += [*MODEL, "--output", "runs/custom_small/test"]
        if "--config" in arguments:
            place = arguments.index("--config") + 1
            arguments[place] = str(ROOT / arguments[place])
        outcome = Script(name.removesuffix(".py"), monkeypatch, capsys)(*arguments)
        assert outcome.code == 0, (name, outcome)
        steps.append(name)
    assert steps[-4:] == ["train.py", "test.py", "scripts/analyze.py", "demo.py"]
    assert (tmp_path / "runs/custom_small/test/metrics.json").is_file()
    assert any((tmp_path / "demo").iterdir())
