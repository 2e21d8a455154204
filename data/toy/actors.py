"""Actors of the toy dataset: their actions, and the figure that draws an actor in a pose.

An action is nothing but the *rates* at which a pose changes, and the figure is drawn from the pose
alone. Whoever stops walking, climbing or jumping freezes in mid-stride or mid-air, and gestures are
at rest at key frames, arm down and lamp dark: a key frame tells no action, the motion does.

Lengths are fractions of the (square) image's side, x to the right and y down; times are seconds.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Color = tuple[int, int, int]

# What a pose holds: the middle of the standing figure, and four phases in radians.
X, Y, STRIDE, HOP, WAVE, FLASH = range(6)


@dataclass(frozen=True)
class Action:
    """A class of the dataset.

    Attributes:
        weight: Its chance among those that can be chosen at the same time.
        rates: What it moves of a pose, `{entry: sign}`; the actor's pace says how fast.
    """

    id: int
    name: str
    weight: float
    rates: dict[int, int]


# An actor always does one of these. Ids have gaps, as AVA's evaluated ones do.
LOCOMOTION = (
    Action(1, "stand", 0.05, {}),
    Action(3, "walk left", 0.28, {X: -1, STRIDE: 1}),
    Action(4, "walk right", 0.28, {X: 1, STRIDE: 1}),
    Action(6, "climb up", 0.2, {Y: -1, STRIDE: 1}),
    Action(7, "climb down", 0.2, {Y: 1, STRIDE: 1}),
    Action(9, "jump", 0.08, {HOP: 1}),
)
# ... and sometimes one of these as well.
IDLE = Action(0, "no gesture", 0.4, {})
GESTURES = (
    Action(12, "wave", 0.3, {WAVE: 1}),
    Action(17, "flash a lamp", 0.3, {FLASH: 1}),
)
ACTIONS = (*LOCOMOTION, *GESTURES)
STAND = LOCOMOTION[0]

# The figure's measures in units of its height; feet at 0.5 below the middle, top of the head above.
HEAD_RADIUS, TORSO_RADIUS, LEG_RADIUS, ARM_RADIUS, HAND_RADIUS = 0.13, 0.14, 0.06, 0.05, 0.09
LAMP_RADIUS = 0.11
HEAD_Y, SHOULDER_Y, WAIST_Y, HIP_Y = -0.37, -0.17, 0.08, 0.15
LEG_LENGTH, ARM_LENGTH = 0.29, 0.24
SHOULDER_X, HIP_X = 0.12, 0.07
HOP_HEIGHT = 0.3
# The same on everybody, so that they tell nothing and are seen on any background.
GLOVE, LAMP_ON, LAMP_OFF = (240, 240, 240), (255, 244, 150), (58, 52, 46)
EYE = (30, 26, 24)
# The farthest a hand gets from the middle, sideways: what a planned path keeps from the border.
REACH = 0.46

_ARC = np.linspace(-np.pi / 2, np.pi / 2, 10)
_HALF_CIRCLE = np.stack([np.cos(_ARC), np.sin(_ARC)], axis=1)
_CIRCLE = np.concatenate([_HALF_CIRCLE, -_HALF_CIRCLE])


@dataclass(frozen=True)
class Actor:
    """What stays the same about an actor.

    Attributes:
        height: From the feet to the top of the head.
        side: 1 where the figure's waving hand is on the right of the image, -1 on the left.
        lamp_angle: How far the other arm, which holds a lamp, points below the horizontal, radians.
        pattern: Of the shirt: 0 stripes, 1 sash, 2 dots.
        pace: `[6]` rates of the pose at full speed, per second.
    """

    height: float
    side: int
    lamp_angle: float
    pattern: int
    shirt: Color
    trim: Color
    trousers: Color
    skin: Color
    cap: Color
    pace: Array


def rates(actor: Actor, action: Action) -> Array:
    """The rates `[6]` at which `action` changes the pose of `actor`, per second."""
    found = np.zeros(6)
    for entry, sign in action.rates.items():
        found[entry] = sign * actor.pace[entry]
    return found


@dataclass(frozen=True)
class Shape:
    """A filled convex polygon: `points` `[P, 2]` as (x, y), `color` RGB."""

    points: Array
    color: Color


def figure(actor: Actor, pose: Array) -> list[Shape]:
    """The shapes that draw `actor` in `pose`, back to front."""
    middle = middles(actor, pose[None])[0]
    return [
        Shape(middle + actor.height * shape.points, shape.color) for shape in _body(actor, pose)
    ]


def middles(actor: Actor, poses: Array) -> Array:
    """The figure's middle (x, y), lifted by its hop: poses `[Q, 6]` give `[Q, 2]`."""
    lift = actor.height * HOP_HEIGHT * 0.5 * (1.0 - np.cos(poses[:, HOP]))
    return np.stack([poses[:, X], poses[:, Y] - lift], axis=1)


