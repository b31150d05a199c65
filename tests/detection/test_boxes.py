from __future__ import annotations

import numpy as np
import pytest

from toppose import COCO17, BoxError, DetectorError, Estimator, OptionError, Options, Poses
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
        ([[0, 0, 1, 1, 0.5], [0, 0, 1, 1, 1.1]], r"boxes\[1\]: expected a score from 0 to 1; got \[0.0, 0.0, 1.0, 1.0, 1.1\]"),
        ([[0, 0, 1, 1, -0.1]], "expected a score from 0 to 1"),
        ([[0, 0, 1, 1, 80e6]], "expected a score from 0 to 1"),
        (np.ma.array([[0, 0, 1, 1]], mask=[[0, 0, 0, 1]]), "boxes: expected boxes without a mask, got a masked array"),
        ([np.ma.array([0, 0, 1, 1])], "expected boxes without a mask"),
        ([Poses.empty()], r"expected the boxes of one image; got a list of Poses \(Poses.concatenate"),
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


def test_float_noise_of_scores_is_clipped():
    scores = check_boxes([[0, 0, 1, 1, 1.0005], [0, 0, 1, 1, -0.0005], [0, 0, 1, 1, 0.5]])[1]
    assert scores.tolist() == [1, 0, 0.5]


def test_left_top_width_height():
    boxes, scores = check_boxes([[10, 20, 30, 40, 0.5], [-5, 0, 2, 1, 1]], box_format="xywh")
    assert boxes.tolist() == [[10, 20, 40, 60], [-5, 0, -3, 1]]
    assert scores.tolist() == [0.5, 1]
    mine = np.array([[10.0, 20, 30, 40]])
    check_boxes(mine, box_format="xywh")
    assert mine.tolist() == [[10, 20, 30, 40]]  # the caller's array stays the caller's
    assert [b.tolist() for b, _ in check_box_list([[(1, 2, 3, 4)], []], 2, box_format="xywh")] == [[[1, 2, 4, 6]], []]
    with pytest.raises(BoxError, match=r"boxes\[0\]: expected w > 0 and h > 0; got \[10.0, 20.0, 0.0, 4.0\]"):
        check_boxes([[10, 20, 0, 4]], box_format="xywh")
    with pytest.raises(BoxError, match="within"):
        check_boxes([[1e308, 0, 1e308, 4]], box_format="xywh")
    with pytest.raises(BoxError, match=r"expected shape \(N, 4\) as x, y, w, h"):
        check_boxes([1, 2, 3, 4], box_format="xywh")


def two_people() -> Poses:
    return Poses(np.zeros((2, 17, 2)), np.zeros((2, 17)), [[0, 0, 50, 60], [10, 20, 30, 40]], [0.9, 0.5], COCO17)


def test_poses_stand_for_their_boxes():
    boxes, scores = check_boxes(two_people())
    assert boxes.tolist() == [[0, 0, 50, 60], [10, 20, 30, 40]]
    assert scores.tolist() == [np.float32(0.9), 0.5]
    assert check_boxes(two_people(), box_format="xywh")[0].tolist() == boxes.tolist()  # they know their own format
    assert [len(b) for b, _ in check_box_list([two_people(), Poses.empty()], 2)] == [2, 0]
    with pytest.raises(BoxError, match="expected a list of 2 arrays or Poses, one an image; got Poses"):
        check_box_list(two_people(), 2)


def test_an_estimator_takes_them_all():
    estimator = Estimator(detector=None, device="cpu", threads=1)
    image, people = np.zeros((100, 120, 3), np.uint8), two_people()
    expected = estimator.predict(image, [[0, 0, 50, 60, 0.9], [10, 20, 30, 40, 0.5]])
    assert estimator.predict(image, people) == expected
    assert estimator.predict(image, [[0, 0, 50, 60, 0.9], [10, 20, 20, 20, 0.5]], box_format="xywh") == expected
    assert np.array_equal(estimator(image, [[0, 0, 50, 60], [10, 20, 20, 20]], box_format="xywh"), expected.keypoints)
    assert estimator.predict([image, image], [people[:1], Poses.empty()]) == [expected[:1], Poses.empty()]
    assert estimator.predict(image, expected).boxes.tolist() == people.boxes.tolist()
    for wrong in ("cxcywh", None, 4, np.array(["xyxy", "xywh"])):
        with pytest.raises(OptionError, match="box_format: expected 'xyxy' or 'xywh', got"):
            estimator.predict(image, people, box_format=wrong)


def test_scores_of_a_callable_detector_are_checked_too():
    def percent(images):
        return [np.array([[0, 0, 50, 60, 90.0]]) for _ in images]

    with pytest.raises(DetectorError, match=r"detector 'percent': boxes\[0\]\[0\]: expected a score from 0 to 1; got \[0.0, 0.0, 50.0, 60.0, 90.0\]"):
        Estimator(detector=percent, device="cpu", threads=1).predict(np.zeros((100, 120, 3), np.uint8))


def test_numpys_numbers_are_options():
    options = Options(max_people=np.int64(3), detection_threshold=np.float32(0.25), nms_iou=np.float64(0.5), flip_test=np.True_, threads=np.uint8(1))
    assert options == Options(max_people=3, detection_threshold=0.25, nms_iou=0.5, flip_test=True, threads=1)
    assert Options(detection_threshold=np.int32(1)).detection_threshold == 1
    for wrong in ({"max_people": np.True_}, {"max_people": True}, {"nms_iou": False}, {"max_people": np.float64(3)}, {"threads": np.int64(0)}):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            Options(**wrong)


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


def test_shares_of_the_picture_are_no_boxes():
    with pytest.raises(BoxError, match=r"boxes: expected pixels, got shares of the picture, \[0\.1, 0\.2, 0\.9, 1\.0\]; multiply them by its width"):
        check_boxes([(0.1, 0.2, 0.9, 1.0)])
    assert len(check_boxes([(0, 0, 1, 1)])[0]) == 1  # one pixel
    assert len(check_boxes([(0.1, 0.2, 0.9, 1.0), (0, 0, 50, 50)])[0]) == 2
