"""Scenes of the toy videos of tubes: figures that walk all the time and act for a part of it.

What each class is for (`ACTIONS`):

Jump, Wave             are seen within a clip of six frames.
BlinkBlue, BlinkRed    hold up a lamp that is yellow for 22 frames and then blue or red for 6. Most
                       clips of six frames show yellow alone, some of 18 do, and none of 30. Flow
                       does not see colours.
RollUp, RollDown       hold a board of fine random dots that rolls: a frame shows the board, and
                       its optical flow the direction; dots of two pixels hardly survive a network's
                       strides, so frames alone hardly tell.

Between its actions and outside them a figure walks on, arms down. It moves by more than its width
within 30 frames, so that a cuboid does not hold it for so long.

Lengths are fractions of the (square) image's side, x to the right and y down; frames are counted
from 0 here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data.toy.actors import (
    ARM_LENGTH,
    GLOVE,
    HOP,
    HOP_HEIGHT,
    LAMP_ON,
    REACH,
    SHOULDER_X,
    SHOULDER_Y,
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
    middles,
    raised_angle,
)
from data.toy.scenes import Background, make_actor, make_background

FPS = 25
"""Frames a second of the videos, as UCF101's."""


@dataclass(frozen=True)
class TubeAction:
    """A class.

    Attributes:
        entry: Of the pose that moves, if any.
        period: Frames of a cycle.
        signal: Colour that the lamp, which is held up, has for a part of its cycle; `None`: it is
            not held up.
        roll: Heights of the figure by which the board rolls in a frame, downwards; 0: it has no
            board.
    """

    name: str
    entry: int | None = None
    period: float = 1.0
    signal: Color | None = None
    roll: float = 0.0


# The lamp's cycle: yellow, and then the colour that tells. Shorter than the shortest action.
YELLOW_FRAMES, SIGNAL_FRAMES = 22, 6
CYCLE = YELLOW_FRAMES + SIGNAL_FRAMES
# Equally bright in grey, which is what flow is computed from.
BLUE, RED = (40, 90, 250), (220, 40, 36)

ACTIONS = (
    TubeAction("BlinkBlue", signal=BLUE),
    TubeAction("BlinkRed", signal=RED),
    TubeAction("Jump", HOP, 14),
    TubeAction("RollDown", roll=0.04),
    TubeAction("RollUp", roll=-0.04),
    TubeAction("Wave", WAVE, 12),
)
"""In the order of their names, which is that of their indices."""

RAISED = np.deg2rad(-55.0)  # angle of the lamp below the horizontal
BOARD_SIDE, BOARD_CELLS = 0.5, 8  # in heights of the figure, and cells along a side
# What hands hold: large enough to be seen where the figure is 40 pixels high. Heights of it.
LAMP, FLAG = 0.2, 0.15
BOARD_LIGHT: Color = (226, 226, 220)
BOARD_DARK: Color = (34, 34, 40)
# Widths of the figure that it moves in 30 frames.
SPEED = (1.1, 1.6)
TWO_ACTORS, WHOLE_VIDEO, BYSTANDER = 0.4, 0.25, 0.5
SHORTEST_ACTION = 30


@dataclass(frozen=True)
class TubeActor:
    """A figure, its way, and its action on frames `first` to `last`; none where `last < first`.

    Attributes:
        start, velocity: (x, y) of its middle at frame 0, and per frame; it turns at the edges of
            the room between `low` and `high`.
        phase: Of its stride and of its lamp.
        cells: `[R, BOARD_CELLS]` of its board, true where light; rolling it begins anew after R
            rows.
    """

    actor: Actor
    action: TubeAction
    first: int
    last: int
    start: Array
    velocity: Array
    low: Array
    high: Array
    phase: float
    cells: NDArray[np.bool_]

    def shapes(self, frame: float) -> list[Shape]:
        """What is drawn of it at `frame`, back to front."""
        acts = self.first <= frame <= self.last
        pose = self.pose(frame)
        raised = acts and self.action.signal is not None
        actor = replace(self.actor, lamp_angle=RAISED) if raised else self.actor
        shapes = figure(actor, pose)
        if not acts:
            return shapes
        middle = middles(actor, pose[None])[0]
        held = self._held(pose, frame)
        return shapes + [Shape(middle + actor.height * s.points, s.color) for s in held]

    def _held(self, pose: Array, frame: float) -> list[Shape]:
        """What it holds up while it acts, around the origin of a figure one unit high."""
        side = self.actor.side
        if self.action.roll:
            return _board(self.cells, self.action.roll * (frame - self.first))
        if self.action.signal is not None:
            color = self.action.signal if self.signals(frame) else LAMP_ON
            return [_disc_at_hand(-side, -RAISED, LAMP, color)]
        if self.action.entry == WAVE:
            return [_disc_at_hand(side, raised_angle(pose[WAVE]), FLAG, GLOVE)]
        return []

    def signals(self, frame: float) -> bool:
        """Whether its lamp, if it holds one up, has the colour that tells the action."""
        begin = self.phase / (2 * np.pi) * CYCLE
        return (begin + frame - self.first) % CYCLE >= YELLOW_FRAMES

    def pose(self, frame: float) -> Array:
        """The pose `[6]` at `frame`: it walks on whatever it does."""
        pose = np.zeros(6)
        pose[[X, Y]] = _reflected(self.start + frame * self.velocity, self.low, self.high)
        pose[STRIDE] = self.phase + frame * self.actor.pace[STRIDE] / FPS
        if self.action.entry is not None and self.first <= frame <= self.last:
            pose[self.action.entry] = 2 * np.pi * (frame - self.first) / self.action.period
        return pose


