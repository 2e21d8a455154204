"""Install the packages and, where a compiler is found, build the operators in csrc/.

Both `python setup.py build develop` and `pip install -e .` leave the compiled module at
utils/ops/_C*.so. Environment variables:

* FORCE_CUDA=1 builds the CUDA kernels without a visible GPU (nvcc is needed, a card is not);
* TORCH_CUDA_ARCH_LIST names the GPU generations, as for any PyTorch extension;
* STEP_BUILD_OPS=0 installs without compiling; utils.ops then uses torchvision's operators.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

from setuptools import Extension, find_packages, setup

ROOT = Path(__file__).resolve().parent
PACKAGES = ("models", "data", "recipes", "utils", "external")
# Turing to Hopper, and PTX from which a driver compiles for what came later. Every nvcc that can
# build for torch >= 2.4 knows these.
DEFAULT_CUDA_ARCHITECTURES = "7.5;8.0;8.6;9.0+PTX"
OPENCV_DISTRIBUTIONS = (
    "opencv-python",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-contrib-python-headless",
)


def see_runtime_environment() -> None:
    """Make the environment that is installed into importable, after what is importable already.

    pip builds in an isolated environment that hides the installed torch. Asking for torch in the
    build requirements would download another one, and an extension compiled against that one
    fails to load, or worse, with the torch it runs with. pip isolates through PYTHONPATH alone,
    so the same interpreter without it tells where the real packages are.
    """
    if importlib.util.find_spec("torch") is not None:
        return
    hidden = ("PYTHONPATH", "PYTHONNOUSERSITE")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    command = [sys.executable, "-c", "import json, sys; print(json.dumps(sys.path[1:]))"]
    paths = json.loads(subprocess.check_output(command, env=environment, cwd=ROOT, text=True))
    sys.path.extend(path for path in paths if path not in sys.path)


def opencv_requirement() -> str:
    """Any distribution of cv2 will do; they overwrite each other's files, so never add a second."""
    for name in OPENCV_DISTRIBUTIONS:
        try:
            importlib.metadata.version(name)
            return name
        except importlib.metadata.PackageNotFoundError:
            continue
    return "opencv-python-headless"


def cuda_toolkit() -> Path | None:
    """The root of the CUDA toolkit, asked of nvcc itself: the one on PATH may be a wrapper."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    nvcc = str(Path(home, "bin", "nvcc")) if home else shutil.which("nvcc")
    if nvcc is None or shutil.which(nvcc) is None:
        return None
    command = [nvcc, "--dryrun", "-x", "cu", os.devnull]
    dry_run = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    top = re.search(r"^#\$ TOP=(.+)$", dry_run.stderr, re.MULTILINE)
    return Path(top.group(1).strip()).resolve() if top else Path(nvcc).resolve().parents[1]


def pip_cuda_directories(name: str) -> list[str]:
    """The directories `name` ("include" or "lib") of the CUDA packages that torch came with.

    A toolkit of compilers alone lacks the headers of cuBLAS and its kin, which torch's include.
    """
    import torch

    packages = Path(torch.__file__).resolve().parents[1] / "nvidia"
    return sorted(str(path) for path in packages.glob(f"*/{name}"))


def wants_cuda() -> bool:
    import torch

    force = os.environ.get("FORCE_CUDA", "0") == "1"
    if not force and not torch.cuda.is_available():
        return False
    if torch.version.cuda is None or cuda_toolkit() is None:
        if force:
            raise RuntimeError(
                f"FORCE_CUDA=1 needs nvcc and a torch with CUDA: nvcc's toolkit is "
                f"{cuda_toolkit()}, torch {torch.__version__} has CUDA {torch.version.cuda}"
            )
        return False
    return True


def why_not_compile() -> str | None:
    """The reason that there can be no extension, or None. A failing compiler is an error, not one:
    hidden behind the fallback it would never be mended."""
    if os.environ.get("STEP_BUILD_OPS", "1") == "0":
        return "STEP_BUILD_OPS=0"
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed; install it first, or build without pip's isolation"
    compiler = os.environ.get("CXX", "cl" if os.name == "nt" else "c++")
    if shutil.which(compiler.split()[0]) is None:
        return f"there is no C++ compiler ({compiler!r} is not on PATH; set CXX to name another)"
    return None


def relative(paths: list[Path]) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in paths)


def operators() -> Extension:
    """The extension utils.ops._C from csrc/."""
    cuda = wants_cuda()
    if cuda:
        # Torch's build module guesses the toolkit from PATH, once, when it is imported: below.
        os.environ["CUDA_HOME"] = str(cuda_toolkit())
        import torch

        if not torch.cuda.is_available():
            os.environ.setdefault("TORCH_CUDA_ARCH_LIST", DEFAULT_CUDA_ARCHITECTURES)
    from torch.utils.cpp_extension import CppExtension, CUDAExtension

    csrc = ROOT / "csrc"
    openmp = "/openmp" if os.name == "nt" else "-fopenmp"  # at::parallel_for is a loop without it
    optimize = ["/O2"] if os.name == "nt" else ["-O3", "-g0"]
    extension = (CUDAExtension if cuda else CppExtension)(
        name="utils.ops._C",
        sources=relative([*csrc.rglob("*.cpp"), *(csrc.rglob("*.cu") if cuda else ())]),
        depends=relative(list(csrc.rglob("*.h"))),
        define_macros=[("STEP_WITH_CUDA", None)] if cuda else [],
        extra_compile_args={"cxx": [*optimize, openmp], "nvcc": ["-O3"]},
        extra_link_args=[] if os.name == "nt" else [openmp],
    )
    if cuda:  # last, so that the toolkit's own files are preferred
        extension.include_dirs += pip_cuda_directories("include")
        extension.library_dirs += pip_cuda_directories("lib")
    return extension


def extension_arguments() -> dict[str, object]:
    reason = why_not_compile()
    if reason is not None:
        warnings.warn(
            f"the operators in csrc/ are not compiled: {reason}. "
            "Everything works, slower, with torchvision's.",
            stacklevel=1,
        )
        return {}
    extension = operators()
    from torch.utils.cpp_extension import BuildExtension

    return {"ext_modules": [extension], "cmdclass": {"build_ext": BuildExtension}}


see_runtime_environment()
setup(
    name="step-detection",
    version="0.1.0",
    description="STEP: spatio-temporal progressive learning for video action detection",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=[p for name in PACKAGES for p in (name, f"{name}.*")]),
    package_data={
        "utils.reporting.report": ["*.html", "*.css", "*.js"],
        "utils.formats": ["*.schema.json"],
    },
    # pybind11 is not listed: the headers that the extension is compiled with come inside torch.
    install_requires=[
        "torch>=2.4",
        "torchvision",
        "numpy>=2.0",
        "av",
        "pyyaml",
        "msgspec",
        "regex",
        "tqdm",
        "tensorboard",
        opencv_requirement(),
    ],
    extras_require={
        "analysis": ["matplotlib"],
        "weights": ["gdown"],
        "matlab": ["scipy"],
        "dev": [
            "matplotlib",
            "pytest",
            "pytest-xdist",
            "ruff",
            "mypy",
            "types-PyYAML",
            "types-tqdm",
        ],
    },
    zip_safe=False,
    **extension_arguments(),
)
