"""The loop of scripts/extract_frames.py and scripts/extract_flow.py over many videos."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data.prepare.frame_folders import discard_unfinished
from data.prepare.numbered import (
    Job,
    NumberedRecord,
    check_numbered_manifest,
    check_numbered_places,
    check_replaceable,
    discard_numbered_leftovers,
    read_numbered_record,
    write_numbered_manifest,
)
from utils.system.interrupt import Interrupted, StopSignals
from utils.system.processes import ProcessDied, ProcessHung, call_each
from utils.system.terminal import printable


@dataclass(frozen=True)
class Extraction:
    """What is done to each video, and how.

    Attributes:
        work: Called as `work(job, settings)` in a child process; gives the record.
        settings: A dataclass of plain values.
        made_by: What decodes or computes; a folder that another one made is told of.
        workers: Videos at a time.
        step_limit: Seconds without progress after which a video is given up.
    """

    work: Callable[[Job, Any], NumberedRecord]
    settings: Any
    made_by: str
    workers: int
    step_limit: float

    def run(self, jobs: Sequence[Job], output: Path, replace: bool) -> bool:
        """Do those of `jobs` whose folders are not there, or with `replace` are there otherwise.

        Raises `ValueError`, before any work, where it would have to touch what it did not make, and
        `Interrupted` after a signal, with nothing left half done.

        Returns:
            Whether all is well.
        """
        check_numbered_places(jobs)
        check_numbered_manifest(output)
        discard_numbered_leftovers(output)
        kept = [job for job in jobs if job.folder.exists()]
        wrong, uncertain = self._differences(kept)
        if replace:
            for job in wrong | uncertain:
                check_replaceable(job.folder)
            kept = [job for job in kept if job not in wrong | uncertain]
            wrong, uncertain = {}, {}
        there = set(kept)
        failed = self._extract([job for job in jobs if job not in there], output)
        _tell(uncertain, "note")
        _tell(wrong, "error")
        if wrong:
            print("--replace makes them anew", file=sys.stderr)
        names = f": {', '.join(printable(job.video) for job in failed)}" if failed else ""
        done = len(jobs) - len(kept) - len(failed)
        print(f"{output}: {done} extracted, {len(kept)} there already, {len(failed)} failed{names}")
        return not (failed or wrong)

    def _differences(self, jobs: Iterable[Job]) -> tuple[dict[Job, str], dict[Job, str]]:
        """How folders that are there differ from what would be made now; and of which it is unsure.

        The second are those of another tool, or of another version of ours.
        """
        wrong, uncertain = {}, {}
        for job in jobs:
            record = read_numbered_record(job.folder)
            if record is None:
                uncertain[job] = "no record of how it was made"
            elif found := record.differences(asdict(self.settings), job.source):
                wrong[job] = "; ".join(found)
            elif record.made_by != self.made_by:
                uncertain[job] = f"made by {record.made_by}, this is {self.made_by}"
        return wrong, uncertain

    def _extract(self, jobs: Sequence[Job], output: Path) -> list[Job]:
        """Do `jobs`, telling what goes wrong; returns those that failed."""
        done, failed = 0, []
        with StopSignals() as stop:
            outcomes = self._outcomes(jobs, stop)
            try:
                with tqdm(total=len(jobs), unit="video", disable=None) as bar, closing(outcomes):
                    for job, result in outcomes:
                        bar.update()
                        if isinstance(result, Exception):
                            failed.append(job)
                            bar.write(f"error: {result}", file=sys.stderr)
                        else:
                            done += 1
            except Interrupted as end:
                raise Interrupted(
                    end.signum,
                    f"{output}: stopped: {done} extracted, {len(failed)} failed, "
                    f"{len(jobs) - done - len(failed)} to go; run the same command again to go on",
                ) from None
            finally:
                write_numbered_manifest(output)
        return failed

    def _outcomes(
        self, jobs: Sequence[Job], stop: StopSignals
    ) -> Generator[tuple[Job, NumberedRecord | Exception], None, None]:
        """Each job with its record, or with why there is none, as they are finished.

        Each runs in a child process: a decoder that crashes must not take along the others.
        """
        unfinished = set(jobs)
        tasks = [(job, self.settings) for job in jobs]
        calls = call_each(self.work, tasks, self.workers, stop, self.step_limit)
        try:
            with closing(calls) as outcomes:  # type: ignore[type-var]
                for index, result in outcomes:
                    job = jobs[index]
                    unfinished.remove(job)
                    if isinstance(result, (ProcessDied, ProcessHung)):
                        discard_unfinished(job.folder)
                        hangs = " (--step-limit)" if isinstance(result, ProcessHung) else ""
                        what = "it hangs" if hangs else "its process died"
                        result = RuntimeError(f"{job.source}: {what}: {result}{hangs}")
                    yield job, result
        finally:
            for job in unfinished:  # their processes were killed
                discard_unfinished(job.folder)


def _tell(kept: dict[Job, str], kind: str) -> None:
    """Print a line for each reason: that folder, or how many of them."""
    for reason in dict.fromkeys(kept.values()):
        first, *more = [job.folder for job in kept if kept[job] == reason]
        others = f" and {len(more)} more" if more else ""
        print(f"{kind}: {first}{others}: kept, though {reason}", file=sys.stderr)
