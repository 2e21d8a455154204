"""The benchmark of flow runs and reports what it measured; how fast it is, no test says."""

import argparse
from collections.abc import Iterator

import cv2
import pytest

from benchmarks import flow


@pytest.fixture
def two_threads() -> Iterator[None]:
    """OpenCV with two threads; other tests may have set one."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    yield
    cv2.setNumThreads(before)


@pytest.mark.usefixtures("two_threads")
def test_flow_beside_the_plain_loop() -> None:
    parser = argparse.ArgumentParser()
    flow.add_arguments(parser)
    few = ["--videos", "1", "--frames", "4", "--workers", "1", "--repeats", "1"]
    one, all_cores, encoding = flow.rows(parser.parse_args(few))
    assert one.against == "the plain loop of OpenCV's calls, one core"
    assert all_cores.against == "the plain loop of OpenCV's calls, OpenCV's threads"
    assert one.ours == all_cores.ours
    assert one.also.endswith("frames a second")
    assert encoding.also.startswith("DIS itself takes")
    assert len(one.ours) == len(one.yardstick) == len(all_cores.yardstick) == 1
