"""STEP (Yang et al., CVPR 2019): progressive learning. Algorithm 1 is in `detector.py`."""
