#!/usr/bin/env bash
# SSN training: bash scripts/train_ssn.sh DATASET MODALITY [key=value ...], such as "thumos14 rgb".
# Datasets: thumos14, activitynet1.2. Modalities: rgb, flow; thumos14 also rgbdiff, rgb_paper and
# flow_paper (the paper's settings). CONFIG=FILE takes any other configuration.
set -euo pipefail
if [ $# -lt 2 ] && [ -z "${CONFIG:-}" ]; then
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
fi
here=$(dirname "${BASH_SOURCE[0]}")
if [ -z "${CONFIG:-}" ]; then
    CONFIG=configs/ssn/${PREFIX:-}$1_$2.yaml
    if [ ! -e "$here/../$CONFIG" ]; then
        echo "no $CONFIG; there are: $(cd "$here/../configs/ssn" && ls *_*.yaml | tr '\n' ' ')" >&2
        exit 2
    fi
    shift 2
fi
export CONFIG
exec bash "$here/launch.sh" ssn "$@"
