#!/usr/bin/env bash
# Compiles and links the CUDA operators without a GPU, in a copy of the tree, and checks that the
# result holds them. Needs nvcc and a torch with CUDA. Usage: benchmarks/build_cuda.sh [python], or PYTHON=python
set -euo pipefail

python=$(command -v "${1:-${PYTHON:-python}}")
python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python")  # survives the cd below
root=$(cd "$(dirname "$0")/.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

mkdir "$copy/utils"
cp -r "$root/setup.py" "$root/csrc" "$copy"
cp -r "$root/utils/ops" "$copy/utils"
touch "$copy/utils/__init__.py"
rm -f "$copy"/utils/ops/*.so
cd "$copy"

# One generation is enough to see that it compiles; setup.py's default list takes four times as long.
export TORCH_CUDA_ARCH_LIST=${TORCH_CUDA_ARCH_LIST:-9.0}
FORCE_CUDA=1 "$python" setup.py build_ext --inplace > build.log 2>&1 || { tail -n 40 build.log; exit 1; }

"$python" - <<'PYTHON'
import pathlib

import torch

from utils.ops import _C, _backend

assert _backend.operators.compiled and _C.with_cuda
for name in ("roi_align", "_roi_align_backward", "roi_pool", "_roi_pool_backward", "nms", "nms_classes"):
    for key in ("CPU", "CUDA"):
        assert torch._C._dispatch_has_kernel_for_dispatch_key(f"step::{name}", key), (name, key)
library = pathlib.Path(_C.__file__).read_bytes()
for kernel in (b"forward_kernel", b"backward_kernel", b"overlap_kernel", b"greedy_kernel", b"greedy_classes_kernel"):
    assert kernel in library, kernel
assert b".nv_fatbin" in library, "no device code was linked"
print(f"built against torch {torch.__version__}: 6 operators have CPU and CUDA kernels")
PYTHON
