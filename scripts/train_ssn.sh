#!/usr/bin/env bash
# SSN training: bash scripts/train_ssn.sh DATASET MODALITY [key=value ...], such as "thumos14 rgb".
# Datasets: thumos14, activitynet1.2, and your own in datasets/DATASET, trained as thumos14.
# Modalities: rgb, flow; for thumos14 also rgbdiff, rgb_paper and flow_paper (the paper's settings).
# CONFIG=FILE takes any other configuration.
set -euo pipefail
if [ $# -lt 2 ] && [ -z "${CONFIG:-}" ]; then
    sed -n '2,5s/^# //p' "$0" >&2
    exit 2
fi
here=$(dirname "${BASH_SOURCE[0]}")
if [ -z "${CONFIG:-}" ]; then
    CONFIG=configs/ssn/${PREFIX:-}$1_$2.yaml
    own=configs/ssn/${PREFIX:-}thumos14_$2.yaml
    if [ ! -e "$here/../$CONFIG" ] && [ -d "$here/../datasets/$1" ] && [ -e "$here/../$own" ]; then
        echo "no $CONFIG: training datasets/$1 with the settings of $own"
        CONFIG=$own
        set -- "$1" "$2" "dataset=$1" "name=${PREFIX:-}$1_$2" "${@:3}"
    fi
    if [ ! -e "$here/../$CONFIG" ]; then
        echo "no $CONFIG; there are: $(cd "$here/../configs/ssn" && ls *_*.yaml | tr '\n' ' ')" >&2
        echo "A dataset of your own is the folder datasets/$1, which is not there" >&2
        exit 2
    fi
    shift 2
fi
export CONFIG
exec bash "$here/launch.sh" ssn "$@"
