"""One trial: the change that follows from its number, the run, and the verdict."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import random
import re
import shutil
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tests.fuzz.changes import Meaning, change
from tests.fuzz.process import Ended, fork
from tests.fuzz.scenario import Scenario
from tests.fuzz.values import NUMBERS, TEXTS
from utils.system.terminal import printable

USERS_CODES = (0, 1, 2, 130, 143)


class Verdict(Enum):
    """What came of a trial; the names are the columns of the table."""

    ACCEPTED = "accepted rightly"
    REFUSED = "refused clearly"
    NAMELESS = "refused namelessly"
    TRACEBACK = "traceback"
    WRONG = "silently wrong"
    HANG = "hang"


FAULTS = (Verdict.NAMELESS, Verdict.TRACEBACK, Verdict.WRONG, Verdict.HANG)


@dataclass(frozen=True)
class Outcome:
    """A trial's verdict, what was changed, why it is judged so, and how the command ended."""

    verdict: Verdict
    words: str
    reason: str
    ended: Ended


@dataclass(frozen=True)
class Done:
    """A trial that was run as part of a suite."""

    reader: str
    number: int
    outcome: Outcome


@dataclass(frozen=True)
class Spoiled:
    """What a change did: in words, its meaning, names of which a refusal must tell one."""

    words: str
    meaning: Meaning
    names: tuple[str, ...]
    arguments: list[str]
    option: bool = False


class Base:
    """A scenario's unchanged input, built once, and what the command makes of it."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.folder = scenario, folder
        (folder / "in").mkdir(parents=True)
        built = fork(lambda: scenario.build(folder / "in"), folder / "log", 300, folder)
        assert built.code == 0, built.output
        self._results: dict[str, str] | None = None

    def copy(self, folder: Path) -> Path:
        """A new folder with the input in `in/`, and an empty `out/`."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder / "in", folder / "in", symlinks=True)
        (folder / "out").mkdir()
        return folder

    def results(self) -> dict[str, str]:
        """What the command writes of the unchanged input."""
        if self._results is None:
            folder = self.copy(self.folder / "plain")
            scenario = self.scenario
            ended = _run(scenario, list(scenario.arguments), folder, 10 * scenario.limit)
            assert (ended.code == 0) == scenario.accepts, f"{scenario.name}: {ended.output}"
            self._results = _results(scenario, folder) | {"exit code": str(ended.code)}
        return self._results


def run_trial(base: Base, reader: str, number: int, seed: int, folder: Path) -> Outcome:
    """Run one trial in `folder`, which is replaced."""
    scenario, part = base.scenario, reader.partition(":")[2]
    random_ = random.Random(f"{seed} {reader} {number}")
    expected = base.results()
    base.copy(folder)
    spoiled = _spoil(scenario, part, folder, random_)
    before = _snapshot(folder / "in")
    ended = _run(scenario, spoiled.arguments, folder, scenario.limit)
    lost = _lost(scenario, before, _snapshot(folder / "in"))
    verdict, reason = _judge(scenario, spoiled, ended, lost, folder, expected)
    return Outcome(verdict, spoiled.words, reason, ended)


def _spoil(scenario: Scenario, part: str, folder: Path, random_: random.Random) -> Spoiled:
    arguments = list(scenario.arguments)
    if part == "options":
        return _spoil_option(scenario, arguments, random_)
    if part == "special":
        file = random_.choice(sorted(scenario.files))
        words, meaning = _put_special(folder / "in" / file, random_)
        # One frame less is no fault.
        is_frame = scenario.files[file] == "frame" or "frames/" in file
        if scenario.folders or is_frame or scenario.owned:
            meaning = Meaning.ANY
        return Spoiled(f"{file}: {words}", meaning, _names(file, scenario.files[file]), arguments)
    path = folder / "in" / part
    changed = change(path.read_bytes(), scenario.files[part], random_)
    path.write_bytes(changed.content)
    names = _names(part, scenario.files[part])
    return Spoiled(changed.words, changed.meaning, names, arguments)


def _names(file: str, kind: str) -> tuple[str, ...]:
    """What a message may call a file by: its name, or its video's for films and frames."""
    path = Path(file)
    if kind == "film":
        return (path.name, path.stem)
    if kind == "frame" and "rgb-images" in path.parts:
        return (path.name, "/".join(path.parts[-3:-1]))
    if "frames" in path.parts:
        video = path.parts[-3]
        return (path.name, f"frames/{video}", f"video {video}")
    return (path.name, "label map") if path.stem == "classes" else (path.name,)


