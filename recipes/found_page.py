"""The report of a video in which a detector found tubes or segments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.video.part import Source
from recipes.demo_options import DemoOptions
from recipes.report_film import write_page
from utils.formats.person_results import as_results
from utils.reporting.drawing import short_names
from utils.reporting.report.found import rows_found
from utils.system.interrupt import StopSignals


def write_found_page(
    path: Path,
    source: Source,
    document: dict[str, Any],
    classes: Mapping[int, str],
    options: DemoOptions,
    stop: StopSignals | None = None,
) -> None:
    """Write the page of what was found, and beside it its video if that is large.

    Args:
        path: Of the page.
        document: As the JSON of the demo has it.
        classes: Id to name.
        options: Of the demo.
        stop: Ends the writing of the video, which the page has not then.
    """
    times = [float(time) for time in source.times]
    results = as_results(document, path)
    video, histories, rows = rows_found(results, list(classes), times)
    names = short_names(list(classes.values()))
    write_page(path, source, video, histories, names, options, stop or StopSignals(), rows)
