from __future__ import annotations

import numpy as np
import pytest

from toppose import BoxError
from toppose.detection.boxes import check_box_list, check_boxes, iou, nms


def test_boxes_and_scores():
    boxes, scores = check_boxes([(1, 2, 3, 4), (0, 0, 1e-6, 1e-6)])
    assert boxes.tolist() == [[1, 2, 3, 4], [0, 0, 1e-6, 1e-6]]
    assert scores.tolist() == [1, 1]
    assert check_boxes(np.array([[1, 2, 3, 4, 0.5]]))[1].tolist() == [0.5]


@pytest.mark.parametrize("nobody", [[], np.zeros((0, 4)), np.zeros((0, 5)), np.zeros(0), ()])
def test_nobody(nobody):
    boxes, scores = check_boxes(nobody)
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([1, 2, 3, 4], r"boxes: expected shape \(N, 4\).*got \(4,\)"),
        ([[1, 2, 3]], r"got \(1, 3\)"),
        ([[0, 0, 1, 1], [0, 0, float("nan"), 1]], r"boxes\[1\]: expected finite numbers"),
        ([[5, 0, 1, 1]], r"boxes\[0\]: expected x1 < x2 and y1 < y2; got \[5.0, 0.0, 1.0, 1.0\]"),
        ([[0, 1, 1, 1]], "y1 < y2"),
        ([[0, 0, 1e30, 1]], "within"),
        ([[0, 0, 10**400, 1]], "expected numbers"),
        ("boxes", "expected numbers"),
        ([["1", "2", "3", "4"]], "expected numbers.*dtype <U1"),
        ([[None, 0, 1, 1]], "dtype object"),
        ([[0, 0, 1j, 1]], "dtype complex128"),
        ([[False, False, True, True]], "dtype bool"),
        ([[0, 0, 1, 1], [0, 0, 1]], "expected numbers"),
        (None, "expected"),
        (np.zeros((2, 0, 4)), r"got \(2, 0, 4\)"),
    ],
)
def test_wrong_boxes(boxes, message):
    with pytest.raises(BoxError, match=message):
        check_boxes(boxes)


def test_lists_of_boxes():
    assert [len(b) for b, _ in check_box_list([[(0, 0, 1, 1)], []], 2)] == [1, 0]
    with pytest.raises(BoxError, match="expected 3 arrays, one an image; got 2"):
        check_box_list([[], []], 3)
    with pytest.raises(BoxError, match=r"boxes\[1\]\[0\]: expected x1 < x2"):
        check_box_list([[], [(1, 0, 0, 1)]], 2)
    with pytest.raises(BoxError, match="expected a list of 1 arrays"):
        check_box_list(7, 1)


def test_iou():
    # 10x10 and 10x10 that share 5x10: 50 / 150
    np.testing.assert_allclose(iou(np.array([[0, 0, 10, 10]]), np.array([[5, 0, 15, 10], [20, 20, 30, 30]])), [[1 / 3, 0]])


def test_nms_keeps_the_best_of_a_heap():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [0, 0, 10, 11]], np.float32)
    scores = np.array([0.5, 0.9, 0.7, 0.6], np.float32)
    assert nms(boxes, scores, 0.5).tolist() == [1, 2]
    # 1 and 0 share 90 of 110: 0.818, 1 and 3 share 90 of 120: 0.75
    assert nms(boxes, scores, 0.8).tolist() == [1, 2, 3]
    assert nms(boxes[:0], scores[:0], 0.5).tolist() == []


def test_nms_keeps_no_more_than_asked_for():
    boxes = np.array([[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]], float)
    assert nms(boxes, np.array([0.2, 0.9, 0.5]), 0.5, most=2).tolist() == [1, 2]
