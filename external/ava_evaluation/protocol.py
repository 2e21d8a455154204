"""What differs between the official states of the AVA evaluation, one field per difference."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """The choices an official state makes; everything else is common to all states."""

    name: str
    whole_seconds: bool
    """Timestamps are integers; otherwise they are compared to six decimals."""
    exclusions: bool
    """A list of excluded images may be given; they vanish from both files."""
    images_from_groundtruth: bool
    """Only images that a ground-truth row names are evaluated, and a two-column row names one
    without boxes; otherwise detections elsewhere are false positives."""
    per_image: int | None
    """Detections kept per image over all classes; None keeps all. Rows of such a state pass
    through a heap, whose layout then decides between equal scores."""
    per_image_and_class: int | None
    """Detections kept per image and class; None keeps all."""
    score_above: float | None
    """Detections count only with a score strictly above this; None keeps all, NaN included."""


PROTOCOLS = {
    # The challenge of 2018; STEP's figures (paper and release) are made with it.
    "2018": Protocol(
        name="2018",
        whole_seconds=True,
        exclusions=True,
        images_from_groundtruth=False,
        per_image=None,
        per_image_and_class=10_000,
        score_above=-10.0,
    ),
    # Today's official script.
    "2020": Protocol(
        name="2020",
        whole_seconds=False,
        exclusions=False,
        images_from_groundtruth=True,
        per_image=50,
        per_image_and_class=None,
        score_above=None,
    ),
}


def find_protocol(protocol: str | Protocol) -> Protocol:
    """Return the protocol of that name; a `Protocol` passes through.

    Raises ValueError for a name that is not in `PROTOCOLS`.
    """
    if isinstance(protocol, Protocol):
        return protocol
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol is {protocol!r}, expected one of {sorted(PROTOCOLS)}")
    return PROTOCOLS[protocol]
