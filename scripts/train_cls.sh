#!/usr/bin/env bash
# Stage 1, classification pre-training: bash scripts/train_cls.sh [key=value ...]
exec bash "$(dirname "${BASH_SOURCE[0]}")/launch.sh" cls "$@"
