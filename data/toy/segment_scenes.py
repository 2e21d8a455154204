"""Painting toy untrimmed videos: an actor beside a wheel, with a lamp and a sign.

Lengths are fractions of the square image's side, x to the right and y down; times are seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.toy.actors import (
    ARM_LENGTH,
    FLASH,
    HOP,
    SHOULDER_X,
    SHOULDER_Y,
    WAVE,
    Actor,
    Array,
    Color,
    Shape,
    X,
    Y,
    figure,
    middles,
)
from data.toy.scenes import (
    MIN_CANVAS,
    Background,
    draw_color,
    make_actor,
    make_background,
    paint,
    paint_background,
    shrink,
)
from data.toy.segment_plays import (
    GREETING,
    JUMP,
    LAMP,
    SHAKE,
    SIGN,
    TURN,
    Passage,
    Play,
    is_inside,
    time_inside,
)
from data.toy.segment_plays import WAVE as WAVING

Image = NDArray[np.uint8]

RADIUS, SPOKES = 0.19, 5
TURNS = 0.25
"""Turns of the wheel a second; between two frames it turns by less than half a spoke's distance."""

SHAKES, SHAKE_WIDTH = 0.8, 0.05
SIGN_COLOR: Color = (235, 60, 200)
SIGN_CORNERS = np.array([[-0.16, -0.09], [0.16, -0.09], [0.16, 0.09], [-0.16, 0.09]])
GLOW, GLOW_COLOR = 0.13, (250, 225, 110)
"""Radius and colour of the light around a lamp that is lit."""
_ARC = np.linspace(0, 2 * np.pi, 32, endpoint=False)
_ROUND = np.stack([np.cos(_ARC), np.sin(_ARC)], axis=1)
GESTURE_RATE = 1.1
"""Waves and hops a second, about: each is done a whole number of times."""


@dataclass(frozen=True)
class StageScene:
    """A video before it is painted.

    Attributes:
        stage: X of the wheel's middle; the actor stands on the other side.
        angle: Of the wheel at the start.
        paints: Colours of the wheel, of its rim, and of each who passes.
    """

    play: Play
    background: Background
    actor: Actor
    stage: float
    angle: float
    wheel: tuple[Color, Color]
    passers: list[Color]


def make_stage(rng: np.random.Generator, play: Play) -> StageScene:
    """Draw who and what is seen in `play`."""
    background = make_background(rng, max(round(play.seconds), 1))
    actor = make_actor(rng, height=rng.uniform(0.42, 0.5))
    stage = rng.uniform(0.26, 0.32)
    return StageScene(
        play,
        background,
        actor,
        stage if rng.random() < 0.5 else 1.0 - stage,
        rng.uniform(0, 2 * np.pi),
        (draw_color(rng, (0.2, 0.9), (0.2, 0.5)), draw_color(rng, (0.0, 0.5), (0.7, 1.0))),
        [draw_color(rng, (0.2, 0.9), (0.2, 0.9)) for _ in play.passages],
    )


class StageRenderer:
    """Paints a scene at `size` pixels a side."""

    def __init__(self, scene: StageScene, size: int) -> None:
        self.scene, self.size = scene, size
        self.canvas = size * max(2, -(-MIN_CANVAS // size))
        self._background = paint_background(scene.background, self.canvas)

    def __call__(self, time: float) -> Image:
        """The picture at `time`: `[size, size, 3]` uint8 RGB."""
        background = self.scene.background
        corner = background.pan_start + background.pan_velocity * time
        x, y = np.rint(corner * self.canvas).astype(int)
        picture = self._background[y : y + self.canvas, x : x + self.canvas].copy()
        paint(picture, list(_shapes(self.scene, time)), self.canvas)
        return shrink(picture, self.size)


def _shapes(scene: StageScene, time: float) -> Iterator[Shape]:
    """Yield all that is seen at `time`, back to front."""
    yield from _wheel(scene, time)
    pose = _pose(scene, time)
    if pose[FLASH]:
        yield Shape(_lamp(scene.actor, pose) + GLOW * _ROUND, GLOW_COLOR)
    yield from figure(scene.actor, pose)
    if is_inside(scene.play.active(SIGN), time):
        head = pose[[X, Y]] - [0.0, 0.76 * scene.actor.height]
        yield Shape(head + SIGN_CORNERS, SIGN_COLOR)
    for passage, color in zip(scene.play.passages, scene.passers, strict=True):
        yield from _passer(passage, color, time)


def _lamp(actor: Actor, pose: Array) -> Array:
    """Where the actor's lamp is, (x, y)."""
    side, angle = -actor.side, actor.lamp_angle
    hand = np.array([side * SHOULDER_X, SHOULDER_Y])
    hand = hand + ARM_LENGTH * np.array([side * np.cos(angle), np.sin(angle)])
    return middles(actor, pose[None])[0] + actor.height * hand


def _pose(scene: StageScene, time: float) -> Array:
    """The actor's pose `[6]`."""
    play, pose = scene.play, np.zeros(6)
    pose[X], pose[Y] = 1.0 - scene.stage, 0.62
    greeting = next((t for t in play.all_greetings() if t <= time < t + GREETING), None)
    if greeting is not None:
        pose[WAVE] = 2 * np.pi * (time - greeting) / GREETING
    pose[WAVE] += _cycles(play, WAVING, time)
    pose[HOP] = _cycles(play, JUMP, time)
    pose[FLASH] = np.pi if is_inside(play.active(LAMP), time) else 0.0
    return pose


def _cycles(play: Play, label: int, time: float) -> float:
    """The phase of a gesture, which is done a whole number of times in each interval."""
    for start, end in play.active(label):
        if start <= time < end:
            times = max(round(GESTURE_RATE * (end - start)), 1)
            return 2 * np.pi * times * (time - start) / (end - start)
    return 0.0


def _wheel(scene: StageScene, time: float) -> Iterator[Shape]:
    """A wheel with spokes that stays as it is where nobody moves it."""
    shaken = time_inside(scene.play.active(SHAKE), time)
    turned = time_inside(scene.play.active(TURN), time)
    x = scene.stage + SHAKE_WIDTH * np.sin(scene.angle + 2 * np.pi * SHAKES * shaken)
    middle, angle = np.array([x, 0.55]), scene.angle + 2 * np.pi * TURNS * turned
    rim, spoke = scene.wheel
    yield Shape(middle + RADIUS * _ROUND, rim)
    for number in range(SPOKES):
        along = angle + 2 * np.pi * number / SPOKES
        direction = np.array([np.cos(along), np.sin(along)])
        across = 0.018 * np.array([-direction[1], direction[0]])
        tip = RADIUS * direction
        yield Shape(middle + np.stack([across, tip + across, tip - across, -across]), spoke)


def _passer(passage: Passage, color: Color, time: float) -> Iterator[Shape]:
    """A block that crosses the picture at its lower edge."""
    if not passage.start <= time < passage.end:
        return
    share = (time - passage.start) / (passage.end - passage.start)
    x = -0.15 + 1.3 * (1 - share if passage.leftwards else share)
    yield Shape(np.array([[x - 0.1, 0.82], [x + 0.1, 0.82], [x + 0.1, 1.0], [x - 0.1, 1.0]]), color)
