#!/usr/bin/env bash
# SSN's whole path on toy untrimmed videos: videos, frames and flow, actionness, TAG, SSN in RGB and
# flow, test, fusion, a timeline and the annotated video of a held-out video.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -z "${PYTHON:-}" ]; then
    if [ -x .venv/bin/python ]; then PYTHON=.venv/bin/python; else PYTHON=python3; fi
fi
# Each network trains by one thread: those of RGB and of flow train at the same time.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
data="${DATA:-datasets/toy_segments}" runs="${RUNS:-runs}"
place=("root=$data" "output=$runs")

step() { printf '\n%s (%s s)\n' "== $1" "$SECONDS"; }

# Run a function for RGB and for Flow at the same time, each line that it prints with the one before
# it; fail if one fails.
both() {
    labelled "$1" RGB & local first=$!
    labelled "$1" Flow & local second=$!
    wait "$first"
    wait "$second"
}

labelled() { "$1" "$2" 2>&1 | sed -u "s/^/$2: /"; }

train_actionness() {
    "$PYTHON" train.py --config configs/toy/toy_actionness.yaml "${place[@]}" \
        "modality=$1" "name=toy_actionness_${1,,}"
    for split in train test; do
        "$PYTHON" scripts/ssn/score_actionness.py "$runs/toy_actionness_${1,,}/best.pt" \
            "$data/segments_$split.csv" "$split" --frames "$data/frames" \
            -o "$data/actionness_${1,,}_$split.pkl" --force
    done
}

train_ssn() {
    "$PYTHON" train.py --config configs/toy/toy_ssn.yaml "${place[@]}" \
        "modality=$1" "name=toy_ssn_${1,,}"
}

step "videos"
"$PYTHON" scripts/make_toy_segments.py --root "$data"
step "frames and flow"
"$PYTHON" scripts/ssn/extract.py "$data/videos" --output "$data/frames" --size 64x64 --workers 2

step "actionness: sliding windows, training, scores"
for split in train test; do
    "$PYTHON" scripts/ssn/proposals.py windows "$data/segments_$split.csv" "$split" \
        -o "$data/windows_$split.txt" --force
done
both train_actionness

step "proposals: temporal actionness grouping"
mkdir -p "$runs/toy_segments"
for split in train test; do
    "$PYTHON" scripts/ssn/proposals.py tag "$data/segments_$split.csv" "$split" \
        "$data/actionness_rgb_$split.pkl" "$data/actionness_flow_$split.pkl" \
        -o "$data/proposals_$split.txt" --picture "$runs/toy_segments/proposals_$split.png" --force
done
# It marks what is unusual and then fails; here it is for reading.
"$PYTHON" scripts/ssn/sanity.py "$data/proposals_train.txt" || true

step "SSN: training"
both train_ssn
"$PYTHON" scripts/ssn/bundle.py "$runs"/toy_ssn_{rgb,flow}/best.pt \
    "$runs"/toy_actionness_{rgb,flow}/best.pt -o "$runs/toy_segments/SSN.pt" --force

step "test: RGB, flow, and both"
"$PYTHON" test.py --checkpoint "$runs/toy_segments/SSN.pt" --data-root "$data" \
    --output "$runs/toy_segments/test" annotation=segments_train.csv \
    val_annotation=segments_test.csv
step "demo on a held-out video"
"$PYTHON" demo.py --checkpoint "$runs/toy_segments/SSN.pt" --output "$runs/toy_segments/demo" \
    --input "$data/held_out" --conf-thresh 1
step "done: $runs/toy_segments"
