"""The results of annotating several videos, as files in one folder: what every detector shares."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from data.video.inputs import Sources
from data.video.part import Source
from recipes.annotate_jobs import annotate_at_once
from recipes.demo_options import DemoOptions
from recipes.results_files import VideoResults
from utils.system.interrupt import Interrupted, StopSignals
from utils.system.outputs import check_apart, check_replaceable
from utils.system.terminal import printable


def annotate_all(results: VideoResults, found: Sources, options: DemoOptions) -> bool:
    """Annotate all videos; print the outcome of each, and return whether all succeeded.

    A video that fails does not stop the others. If it is the only video, its error is raised.

    Args:
        results: What is made of each video.
        found: The videos.
        options: Of the demo: whether to leave alone what is done, and how many at once.

    Raises:
        Interrupted: A signal came; the message says what is on disk.
        ValueError, OSError: The only video cannot be annotated.
    """
    outcomes = {name: f"failed: {why}" for name, why in found.failed.items()}
    is_only = len(found.opened) + len(found.failed) == 1
    waiting = []
    for name, source in found.opened.items():
        if options.resume and results.is_done(name, source):
            outcomes[name] = "done before"
        else:
            waiting.append((name, source))
    with StopSignals() as stop:
        if options.jobs > 1 and len(waiting) > 1:
            outcomes.update(annotate_at_once(options, waiting, stop))
        else:
            outcomes.update(_annotate_in_turn(results, waiting, stop, is_only))
    if not is_only or not waiting:
        _print_table(outcomes)
    return not any(outcome.startswith("failed: ") for outcome in outcomes.values())


def _annotate_in_turn(
    results: VideoResults,
    videos: Sequence[tuple[str, Source]],
    stop: StopSignals,
    is_only: bool,
) -> dict[str, str]:
    """Annotate videos one after another; see `annotate_all`."""
    outcomes = {}
    for name, source in videos:
        try:
            outcomes[name] = results.annotate(name, source, stop)
        except Interrupted as signalled:
            message = str(signalled) or f"interrupted before anything was found in {name}"
            raise Interrupted(signalled.signum, printable(message)) from None
        except (ValueError, OSError) as error:
            if is_only:
                raise
            outcomes[name] = f"failed: {error}"
            print(printable(f"error: {name}: {error}"), file=sys.stderr)
    return outcomes


def _print_table(outcomes: dict[str, str]) -> None:
    width = max(len(printable(name)) for name in outcomes) + 1
    for name, outcome in sorted(outcomes.items()):
        print(f"{f'{printable(name)}:':{width}} {printable(outcome)}")


def check_output(results: VideoResults, sources: dict[str, Source]) -> None:
    """Raise `ValueError` where results would take the place of something of the user's."""
    output = results.path
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output}: expected a folder for results, a file is there")
    names = [file for name in sources for file in results.names(name)]
    check_apart([output / name for name in names], [source.path for source in sources.values()])
    check_replaceable(output, names)
