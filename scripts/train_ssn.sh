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
    dataset=$1 run=${PREFIX:-}$1_$2 modality=$2
    shift 2
    CONFIG=configs/ssn/$run.yaml
    case $dataset in
    thumos14 | activitynet1.2) ;;
    *) # the user's own: a configuration of its own need not say where it lies
        own=configs/ssn/${PREFIX:-}thumos14_$modality.yaml
        case " $*" in *" root="* | *" data.root="*) there=yes ;; *) there=no ;; esac
        if [ -d "$here/../datasets/$dataset" ]; then there=yes; fi
        if [ -e "$here/../$CONFIG" ]; then
            there=yes
        elif [ $there = yes ] && [ -e "$here/../$own" ]; then
            echo "no $CONFIG: $dataset is trained with $own"
            CONFIG=$own
        fi
        if [ $there = no ]; then
            echo "no $CONFIG; a dataset of your own is the folder datasets/$dataset" >&2
            exit 2
        fi
        set -- "dataset=$dataset" "name=$run" "$@"
        ;;
    esac
    if [ ! -e "$here/../$CONFIG" ]; then
        echo "no $CONFIG; there are: $(cd "$here/../configs/ssn" && ls *_*.yaml | tr '\n' ' ')" >&2
        exit 2
    fi
fi
export CONFIG
exec bash "$here/launch.sh" ssn "$@"
