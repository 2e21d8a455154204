"""STEP on videos: from windows of frames to the persons on their key frames."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from data.video.windows import Window
from models import StepDetector
from models.step.inference import prepare_for_inference
from models.weights.checkpoint import LoadedCheckpoint
from utils.config.step import Config, DataConfig, TestConfig
from utils.evaluation.detection_loop import check_finite
from utils.evaluation.postprocess import PostProcess
from utils.geometry.boxes import normalize_boxes, scale_boxes
from utils.geometry.grid import grid_proposals
from utils.reporting.label_choice import LabelChoice
from utils.reporting.person_track import KeyFrame, StepBoxes
from utils.reporting.persons import UNSURE, PersonFinder
from utils.structures import StepOutput


class PersonDetector:
    """Detects the persons on key frames with the last step of a detector.

    The windows that it takes have `window_frames` frames at `fps` a second, stretched to
    `image_size x image_size` pixels; best `batch_size` of them at once.
    """

    def __init__(
        self,
        detector: StepDetector,
        proposals: Tensor,
        find_persons: PersonFinder,
        image_size: int,
        fps: int,
        batch_size: int,
    ) -> None:
        """Take a detector that is prepared for inference.

        Args:
            detector: On the device on which it is to run.
            proposals: `[M, 4]`, the first step's boxes for every window, fractions.
            find_persons: Turns the last step's output into persons.
            image_size: Side of the images in pixels.
            fps: Frames a second of a window.
            batch_size: Windows that the detector gets at once.
        """
        self.detector, self.find_persons = detector, find_persons
        self.image_size, self.fps, self.batch_size = image_size, fps, batch_size
        self.window_frames = detector.window_frames
        self.device = next(detector.parameters()).device
        self._proposals = proposals.to(self.device) * image_size

    def __call__(self, windows: list[Window]) -> list[KeyFrame]:
        """Return what is on the key frame of each window, in pixels of that frame.

        Raises:
            ValueError: For scores that are not finite.
        """
        size, count = self.image_size, len(windows)
        images = torch.stack([window.images for window in windows]).to(self.device)
        with torch.inference_mode():
            outputs = self.detector(images, [self._proposals] * count)
        check_finite(outputs)
        counts = [len(self._proposals)] * count
        frame_sizes = [window.key_frame.shape[:2] for window in windows]
        found = self.find_persons(outputs[-1], counts, size, size, frame_sizes)
        steps = self._steps(outputs, frame_sizes)
        return [
            KeyFrame(window.frame_index, window.time, persons, steps=of_window)
            for window, persons, of_window in zip(windows, found, steps, strict=True)
        ]

    def _steps(
        self, outputs: Sequence[StepOutput], frame_sizes: Sequence[tuple[int, int]]
    ) -> list[StepBoxes]:
        """The proposals of each window, and what each step made of them."""
        count, size = len(frame_sizes), self.image_size
        first = self._proposals.repeat(count, 1)
        boxes = torch.stack([first, *(output.boxes for output in outputs)]).cpu()
        best = [output.scores.cpu().max(dim=1) for output in outputs]
        none = torch.zeros(len(first))
        scores = torch.stack([none, *(b.values.float() for b in best)])
        labels = torch.stack([none.long(), *(b.indices for b in best)])
        fractions = normalize_boxes(boxes.float(), size, size).unflatten(1, (count, -1))
        columns = (part.unflatten(1, (count, -1)).unbind(1) for part in (labels, scores))
        return [
            StepBoxes(scale_boxes(part, *frame_size), of_labels, of_scores)
            for part, of_labels, of_scores, frame_size in zip(
                fractions.unbind(1), *columns, frame_sizes, strict=True
            )
        ]


def open_person_detector(
    checkpoint: LoadedCheckpoint[Config, StepDetector],
    device: str | torch.device,
    score_threshold: float,
    merge_threshold: float,
    choice: LabelChoice | None = None,
) -> PersonDetector:
    """Return the person detector of a checkpoint; arguments as in `build_person_detector`.

    Raises:
        ValueError: Naming the file for a checkpoint of the *cls* stage, which finds no boxes.
    """
    config = checkpoint.config
    if not config.model.local_branch:
        raise ValueError(
            f"{checkpoint.path}: expected a checkpoint of the step stage, got one of the cls "
            "stage, which finds no boxes"
        )
    detector = checkpoint.build()
    return build_person_detector(
        config.data, config.test, detector, device, score_threshold, merge_threshold, choice
    )


def build_person_detector(
    data: DataConfig,
    test: TestConfig,
    detector: StepDetector,
    device: str | torch.device,
    score_threshold: float,
    merge_threshold: float,
    choice: LabelChoice | None = None,
) -> PersonDetector:
    """Return the person detector of a network with the settings that it was trained with.

    Args:
        data: Image size, frame rate and proposals that it was trained with.
        test: NMS and the number of windows in a batch.
        detector: Is changed: prepared for inference.
        device: Where it runs.
        score_threshold: Scores must be above it, unless `choice` says more.
        merge_threshold: IoU above which boxes become one person.
        choice: Of the detections those that count; `None`: all.
    """
    lowest = score_threshold if choice is None else choice.lowest()
    post_process = PostProcess(UNSURE * lowest, test.nms_threshold, test.max_detections)
    detector.clip_spec.check_side(data.image_size)
    return PersonDetector(
        prepare_for_inference(detector.to(device)),
        grid_proposals(data.proposals),
        PersonFinder(post_process, merge_threshold, score_threshold, choice),
        data.image_size,
        data.fps,
        test.test_batch_size,
    )
