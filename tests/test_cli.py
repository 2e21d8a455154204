"""User errors are one line; results appear whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from utils.runs.settings import default_output
from utils.system.cli import BUG, ROOT, run_main, staged_results


def fail_with(error: BaseException):
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("a.csv, line 3: two\n  lines"), "error: a.csv, line 3: two lines\n"),
        (FileNotFoundError(2, "No such file", "x"), "error: [Errno 2] No such file: 'x'\n"),
        (
            ValueError(
                "Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most "
                'recent call last):\n  File "x.py"\nValueError: b.jpg: unreadable\n'
            ),
            "error: b.jpg: unreadable\n",
        ),
    ],
)
def test_a_user_error_is_one_line(error: Exception, said: str, capsys, monkeypatch) -> None:
    monkeypatch.delenv("STEP_TRACEBACK", raising=False)
    with pytest.raises(SystemExit) as raised:
        run_main(fail_with(error))
    assert raised.value.code == 2
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    "fail",
    [
        lambda: torch.empty(1 << 50),
        lambda: bytearray(1 << 60),
        fail_with(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")),
    ],
)
def test_memory_that_does_not_suffice_is_one_line(fail, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        run_main(fail)
    assert exit.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: out of memory (")
    assert "train.batch_size" in said
    assert said.count("\n") == 1


def test_our_own_mistakes_keep_their_traceback_and_say_where_to_report_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as exit:
        run_main(fail_with(AssertionError("ours")))
    assert exit.value.code == 70
    said = capsys.readouterr().err
    assert "AssertionError: ours" in said
    assert said.endswith(BUG + "\n")


def test_results_appear_when_all_are_written(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("old")
    with staged_results(tmp_path) as folder:
        (folder / "old.csv").write_text("new")
        (folder / "more.csv").write_text("more")
        assert (tmp_path / "old.csv").read_text() == "old"
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {
        "old.csv": "new",
        "more.csv": "more",
    }


def test_a_failure_leaves_earlier_results(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("old")
    with pytest.raises(RuntimeError), staged_results(tmp_path) as folder:  # noqa: PT012
        (folder / "old.csv").write_text("half of the n")
        raise RuntimeError
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"old.csv": "old"}


def test_results_cannot_go_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="expected a folder"), staged_results(tmp_path / "file"):
        pass


@pytest.mark.parametrize(
    ("checkpoint", "folder"),
    [
        (ROOT / "runs" / "mine" / "best.pt", ROOT / "runs" / "mine" / "test"),
        (ROOT / "pretrained" / "step.pth", ROOT / "runs" / "step" / "test"),
        (Path("/elsewhere/a.pt"), ROOT / "runs" / "a" / "test"),
    ],
)
def test_results_go_into_the_runs_folder(checkpoint: Path, folder: Path) -> None:
    assert default_output(checkpoint, "test").resolve() == folder


def test_results_of_a_run_elsewhere_stay_with_it(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("")
        (tmp_path / name / "log.jsonl").write_text("")
        checkpoint = tmp_path / name / "best.pt"
        assert default_output(checkpoint, "demo").resolve() == tmp_path / name / "demo"
    (tmp_path / "linked.pt").symlink_to(tmp_path / "one/best.pt")
    assert default_output(tmp_path / "linked.pt", "test").resolve() == tmp_path / "one/test"


COMPILER = """
import sys, torch
from models.step.build import build_detector
from utils.config.step import ModelConfig
config = ModelConfig(backbone="tiny3d", width=4, fc_dim=8, local_dim=16, pool_size=2, num_classes=3)
with torch.device("meta"):
    build_detector(config)
build_detector(config)
sys.exit("torch._dynamo" in sys.modules)
"""


def test_detectors_are_built_without_pytorch_s_compiler() -> None:
    """Importing it takes two seconds of every start; drawing values on `meta` does."""
    command = [sys.executable, "-c", COMPILER]
    assert subprocess.run(command, cwd=ROOT, timeout=120).returncode == 0


@pytest.mark.parametrize("size", [10, 300_000])
def test_output_that_nobody_reads_does_not_end_the_work(size: int):
    """As `| head` leaves it, whether it fits into a buffer or not."""
    code = (
        "import sys; from utils.system.cli import run_main\n"
        f"def main():\n    print('x' * {size}, flush=True)\n    print('x' * {size})\n"
        "    print('done', file=sys.stderr)\nrun_main(main)"
    )
    reader, writer = os.pipe()
    os.close(reader)
    outcome = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (outcome.returncode, outcome.stderr) == (0, b"done\n")


def test_a_broken_pipe_to_anybody_else_is_an_error():
    code = (
        "import os; from utils.system.cli import run_main\n"
        "def main():\n    reader, writer = os.pipe(); os.close(reader); os.write(writer, b'x')\n"
        "run_main(main)"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 2
    assert "Broken pipe" in outcome.stderr
