#!/usr/bin/env bash
# The whole path on the toy dataset: data, cls stage, STEP stage, test, demo on a held-out video.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -z "${PYTHON:-}" ]; then
    if [ -x .venv/bin/python ]; then PYTHON=.venv/bin/python; else PYTHON=python3; fi
fi
export PYTHON DATASET=toy

"$PYTHON" scripts/make_toy_dataset.py
bash scripts/train_cls.sh "$@"
bash scripts/train_step.sh "$@"
"$PYTHON" test.py --checkpoint runs/toy_step/best.pt --output runs/toy_step/test
"$PYTHON" demo.py --checkpoint runs/toy_step/best.pt --output runs/toy_step/demo
