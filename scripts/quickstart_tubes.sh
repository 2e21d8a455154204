#!/usr/bin/env bash
# The whole path on the toy videos of tubes: data, frames, flow, three trainings, tests, a demo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -z "${PYTHON:-}" ]; then
    if [ -x .venv/bin/python ]; then PYTHON=.venv/bin/python; else PYTHON=python3; fi
fi
export PYTHON
data=datasets/toy_tubes

"$PYTHON" scripts/make_toy_tubes.py
"$PYTHON" scripts/extract_frames.py $data/videos --output $data/rgb-images
"$PYTHON" scripts/extract_flow.py $data/rgb-images --output $data/flow
for kind in rgb flow early; do
    CONFIG=configs/toy/toy_tubes_$kind.yaml bash scripts/train_step.sh "$@"
    "$PYTHON" test.py --checkpoint runs/toy_tubes_$kind/best.pt --output runs/toy_tubes_$kind/test
done
"$PYTHON" test.py --checkpoint runs/toy_tubes_rgb/best.pt runs/toy_tubes_flow/best.pt \
    --fusion mean-index --output runs/toy_tubes_late
"$PYTHON" demo.py --checkpoint runs/toy_tubes_early/best.pt --output runs/toy_tubes_early/demo
