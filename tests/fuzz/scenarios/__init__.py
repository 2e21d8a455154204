"""Every command with every kind of input that it reads."""

from __future__ import annotations

from tests.fuzz.scenario import Scenario
from tests.fuzz.scenarios import detectors, files, networks, readers, segments, steps, tubes


def all_scenarios() -> dict[str, Scenario]:
    """All scenarios by name, those that take long first: no process ends up alone with one."""
    groups = (
        networks.training, networks.detection, detectors.tubes, detectors.segment_training,
        detectors.segments, steps.weights, steps.overfitting, files.extraction, files.checking,
        files.analysis, files.converters, files.evaluations, files.labels, files.toys,
        readers.benchmarks, readers.datasets, tubes.extraction, tubes.conversions, tubes.checking,
        tubes.flow_files, segments.evaluation, segments.proposals, segments.lists,
        detectors.answers,
    )  # fmt: skip
    return {scenario.name: scenario for group in groups for scenario in group()}
