#!/usr/bin/env bash
# Stage 2, STEP training from the cls checkpoint: bash scripts/train_step.sh [key=value ...]
exec bash "$(dirname "${BASH_SOURCE[0]}")/launch.sh" step "$@"
