#!/usr/bin/env bash
# Training of SSN's actionness classifier: bash scripts/train_actionness.sh DATASET MODALITY
# [key=value ...], such as "thumos14 rgb". Datasets: thumos14, activitynet1.2, and your own in
# datasets/DATASET, trained as thumos14. Modalities: rgb, flow.
export PREFIX=actionness_
exec bash "$(dirname "${BASH_SOURCE[0]}")/train_ssn.sh" "$@"
