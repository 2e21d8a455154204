"""What a terminal shows of long work: a bar; in a log file, now and then a line."""

from __future__ import annotations

import time
from typing import Any

from tqdm import tqdm

from utils.engine.interfaces import NOTED
from utils.system.distributed import is_main
from utils.system.terminal import hides_bars


def progress_bar(items: Any, title: str) -> tqdm:
    """A bar over `items` on the main process's terminal; none in a log file or without a title."""
    return tqdm(
        items, desc=title, disable=hides_bars() if title and is_main() else True, leave=False
    )


def format_duration(seconds: float) -> str:
    """Hours, minutes and seconds: `1:02:03`."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def summarize_losses(losses: dict[str, float]) -> str:
    """The total, and each part, summed over the steps where there are any.

    `loss 1.20 (classification 0.90, ...)`; a part is named `<step>/<part>` or `<part>`.
    """
    parts: dict[str, float] = {}
    for name, value in losses.items():
        if name != "total" and not name.startswith(NOTED):
            part = name.split("/")[-1]
            parts[part] = parts.get(part, 0.0) + value
    inner = ", ".join(f"{name} {value:.3f}" for name, value in parts.items())
    return f"loss {losses['total']:.3f}" + (f" ({inner})" if inner else "")


class TrainingProgress:
    """A bar over the iterations of a run from `start` on; lines instead where no terminal is.

    Shows the epoch, the losses, the learning rate, samples per second over all `processes`, and the
    time left until the run's last iteration.
    """

    def __init__(self, start: int, iterations: int, per_epoch: int, processes: int = 1):
        self.iteration, self.iterations, self.per_epoch = start, iterations, per_epoch
        self.processes = processes
        end = min((start // per_epoch + 1) * per_epoch, iterations)
        self.title = f"epoch {start // per_epoch + 1}/{-(-iterations // per_epoch)}"
        disable = None if is_main() else True
        self.bar = tqdm(total=end - start, desc=self.title, disable=disable, leave=False)
        self._restart()

    def __enter__(self) -> TrainingProgress:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def _restart(self) -> None:
        self.samples, self.steps, self.since = 0, 0, time.perf_counter()

    def advance(self, samples: int) -> None:
        """One more iteration, with `samples` of this process."""
        self.iteration += 1
        self.steps += 1
        self.samples += samples
        self.bar.update()

    def begin(self, losses: dict[str, float]) -> None:
        """Show that this process's first iteration has ended, long before a log line is due."""
        text = f"iteration {self.iteration} of {self.iterations}: {summarize_losses(losses)}"
        if not self.bar.disable:
            self.bar.set_postfix_str(text)
        elif is_main():
            print(f"{self.title}, {text}", flush=True)

    def estimate(self, seconds: float) -> None:
        """Say how long the rest of the run will take, from the time of its second iteration.

        The first one is slower: memory is new, and libraries choose their algorithms.

        Args:
            seconds: That an iteration takes.
        """
        left = self.iterations - self.iteration
        if is_main():
            self.bar.write(
                f"an iteration takes {seconds:.3g} s: about {format_duration(left * seconds)} "
                f"(h:mm:ss) for the {left} that are left, validation not counted"
            )

    def report(self, losses: dict[str, float], rate: float) -> float:
        """Show losses, rate, and samples per second of all processes since the last time."""
        seconds = max(time.perf_counter() - self.since, 1e-9)
        speed = self.samples * self.processes / seconds
        left = format_duration((self.iterations - self.iteration) * seconds / max(self.steps, 1))
        text = f"{summarize_losses(losses)}, lr {rate:.1e}, {speed:.1f} samples/s, {left} left"
        if not self.bar.disable:
            self.bar.set_postfix_str(text)
        elif is_main():
            print(f"{self.title}, iteration {self.iteration}: {text}", flush=True)
        self._restart()
        return speed
