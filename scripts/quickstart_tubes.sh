#!/usr/bin/env bash
# The whole path on the toy videos of tubes: data, frames, flow; for RGB, flow and early fusion
# pre-training, training and test; late fusion; a demo. RUNS and DATA name other folders.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -z "${PYTHON:-}" ]; then
    if [ -x .venv/bin/python ]; then PYTHON=.venv/bin/python; else PYTHON=python3; fi
fi
# A network trains by one thread; two train at a time.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
data="${DATA:-datasets/toy_tubes}" runs="${RUNS:-runs}"
options=("root=$data" "output=$runs" "$@")

step() { printf '\n%s (%s s)\n' "== $1" "$SECONDS"; }

# Pre-train, train and test with the inputs $1. Validation is sparse, as the test follows.
network() {
    local run="$runs/toy_tubes_$1"
    "$PYTHON" train.py --config configs/toy/toy_tubes_cls.yaml "inputs=$1" \
        "name=toy_tubes_$1_cls" "${options[@]}"
    "$PYTHON" train.py --config "configs/toy/toy_tubes_$1.yaml" "init=${run}_cls/best.pt" \
        validation_stride=6 "${options[@]}"
    "$PYTHON" test.py --checkpoint "$run/best.pt" --data-root "$data" --output "$run/test" \
        test_stride=3
}

# What `network` prints, each line with the inputs before it.
labelled() { network "$1" 2>&1 | sed -u "s/^/$1: /"; }

demo() {
    step "demo on the held-out videos"
    "$PYTHON" demo.py --checkpoint "$runs/toy_tubes_early/best.pt" --input "$data/held_out" \
        --output "$runs/toy_tubes_early/demo"
}

late() {
    step "test: late fusion"
    "$PYTHON" test.py --checkpoint "$runs/toy_tubes_rgb/best.pt" "$runs/toy_tubes_flow/best.pt" \
        --fusion mean-index --data-root "$data" --output "$runs/toy_tubes_late" test_stride=3
}

step "videos"
"$PYTHON" scripts/make_toy_tubes.py --root "$data"
step "frames and flow"
"$PYTHON" scripts/extract_frames.py "$data/videos" --output "$data/rgb-images"
"$PYTHON" scripts/extract_flow.py "$data/rgb-images" --output "$data/flow"
step "training and test: RGB, flow, early fusion"
# Early fusion, with the demo on the held-out videos, takes as long as the others and their fusion.
{ labelled early; demo; } & early=$!
{ labelled rgb; labelled flow; late 2>&1 | sed -u "s/^/late: /"; } & others=$!
wait "$early"
wait "$others"
step "done: $runs"