def _reflected(point: Array, low: Array, high: Array) -> Array:
    """The place of something that turns at `low` and `high` and would otherwise be at `point`."""
    room = high - low
    along = np.mod(point - low, 2 * room)
    return low + np.minimum(along, 2 * room - along)


def _board(cells: NDArray[np.bool_], rolled: float) -> list[Shape]:
    """The board around the origin of a figure one unit high, its dots moved down by `rolled`."""
    half, cell = BOARD_SIDE / 2, BOARD_SIDE / BOARD_CELLS
    left, top = -half, -half
    shapes = [Shape(_rectangle(left, top, half, half), BOARD_DARK)]
    whole, part = divmod(rolled / cell, 1.0)
    for row in range(-1, BOARD_CELLS):
        y1 = max(top + (row + part) * cell, top)
        y2 = min(top + (row + 1 + part) * cell, half)
        for column in np.flatnonzero(cells[int(row - whole) % len(cells)]).tolist():
            x = left + column * cell
            shapes.append(Shape(_rectangle(x, y1, x + cell, y2), BOARD_LIGHT))
    return shapes


def _disc_at_hand(side: int, angle: float, radius: float, color: Color) -> Shape:
    """A disc at the end of the arm at `angle` above the horizontal, on one side."""
    hand = np.array([side * SHOULDER_X, SHOULDER_Y])
    hand = hand + ARM_LENGTH * np.array([side * np.cos(angle), -np.sin(angle)])
    around = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    return Shape(hand + radius * np.stack([np.cos(around), np.sin(around)], axis=1), color)


def _rectangle(x1: float, y1: float, x2: float, y2: float) -> Array:
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])


@dataclass(frozen=True)
class TubeScene:
    """A video before it is painted, of `frames` frames at `FPS` a second."""

    frames: int
    background: Background
    actors: list[TubeActor]
    first_second: int = 0

    def figures(self, time: float) -> list[list[Shape]]:
        """The shapes of each actor at `time` [s]."""
        return [actor.shapes(round(time * FPS)) for actor in self.actors]

    def tubes(self) -> list[tuple[TubeAction, int, Array]]:
        """The action, the first frame and the boxes `[n, 4]` of each actor that acts.

        Boxes are tight around the figure and what it holds, inside the image.
        """
        return [
            (
                actor.action,
                actor.first,
                np.clip(
                    [bounds(actor.shapes(f)) for f in range(actor.first, actor.last + 1)], 0, 1
                ),
            )
            for actor in self.actors
            if actor.last >= actor.first
        ]


def make_tube_scene(rng: np.random.Generator, action: TubeAction, frames: int) -> TubeScene:
    """Draw a scene in which one or two figures do `action`, and perhaps a bystander does nothing.

    Of two figures each has half of the height for itself.
    """
    background = make_background(rng, frames / FPS)
    count = 2 if rng.random() < TWO_ACTORS else 1
    actors = []
    for place in range(count):
        lane = (place / count, (place + 1) / count)
        idle = place > 0 and rng.random() < BYSTANDER
        actors.append(_make_tube_actor(rng, action, frames, lane, idle))
    return TubeScene(frames, background, actors)


def _make_tube_actor(
    rng: np.random.Generator,
    action: TubeAction,
    frames: int,
    lane: tuple[float, float],
    idle: bool,
) -> TubeActor:
    size = lane[1] - lane[0]
    # A jump lifts the figure; it stays within its lane all the same.
    tallest = size / (1 + HOP_HEIGHT) - 0.02
    actor = make_actor(rng, rng.uniform(0.9, 1.0) * min(tallest, 0.46))
    half = actor.height * np.array([REACH, 0.5])
    low = np.array([0.0, lane[0] + actor.height * HOP_HEIGHT]) + half
    high = np.array([1.0, lane[1]]) - half
    high = np.maximum(high, low + 0.01)
    first, last = (0, -1) if idle else _draw_span(rng, frames)
    speed = rng.uniform(*SPEED) * 2 * half[0] / 30
    velocity = np.array([speed * rng.choice([-1, 1]), speed * rng.uniform(-0.2, 0.2)])
    return TubeActor(
        actor,
        action,
        first,
        last,
        rng.uniform(low, high),
        velocity,
        low,
        high,
        float(rng.uniform(0, 2 * np.pi)),
        rng.random((23, BOARD_CELLS)) < 0.5,
    )


def _draw_span(rng: np.random.Generator, frames: int) -> tuple[int, int]:
    """The first and last frame of an action: the whole video, or 45 to 75 % of it."""
    if rng.random() < WHOLE_VIDEO:
        return 0, frames - 1
    length = max(round(rng.uniform(0.45, 0.75) * frames), SHORTEST_ACTION)
    first = int(rng.integers(0, frames - length + 1))
    return first, first + length - 1