def _put_special(path: Path, random_: random.Random) -> tuple[str, Meaning]:
    """Put something that is no file in a file's place."""
    path.unlink()
    kind = random_.choice(["pipe", "zero", "full", "null", "folder", "missing", "loop", "dangling"])
    if kind == "pipe":
        os.mkfifo(path)
    elif kind in ("zero", "full", "null"):
        path.symlink_to(f"/dev/{kind}")
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "dangling":
        path.symlink_to("nowhere/at/all")
    return kind, Meaning.BROKEN


def _spoil_option(scenario: Scenario, arguments: list[str], random_: random.Random) -> Spoiled:
    option = random_.choice(scenario.options)
    value = random_.choice([str(random_.choice(NUMBERS)), random_.choice(TEXTS)])
    value = (
        value.replace("\0", "").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        if "\ud800" not in value
        else "\udcff"
    )  # what a shell can pass on
    if option.endswith("="):
        arguments = [a for a in arguments if not a.startswith(option)] + [option + value]
    else:
        if option in arguments:
            at = arguments.index(option)
            del arguments[at : at + 2]
        arguments = [*arguments, f"{option}={value}"]
    name = {"-o": "output"}.get(option, option.strip("-="))
    # A value tells what is meant where it is a name or long, not where it is a number such as 0.
    told = value if re.search(r"[^\s\d.,+_-]", value) or len(value) > 9 else name
    # As `run_main` shows it: on one line, control characters as escapes.
    said = printable(" ".join(told.split()))
    # A short path at the beginning, `error: 1: no such file`, tells as well.
    names = (name, name.replace("-", "_"), told, said, name.replace("-", " "), f"error: {value}:")
    return Spoiled(f"{option} {value[:40]!r}", Meaning.ANY, names, arguments, option=True)


def _run(scenario: Scenario, arguments: list[str], folder: Path, limit: float) -> Ended:
    return fork(lambda: scenario.run(arguments), folder / "log", limit, folder)


def _snapshot(folder: Path) -> dict[str, str]:
    """What stands in a folder: hashes of files, targets of links, kinds of the rest."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = "folder" if path.is_dir() else "special"
    return found


def _lost(scenario: Scenario, before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What a command changed, removed or added among its inputs without owning it."""
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    owned = scenario.owned
    return sorted(n for n in changed if not any(fnmatch.fnmatch(n, p) for p in owned))


def _results(scenario: Scenario, folder: Path) -> dict[str, str]:
    """Hashes of the files that the scenario's `results` name."""
    found = {}
    for pattern in scenario.results:
        for path in (folder / "out").glob(pattern):
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _judge(
    scenario: Scenario,
    spoiled: Spoiled,
    ended: Ended,
    lost: list[str],
    folder: Path,
    expected: dict[str, str],
) -> tuple[Verdict, str]:
    if ended.hung:
        return Verdict.HANG, f"runs on after {scenario.limit:g} s"
    if lost:
        return Verdict.WRONG, f"changed among the inputs: {', '.join(lost[:3])}"
    if "DISAGREEMENT" in ended.output:
        return Verdict.WRONG, "checking finds no error, training fails"
    if ended.code not in USERS_CODES or "Traceback (most recent call last)" in ended.output:
        return Verdict.TRACEBACK, f"exit code {ended.code}"
    if ended.code in (0, scenario.problems) and spoiled.meaning is Meaning.SAME:
        now = _results(scenario, folder) | {"exit code": str(ended.code)}
        same = now == expected
        return (Verdict.ACCEPTED, "") if same else (Verdict.WRONG, "another result")
    if ended.code == 0:
        broken = spoiled.meaning is Meaning.BROKEN
        return (Verdict.WRONG, "accepted") if broken else (Verdict.ACCEPTED, "")
    if spoiled.meaning is Meaning.SAME and expected["exit code"] == "0":
        return Verdict.WRONG, "refused, and it means the same"
    # A list of problems with the data that an option asks for names them, not the option.
    listed = ended.code == scenario.problems and spoiled.option
    if listed or _tells(ended.output, spoiled.names):
        return Verdict.REFUSED, ""
    return Verdict.NAMELESS, f"none of {', '.join(sorted(set(spoiled.names)))[:80]} in the message"


def _tells(output: str, names: tuple[str, ...]) -> bool:
    """Whether an error line names one of `names`; argparse's own line counts."""
    lines = output.splitlines()
    wanted = "\n".join(lines[-12:]) if lines else ""
    patterns = (rf"(?<!\w){re.escape(name)}(?!\w)" for name in names if name)
    return any(re.search(pattern, wanted, re.IGNORECASE) for pattern in patterns)
