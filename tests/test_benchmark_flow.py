"""The benchmark of flow runs and reports what it measured; how fast it is, no test says."""

import argparse

from benchmarks import flow


def test_flow_beside_the_plain_loop():
    parser = argparse.ArgumentParser()
    flow.add_arguments(parser)
    few = ["--videos", "1", "--frames", "4", "--workers", "1", "--repeats", "1"]
    whole, encoding = flow.rows(parser.parse_args(few))
    assert whole.against == "the plain loop of OpenCV's calls"
    assert whole.also.endswith("frames a second")
    assert encoding.also.startswith("DIS itself takes")
    assert len(whole.ours) == len(whole.yardstick) == 1
