"""Structured Segment Networks (Zhao et al., ICCV 2017): from untrimmed videos to segments."""
