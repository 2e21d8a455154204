#!/usr/bin/env bash
# Launches train.py for a stage, cls or step: on all visible GPUs by torchrun, on several machines
# where NNODES, NODE_RANK and MASTER_ADDR say so, in one process on a CPU where there is no GPU.
# DATASET=ava|toy picks configs/*/<dataset>_<stage>.yaml, CONFIG=FILE any other; without either it
# is AVA where datasets/ava has frames, else the toy dataset, made first if need be.
set -euo pipefail
stage=$1
shift
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ -z "${PYTHON:-}" ]; then
    if [ -x .venv/bin/python ]; then PYTHON=.venv/bin/python; else PYTHON=python3; fi
fi
if [ -z "${DATASET:-}" ]; then
    if [ -d datasets/ava/frames ]; then DATASET=ava; else DATASET=toy; fi
fi
if [ "$DATASET" = toy ]; then folder=toy; else folder=step; fi
CONFIG=${CONFIG:-configs/$folder/${DATASET}_${stage}.yaml}
if [[ $CONFIG = configs/*.yaml && ! -e $CONFIG ]]; then # a name of before: configs/toy_step.yaml
    for new in configs/*/"${CONFIG##*/}"; do
        if [ -e "$new" ]; then
            echo "$CONFIG is now $new" >&2
            CONFIG=$new
            break
        fi
    done
fi
echo "training with $CONFIG"
case " $*" in
*" root="* | *" data.root="*) named=yes ;; # the user's own dataset, whatever the configuration
*) named=no ;;
esac
if [ "$CONFIG" = "configs/toy/toy_${stage}.yaml" ] && [ $named = no ] && [ ! -d datasets/toy ]; then
    echo "no dataset yet: making the toy dataset in datasets/toy"
    "$PYTHON" scripts/make_toy_dataset.py
fi

gpus=$("$PYTHON" -c 'import torch; print(torch.cuda.device_count())')
if [ "$gpus" -gt 1 ] || [ "${NNODES:-1}" -gt 1 ]; then
    per_node=$((gpus > 0 ? gpus : 1))
    if [ "${NNODES:-1}" -gt 1 ]; then
        where=(--nnodes "$NNODES" --node-rank "${NODE_RANK:?set NODE_RANK, 0 on the first machine}"
            --master-addr "${MASTER_ADDR:?set MASTER_ADDR, the first machine}"
            --master-port "${MASTER_PORT:-29500}")
    else
        where=(--standalone)
    fi
    exec "$PYTHON" scripts/run_processes.py "${where[@]}" --nproc-per-node "$per_node" \
        train.py --config "$CONFIG" "$@"
fi
exec "$PYTHON" train.py --config "$CONFIG" "$@"
