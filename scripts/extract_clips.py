"""Extract the frames of videos into AVA's layout: `<output>/<video>/<second>/<frame>.jpg`.

    python scripts/extract_clips.py VIDEO_OR_FOLDER ... [--output DIR] [--start 900] [--end 1800]

Frames are put into seconds by presentation time. A video whose folder is there is skipped: a folder
appears under its name only when it is complete, so an interrupted extraction goes on where it was.
A video that cannot be read is named, the others are extracted, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from data.prepare import extract_seconds  # noqa: E402, ROOT must be on the path first
from data.video_file import VideoFile  # noqa: E402
from utils.cli import run_main  # noqa: E402

SUFFIXES = {".mp4", ".mkv", ".webm", ".avi", ".mov"}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("inputs", nargs="+", type=Path, metavar="VIDEO_OR_FOLDER")
    add("--output", type=Path, default=ROOT / "datasets" / "ava" / "frames")
    add("--start", type=int, default=900, help="first second (900, AVA's)")
    add("--end", type=int, default=1800, help="second to stop before (1800); 0: the video's end")
    add("--workers", type=int, default=4, help="videos at a time")
    return parser.parse_args()


def find_videos(inputs: list[Path]) -> list[Path]:
    """The files among `inputs` and the videos of its folders. Raises `ValueError` for neither."""
    videos: list[Path] = []
    for path in inputs:
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
            if not found:
                raise ValueError(f"{path}: no video in this folder ({', '.join(sorted(SUFFIXES))})")
            videos += found
        elif path.is_file():
            videos.append(path)
        else:
            raise ValueError(f"{path}: no such video or folder")
    return videos


def extract(video: Path, output: Path, start: int, end: int) -> None:
    """One video, whole or not at all."""
    unfinished = output / f".unfinished-{video.stem}"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        extract_seconds(VideoFile(video), unfinished, start, end or None)
        unfinished.rename(output / video.stem)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def main() -> None:
    arguments = parse_arguments()
    output, start, end = arguments.output, arguments.start, arguments.end
    if start < 0 or (end and end <= start):
        raise ValueError(f"--start, --end: expected 0 <= start < end, got {start}, {end}")
    videos = find_videos(arguments.inputs)
    output.mkdir(parents=True, exist_ok=True)
    todo = [video for video in videos if not (output / video.stem).exists()]
    failed = 0
    with ProcessPoolExecutor(max(arguments.workers, 1)) as pool:
        jobs = {pool.submit(extract, video, output, start, end): video for video in todo}
        for job in tqdm(as_completed(jobs), total=len(jobs), unit="video"):
            try:
                job.result()
            except (ValueError, OSError) as error:
                failed += 1
                tqdm.write(f"error: {error}", file=sys.stderr)
    done = len(todo) - failed
    print(f"{output}: {done} extracted, {len(videos) - len(todo)} there already, {failed} failed")
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    run_main(main)
