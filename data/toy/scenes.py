"""Scenes of the toy dataset: a textured background, its actors, and pictures of them at any size.

A scene is a description without pixels, so the same moment can be drawn at 96 pixels for training
and at 256 for looking at. Lengths are fractions of the square image's side.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from data.toy.actors import (
    FLASH,
    HOP,
    STRIDE,
    WAVE,
    Actor,
    Array,
    Color,
    Shape,
    X,
    Y,
    bounds,
    figure,
)
from data.toy.tracks import Track, plan_track

Image = NDArray[np.uint8]

# The background reaches beyond the image, so that the camera can pan over it.
BACKGROUND_SIDE = 1.25
# Pictures are painted at this many pixels at least, then averaged down: smooth edges and motion.
MIN_CANVAS = 256
# Fractional bits of OpenCV's polygon corners.
_SHIFT = 6
_ONE = 1 << _SHIFT


@dataclass(frozen=True)
class Background:
    """Two colours mixed by smooth noise, with faint clutter on top.

    Attributes:
        noise: Square grids of random numbers, coarse to fine, each half as strong as the one
            before.
        clutter: Shapes within `[0, BACKGROUND_SIDE]`, and `opacity` of each.
        pan_start, pan_velocity: (x, y) of the image's corner at the scene's start, and per second.
    """

    colors: tuple[Color, Color]
    noise: list[Array]
    clutter: list[Shape]
    opacity: list[float]
    pan_start: Array
    pan_velocity: Array


@dataclass(frozen=True)
class Scene:
    """A video before it is painted: from `first_second` on for `seconds`."""

    first_second: int
    seconds: int
    background: Background
    actors: list[tuple[Actor, Track]]

    def boxes(self, time: float) -> Array:
        """Boxes `[A, 4]` of all actors, tight around body, limbs and lamp, inside the image."""
        found = [bounds(shapes) for shapes in self.figures(time)]
        return np.clip(np.stack(found), 0.0, 1.0)

    def figures(self, time: float) -> list[list[Shape]]:
        """The shapes of each actor at `time`."""
        return [figure(actor, track.pose(time)) for actor, track in self.actors]


class Painted(Protocol):
    """What a `Renderer` paints: a background, and figures in front of it, back to front."""

    @property
    def first_second(self) -> int:
        """When it begins."""

    @property
    def background(self) -> Background:
        """What is behind the figures."""

    def figures(self, time: float) -> list[list[Shape]]:
        """The shapes of each figure at `time`."""


P = TypeVar("P", bound=Painted)


def make_scene(
    rng: np.random.Generator, first_second: int, seconds: int, count: int | None = None
) -> Scene:
    """Draw a scene with `count` actors, 1 to 3 where it is not given."""
    if count is None:
        count = int(rng.choice([1, 2, 3], p=[0.35, 0.45, 0.2]))
    background = make_background(rng, seconds)
    actors: list[tuple[Actor, Track]] = []
    for _ in range(count):
        # The more there are, the smaller they must be to find a way around each other.
        actor = make_actor(rng, height=rng.uniform(0.39, 0.59 - 0.04 * count))
        actors.append((actor, plan_track(rng, actor, actors, first_second, seconds)))
    return Scene(first_second, seconds, background, actors)


def make_actor(rng: np.random.Generator, height: float) -> Actor:
    """Draw the looks and the paces of an actor."""
    pace = np.zeros(6)
    pace[X] = rng.uniform(0.2, 0.3)
    pace[Y] = rng.uniform(0.15, 0.22)
    # Cycles per second: none is shorter than five frames at 12 frames per second.
    for entry, rate in ((STRIDE, 1.5), (HOP, 1.8)):
        pace[entry] = 2 * np.pi * rate * rng.uniform(0.85, 1.15)
    # Whole cycles in the seconds that a gesture takes: it ends where it began, at rest.
    pace[[WAVE, FLASH]] = 2 * np.pi * 2
    return Actor(
        height=height,
        side=int(rng.choice([-1, 1])),
        lamp_angle=np.deg2rad(rng.uniform(62.0, 80.0)),
        pattern=int(rng.integers(3)),
        shirt=draw_color(rng, (0.6, 1.0), (0.55, 1.0)),
        trim=draw_color(rng, (0.0, 1.0), (0.3, 1.0)),
        trousers=draw_color(rng, (0.3, 0.9), (0.15, 0.6)),
        skin=draw_color(rng, (0.3, 0.6), (0.4, 1.0), hues=(0.04, 0.1)),
        cap=draw_color(rng, (0.4, 1.0), (0.2, 0.9)),
        pace=pace,
    )


def make_background(rng: np.random.Generator, seconds: float) -> Background:
    """Draw a background and the way of the camera over it in `seconds`."""

    def muted() -> Color:
        return draw_color(rng, (0.05, 0.4), (0.35, 0.85))

    clutter = []
    for _ in range(int(rng.integers(6, 13))):
        half = rng.uniform(0.03, 0.16, 2)
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
        if rng.random() < 0.5:
            arc = np.linspace(0, 2 * np.pi, 24, endpoint=False)
            corners = np.stack([np.cos(arc), np.sin(arc)], axis=1) * half
        angle = rng.uniform(0, np.pi)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        clutter.append(Shape(corners @ turn + rng.uniform(0, BACKGROUND_SIDE, 2), muted()))
    room = BACKGROUND_SIDE - 1.0
    pan = rng.uniform(0, room, (2, 2)) if rng.random() < 0.5 else rng.uniform(0, room, (1, 2))
    return Background(
        colors=(muted(), muted()),
        noise=[rng.uniform(-1, 1, (cells, cells)) for cells in (4, 8, 17, 35, 70)],
        clutter=clutter,
        opacity=[float(rng.uniform(0.15, 0.5)) for _ in clutter],
        pan_start=pan[0],
        pan_velocity=(pan[-1] - pan[0]) / seconds,
    )


def draw_color(
    rng: np.random.Generator,
    saturation: tuple[float, float],
    value: tuple[float, float],
    hues: tuple[float, float] = (0.0, 1.0),
) -> Color:
    h, s, v = rng.uniform(*hues), rng.uniform(*saturation), rng.uniform(*value)
    r, g, b = colorsys.hsv_to_rgb(h, s, v)
    return round(255 * r), round(255 * g), round(255 * b)


class Renderer(Generic[P]):
    """Paints a scene at `size` pixels a side."""

    def __init__(self, scene: P, size: int) -> None:
        self.scene = scene
        self.size = size
        self.canvas = size * max(2, -(-MIN_CANVAS // size))
        self._background = paint_background(scene.background, self.canvas)

    def __call__(self, time: float) -> Image:
        """The picture at `time`: `[size, size, 3]` uint8 RGB."""
        corner = self.scene.background.pan_start
        corner = corner + self.scene.background.pan_velocity * (time - self.scene.first_second)
        x, y = np.rint(corner * self.canvas).astype(int)
        picture = self._background[y : y + self.canvas, x : x + self.canvas].copy()
        for shapes in self.scene.figures(time):
            paint(picture, shapes, self.canvas)
        return shrink(picture, self.size)


def paint(picture: Image, shapes: list[Shape], scale: float) -> None:
    """Fill `shapes` into `picture` `[H, W, 3]`, a unit of theirs being `scale` pixels."""
    # OpenCV's integer coordinates name pixel centres, ours pixel corners: half a pixel apart.
    for shape in shapes:
        corners = np.rint(shape.points * (scale * _ONE) - 0.5 * _ONE).astype(np.int32)
        cv2.fillConvexPoly(picture, corners, shape.color, cv2.LINE_AA, _SHIFT)


def shrink(picture: Image, size: int) -> Image:
    """Average `picture` down to `size` pixels a side."""
    return np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def paint_background(background: Background, scale: int) -> Image:
    """The whole background, `[S, S, 3]` uint8 with `S = BACKGROUND_SIDE * scale`."""
    side = round(BACKGROUND_SIDE * scale)
    mix = np.zeros((side, side))
    for octave, grid in enumerate(background.noise):
        mix += 0.5**octave * cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC)
    mix = np.clip(0.5 + 0.6 * mix, 0.0, 1.0)[..., None]
    first, second = (np.array(color, float) for color in background.colors)
    picture = np.rint(first * (1 - mix) + second * mix).astype(np.uint8)
    for shape, opacity in zip(background.clutter, background.opacity, strict=True):
        over = picture.copy()
        paint(over, [shape], scale)
        picture = cv2.addWeighted(picture, 1 - opacity, over, opacity, 0.0).astype(np.uint8)
    return picture
