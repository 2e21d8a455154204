"""Extract the frames of videos into AVA's layout: `<output>/<video>/<second>/<frame>.jpg`.

    python scripts/extract_clips.py VIDEO_OR_FOLDER ... [--output DIR] [--start 900] [--end 1800]
    python scripts/extract_clips.py my_videos --output datasets/mine/frames --start auto --end auto

Every second has --fps frames, chosen by presentation time: the first frame of second t is the one
that is shown t seconds after the video's first frame. A video's folder appears when it is complete.
After a stop (Ctrl-C, SIGTERM) or a crash, run the same command again: it skips complete videos. If
a complete video was made with other settings or from another file, it is named and the exit code is
1; --replace makes it anew. The command continues with the other videos, names the video and ends
with exit code 1 if a video is corrupt or truncated, if a decoder crashes or makes no progress for
--step-limit seconds, or if a time jumps by more than --max-gap. It replaces only what it made.

`<output>/manifest.json` has for each video the decoder's version, the settings and the size, and
for each second the number of frames and of distinct frames.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import utils.system.early_signals  # noqa: E402, F401, before what takes long to import

# isort: split
from data.prepare.extract import MAX_GAP, extract_whole  # noqa: E402, ROOT must be on the path first
from data.prepare.frame_folders import (  # noqa: E402
    check_places,
    check_replaceable,
    discard_leftovers,
    discard_unfinished,
    folder_of,
)
from data.prepare.manifest import (  # noqa: E402
    MANIFEST,
    RECORD,
    ExtractSettings,
    Record,
    check_manifest,
    decoder_version,
    read_record,
    write_manifest,
)
from data.video.folders import VIDEO_SUFFIXES, list_folder, name_of, printable  # noqa: E402
from external.files import check_regular, real_path  # noqa: E402
from utils.system.arguments import at_least_one, positive  # noqa: E402
from utils.system.cli import run_main  # noqa: E402
from utils.system.interrupt import Interrupted, StopSignals  # noqa: E402
from utils.system.locks import folder_lock  # noqa: E402
from utils.system.processes import ProcessDied, ProcessHung, call_each  # noqa: E402
from utils.system.stall import STEP_LIMIT  # noqa: E402

Outcome = tuple[Path, Record | Exception]


def second(text: str) -> int | None:
    """A second, or `auto`, which is None."""
    return None if text == "auto" else int(text)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, default = parser.add_argument, ExtractSettings()
    add("inputs", nargs="+", type=Path, metavar="VIDEO_OR_FOLDER")
    add("--output", type=Path, default=ROOT / "datasets" / "ava" / "frames")
    add(
        "--start",
        type=second,
        default=default.start,
        help="first second (900, AVA's); auto: the video's beginning",
    )
    add(
        "--end",
        type=second,
        default=default.end,
        help="second to stop before (1800); auto: the video's end",
    )
    add("--fps", type=int, default=default.fps, help="frames per second (30)")
    add(
        "--short-side",
        type=int,
        default=default.short_side,
        help="pixels of the shorter side (360); smaller videos keep their size; 0: all do",
    )
    add("--quality", type=int, default=default.quality, help="of the JPEGs, 1 to 100 (95)")
    add(
        "--allow-damaged",
        action="store_true",
        help="accept damaged frames as the decoder shows them",
    )
    add(
        "--replace", action="store_true", help="make videos anew that were made with other settings"
    )
    add(
        "--workers",
        type=at_least_one,
        default=min(4, os.cpu_count() or 1),
        help="videos extracted at the same time, each in a process (4)",
    )
    add(
        "--step-limit",
        type=positive,
        default=STEP_LIMIT,
        help="seconds without progress after which a video counts as failed (60)",
    )
    add(
        "--max-gap",
        type=positive,
        default=float(MAX_GAP),
        help="longest time in seconds that a single frame may be shown (60)",
    )
    return parser.parse_args()


def find_videos(inputs: list[Path], output: Path) -> list[Path]:
    """The videos among `inputs` and in its folders, each once; prints what it skips.

    Raises:
        ValueError: For an input that is neither, and for two videos that would share a folder.
    """
    videos: dict[Path, Path] = {}
    for path in inputs:
        if path.is_dir():
            for video in videos_of(path, output):
                videos.setdefault(real_path(video), video)
        else:
            videos.setdefault(real_path(path), check_regular(path, "video file"))
    named: dict[str, list[Path]] = {}
    for video in videos.values():
        named.setdefault(name_of(video), []).append(video)
    for same in named.values():
        if len(same) > 1:
            raise ValueError(
                f"{', '.join(map(str, same))}: expected different names, their frames would be "
                "mixed"
            )
    return list(videos.values())


def videos_of(folder: Path, output: Path) -> list[Path]:
    """The videos directly in a folder; prints what it skips, except what this command made."""
    content = list_folder(folder)
    if not content.videos:
        raise ValueError(f"{folder}: no video in this folder ({', '.join(VIDEO_SUFFIXES)})")
    videos = [folder / name for name in content.videos]
    made = {MANIFEST, *map(name_of, videos)} if real_path(folder) == real_path(output) else set()
    skipped = [*content.frames, *content.folders, *content.skipped]
    if others := sorted(name for name in skipped if name not in made):
        named = ", ".join(map(printable, others[:5]))
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        print(f"note: {folder}: skipped {named}{more}: no videos", file=sys.stderr)
    return videos


def differences(
    videos: Iterable[Path], output: Path, settings: ExtractSettings
) -> tuple[dict[Path, str], dict[Path, str]]:
    """How existing frames differ from those that would be extracted now, by video.

    Returns:
        Two dicts: videos made with other settings or from other files; and videos made by another
        decoder or another tool, whose record does not say more.
    """
    wrong, uncertain = {}, {}
    for video in videos:
        record = read_record(folder_of(video, output))
        if record is None:
            uncertain[video] = "no record of how they were made"
        elif found := record.differences(settings, video):
            wrong[video] = f"{'; '.join(found)} ({RECORD})"
        elif record.decoder != decoder_version():
            uncertain[video] = f"decoded by {record.decoder}, this is {decoder_version()}"
    return wrong, uncertain


def extract_all(
    videos: list[Path],
    output: Path,
    settings: ExtractSettings,
    options: argparse.Namespace,
    stop: StopSignals,
) -> Iterator[Outcome]:
    """Yield each video with its record or its error, in the order of completion.

    A single worker is a child process, too: a decoder that crashes on a file must not end the
    extraction of later videos, the list of failures and the manifest. That costs a third of a
    second, once. A decoder that hangs is killed.

    Args:
        options: `workers`, `step_limit` and `max_gap`.

    Raises:
        Interrupted: Soon after a signal to `stop`.
    """
    max_gap = Fraction(options.max_gap)
    tasks = [(video, output, settings, max_gap) for video in videos]
    unfinished = set(videos)
    calls = call_each(extract_whole, tasks, options.workers, stop, options.step_limit)
    try:
        with closing(calls) as outcomes:
            for index, result in outcomes:
                video = videos[index]
                unfinished.remove(video)
                if isinstance(result, ProcessDied):
                    discard_unfinished(folder_of(video, output))
                    result = RuntimeError(f"{video}: the process that decoded it died ({result})")
                elif isinstance(result, ProcessHung):
                    discard_unfinished(folder_of(video, output))
                    result = RuntimeError(f"{video}: the decoder hangs: {result} (--step-limit)")
                yield video, result
    finally:
        for video in unfinished:  # their processes were killed
            discard_unfinished(folder_of(video, output))


def run(
    videos: list[Path], output: Path, settings: ExtractSettings, options: argparse.Namespace
) -> list[Path]:
    """Extract `videos`, print errors, and return the videos that failed.

    Raises:
        Interrupted: After a signal; the manifest is written then, and no unfinished video left.
    """
    done, failed = 0, []
    with StopSignals() as stop:
        outcomes = extract_all(videos, output, settings, options, stop)
        try:
            with tqdm(total=len(videos), unit="video", disable=None) as bar, closing(outcomes):
                for video, result in outcomes:
                    bar.update()
                    if isinstance(result, Exception):
                        failed.append(video)
                        bar.write(f"error: {result}", file=sys.stderr)
                        continue
                    done += 1
                    if settings.end is not None and result.seconds().stop < settings.end:
                        bar.write(f"note: {video}: ends in second {result.seconds()[-1]}")
        except Interrupted as end:
            raise Interrupted(
                end.signum,
                f"{output}: stopped: {done} extracted, {len(failed)} failed, "
                f"{len(videos) - done - len(failed)} to go; run the same command again to go on",
            ) from None
        finally:
            write_manifest(output)
    return failed


def tell(kept: dict[Path, str], output: Path, kind: str) -> None:
    """Print a line for each reason, with its first video and the number of others."""
    for reason in dict.fromkeys(kept.values()):
        first, *more = [folder_of(video, output) for video in kept if kept[video] == reason]
        others = f" and {len(more)} more" if more else ""
        print(f"{kind}: {first}{others}: kept, though {reason}", file=sys.stderr)


def main() -> None:
    arguments = parse_arguments()
    output = arguments.output
    settings = ExtractSettings(
        arguments.start or 0,
        arguments.end,
        arguments.fps,
        arguments.short_side,
        arguments.quality,
        arguments.allow_damaged,
    )
    videos = find_videos(arguments.inputs, output)
    with folder_lock(output, "scripts/extract_clips.py"):
        if not extract_missing(videos, output, settings, arguments):
            sys.exit(1)


def extract_missing(
    videos: list[Path], output: Path, settings: ExtractSettings, options: argparse.Namespace
) -> bool:
    """Extract `videos` that have no frames, or with `options.replace` also those that differ.

    Returns:
        Whether there was no error.

    Raises:
        ValueError: Before any work if it would have to replace something that it did not make.
    """
    check_places(videos, output)
    check_manifest(output)
    discard_leftovers(output)
    kept = [video for video in videos if folder_of(video, output).exists()]
    wrong, uncertain = differences(kept, output, settings)
    if options.replace:
        for video in wrong | uncertain:
            check_replaceable(folder_of(video, output))
        kept = [video for video in kept if video not in wrong | uncertain]
        wrong, uncertain = {}, {}
    todo = [video for video in videos if video not in set(kept)]
    failed = run(todo, output, settings, options)
    tell(uncertain, output, "note")
    tell(wrong, output, "error")
    if wrong:
        print("--replace makes them anew", file=sys.stderr)
    names = f": {', '.join(printable(video.name) for video in failed)}" if failed else ""
    done = len(todo) - len(failed)
    print(f"{output}: {done} extracted, {len(kept)} there already, {len(failed)} failed{names}")
    return not (failed or wrong)


if __name__ == "__main__":
    run_main(main)
