"""Checks of the operators' arguments: each names the argument, what came and what was expected."""

import math
import numbers

import torch

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
# More is no pooling, but a mistake that would ask for any amount of memory or time. csrc has the
# same limits (common/checks.h).
MOST_BINS = 1024
MOST_SAMPLES = 128


def check_tensor(name: str, value: object, shape: str) -> None:
    """Refuse what is no dense tensor; `shape` says what was expected."""
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"{name} must be {shape}, got {_said(value)}")
    if value.layout != torch.strided:
        raise ValueError(f"{name} must be a dense tensor {shape}, got layout {value.layout}")


def check_floats(**tensors: torch.Tensor) -> None:
    """Refuse dtypes that no operator computes with, and two devices."""
    names = " and ".join(tensors)
    dtypes = " and ".join(str(tensor.dtype) for tensor in tensors.values())
    if any(tensor.dtype not in DTYPES for tensor in tensors.values()):
        raise ValueError(
            f"{names} must be floating point, got {dtypes}; expected float64, float32, float16 or "
            "bfloat16"
        )
    devices = [tensor.device for tensor in tensors.values()]
    if len(set(devices)) != 1:
        raise ValueError(
            f"{names} must be on one device, got {' and '.join(str(d) for d in devices)}"
        )


def whole_number(name: str, value: object, expected: str = "a whole number") -> int:
    """`value`, an int or an integer of NumPy, but no bool."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ValueError(f"{name} must be {expected}, got {_said(value)}")
    return int(value)


def number(name: str, value: object) -> float:
    """`value` as a float; no bool, string or tensor."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"{name} must be a number, got {_said(value)}")
    return float(value)


def output_size(value: object) -> tuple[int, int]:
    """(PH, PW) of one number or a pair."""
    expected = f"positive (PH, PW) up to {MOST_BINS} each, or one number for both"
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"output_size must be {expected}, got {value}")
    height, width = (whole_number("output_size", side, expected) for side in pair)
    if not (0 < height <= MOST_BINS and 0 < width <= MOST_BINS):
        raise ValueError(f"output_size must be {expected}, got {value}")
    return height, width


def spatial_scale(value: object) -> float:
    scale = number("spatial_scale", value)
    if not 0 < scale < math.inf:
        raise ValueError(f"spatial_scale must be positive, got {value}")
    return scale


def sampling_ratio(value: object) -> int:
    """Samples per bin and axis; every number below 1 is -1, adapted to the box."""
    ratio = whole_number("sampling_ratio", value)
    if ratio > MOST_SAMPLES:
        raise ValueError(
            f"sampling_ratio must be at most {MOST_SAMPLES} samples per bin and axis (0 or less "
            f"adapts it to the box), got {ratio}"
        )
    return max(ratio, -1)


def refuse_transforms(name: str, *tensors: torch.Tensor) -> None:
    """Say which derivative there is, where PyTorch would name a class of its own in C++."""
    if torch.compiler.is_compiling():
        return
    if any(_is_differentiated(tensor) for tensor in tensors):
        raise NotImplementedError(
            f"{name} is not supported under torch.func.grad, vjp, jvp and forward-mode "
            "differentiation: its gradient is that of backward() and torch.autograd.grad"
        )


def _is_differentiated(tensor: torch.Tensor) -> bool:
    """Whether a transform of torch.func or a dual number of forward mode follows the tensor."""
    functorch = torch._C._functorch
    if torch.autograd.forward_ad.unpack_dual(tensor).tangent is not None:
        return True
    while functorch.is_functorch_wrapped_tensor(tensor):
        if functorch.is_gradtrackingtensor(tensor):
            return True
        tensor = functorch.get_unwrapped(tensor)
    return False


def _said(value: object) -> str:
    """A value of the wrong kind, in few characters."""
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