def bounds(shapes: Sequence[Shape]) -> Array:
    """The box `(x1, y1, x2, y2)` that holds `shapes` tightly."""
    points = np.concatenate([shape.points for shape in shapes])
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def raised_angle(wave: float) -> float:
    """How far the waving arm is above the horizontal, radians, at a phase of its wave."""
    return float(np.deg2rad(20.0) - np.deg2rad(85.0) * np.cos(wave))


def _body(actor: Actor, pose: Array) -> list[Shape]:
    """The figure around the origin, one unit high."""
    swing = 0.55 * np.sin(pose[STRIDE])
    legs = []
    for side in (-1, 1):
        hip = np.array([side * HIP_X, HIP_Y])
        foot = hip + LEG_LENGTH * np.array([np.sin(side * swing), np.cos(swing)])
        legs.append(Shape(_capsule(hip, foot, LEG_RADIUS), actor.trousers))
    raised = raised_angle(pose[WAVE])
    lit = np.cos(pose[FLASH]) < 0
    lamp = LAMP_ON if lit else LAMP_OFF
    return [
        *_arm(actor, actor.side, raised, HAND_RADIUS, GLOVE),
        *_arm(actor, -actor.side, -actor.lamp_angle, LAMP_RADIUS, lamp),
        *legs,
        *_torso(actor.pattern, actor.shirt, actor.trim),
        *_head(actor.skin, actor.cap),
    ]


def _arm(actor: Actor, side: int, angle: float, radius: float, color: Color) -> list[Shape]:
    """An arm at `angle` above the horizontal, with a disc of `radius` and `color` at its end."""
    shoulder = np.array([side * SHOULDER_X, SHOULDER_Y])
    hand = shoulder + ARM_LENGTH * np.array([side * np.cos(angle), -np.sin(angle)])
    return [
        Shape(_capsule(shoulder, hand, ARM_RADIUS), actor.shirt),
        Shape(_disc(hand, radius), color),
    ]


@functools.cache
def _torso(pattern: int, shirt_color: Color, trim_color: Color) -> tuple[Shape, ...]:
    top, bottom, half = SHOULDER_Y, WAIST_Y, TORSO_RADIUS
    shirt = Shape(_capsule(np.array([0.0, top]), np.array([0.0, bottom]), half), shirt_color)
    if pattern == 0:
        trims = [_rectangle(-half, y, half, y + 0.055) for y in (top - 0.02, top + 0.1, top + 0.22)]
    elif pattern == 1:
        corners = [[-half, top - 0.01], [-half + 0.1, top - 0.01], [half, bottom]]
        trims = [np.array([*corners, [half - 0.1, bottom]])]
    else:
        dots = [(-0.06, top + 0.01), (0.06, top + 0.05), (-0.05, top + 0.15), (0.06, top + 0.2)]
        trims = [_disc(np.array(dot), 0.035) for dot in dots]
    return (shirt, *(Shape(trim, trim_color) for trim in trims))


@functools.cache
def _head(skin: Color, cap: Color) -> tuple[Shape, ...]:
    center = np.array([0.0, HEAD_Y])
    head = _disc(center, HEAD_RADIUS)
    eyes = [np.array([side * 0.045, HEAD_Y + 0.03]) for side in (-1, 1)]
    return (
        Shape(head, skin),
        Shape(head[head[:, 1] < HEAD_Y - 0.02], cap),
        *(Shape(_disc(eye, 0.02), EYE) for eye in eyes),
    )


def _capsule(p: Array, q: Array, radius: float) -> Array:
    """Outline of everything within `radius` of the line from `p` to `q`."""
    x, y = (q - p) * (radius / math.dist(p, q))
    cap = _HALF_CIRCLE @ np.array([[x, y], [-y, x]])
    return np.concatenate([q + cap, p - cap])


def _disc(center: Array, radius: float) -> Array:
    return center + radius * _CIRCLE


def _rectangle(x1: float, y1: float, x2: float, y2: float) -> Array:
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
