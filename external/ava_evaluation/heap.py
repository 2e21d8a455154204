"""The order of an image's rows in the states that keep them in a heap.

Such a state pushes every row of an image into a binary heap of (score, label, y1, x1, y2, x2) and
lists it by descending score with a stable sort: equal scores come in the order of the heap's array,
which depends on every row that was ever in it. Where scores are equal, the heap is replayed;
elsewhere a sort gives the same.
"""

import heapq

import numpy as np
from numpy.typing import NDArray

from external.ava_evaluation.boxes import Boxes, run_starts
from external.ava_evaluation.parallel import threaded

IntArray = NDArray[np.int64]
Entry = tuple[float, int, float, float, float, float]

PIECE = 1 << 18
"""Rows sorted at once: small enough for the processor's cache, large enough for numpy."""


def heap_order(
    table: Boxes, rows: IntArray, image: NDArray[np.int32], capacity: int | None = None
) -> IntArray:
    """Return the rows that the heaps keep, by ascending image and within it in listing order.

    Args:
        rows: [n] of `table` in file order.
        image: [n].
        capacity: At most so many stay of an image; a newcomer then enters only with a score above
            the smallest, and the smallest entry leaves.
    """
    order = np.argsort(image, kind="stable")
    rows, image = rows[order], image[order]
    starts = run_starts(image)
    # Cut at the first image that begins after each multiple of PIECE rows.
    at = np.searchsorted(starts, np.arange(PIECE, len(rows), PIECE))
    cuts = starts[np.unique(at[at < len(starts)])]
    pieces = zip(np.split(rows, cuts), np.split(image, cuts), strict=True)
    return np.concatenate(
        list(threaded(lambda piece: _order_piece(table, *piece, capacity), pieces))
    )


def _order_piece(
    table: Boxes, rows: IntArray, image: NDArray[np.int32], capacity: int | None
) -> IntArray:
    """Do the work of `heap_order` for rows that are sorted by image already."""
    rows = rows[np.lexsort((-table.score[rows], image))]
    starts = run_starts(image)
    sizes = np.diff(starts, append=len(rows))
    rank = np.arange(len(rows)) - np.repeat(starts, sizes)
    limit = len(rows) if capacity is None else capacity
    score = table.score[rows]
    undecided = np.isnan(score)
    undecided[1:] |= (score[1:] == score[:-1]) & (rank[1:] > 0) & (rank[1:] <= limit)
    for i in np.unique(np.repeat(np.arange(len(starts)), sizes)[undecided]):
        begin = starts[i]
        kept = _replay(table, np.sort(rows[begin : begin + sizes[i]]), capacity)
        rows[begin : begin + len(kept)] = kept
    return rows[rank < limit]


def _replay(table: Boxes, rows: IntArray, capacity: int | None) -> list[int]:
    """Return the rows of one image, given in file order, that its heap keeps, as it lists them."""
    y1_x1_y2_x2 = table.boxes[rows][:, [1, 0, 3, 2]].tolist()
    score, label = table.score[rows].tolist(), table.label[rows].tolist()
    entries: list[Entry] = [
        (s, c, *box) for s, c, box in zip(score, label, y1_x1_y2_x2, strict=True)
    ]
    heap: list[Entry] = []
    for entry in entries:
        if capacity is None or len(heap) < capacity:
            heapq.heappush(heap, entry)
        elif entry[0] > heap[0][0]:
            heapq.heapreplace(heap, entry)
    # Rows are found again by identity: as part of the entries they would change comparisons.
    row_of = {id(entry): row for entry, row in zip(entries, rows.tolist(), strict=True)}
    return [row_of[id(entry)] for entry in sorted(heap, key=lambda entry: -entry[0])]
