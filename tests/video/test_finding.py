"""The detector on every k-th frame: boxes in between come from the joints, and it comes back at once where it must."""

from __future__ import annotations

import numpy as np
import pytest

from toppose import Estimator, OptionError, Poses
from toppose.video.finding import BetweenDetections, EveryFrame, fit, margins
from toppose.video.sources import Picture

OFFSETS = np.stack([np.linspace(-10, 10, 17), np.linspace(-30, 30, 17)], 1)  # of joints round a person's middle


class World:
    """One person whose middle is at (100 + 6 t, 80) at picture t; joints are found where a box holds the middle, else at low scores."""

    def __init__(self):
        self.detections, self.boxes = [], []
        self.sure = 0.9

    def middle(self, image):
        return np.array([100.0 + 6 * image[0, 0, 0], 80])

    def detect(self, images):
        self.detections += [int(i[0, 0, 0]) for i in images]
        low = [self.middle(i) - (15, 36) for i in images]
        return [(np.array([[*b, b[0] + 30, b[1] + 72]]), np.array([0.8])) for b in low]

    def estimate(self, images, people):
        found = []
        for image, (boxes, scores) in zip(images, people, strict=True):
            self.boxes += [b.copy() for b in boxes]
            middle = self.middle(image)
            inside = ((boxes[:, :2] < middle) & (middle < boxes[:, 2:])).all(1)
            joint_scores = np.where(inside[:, None], self.sure, 0.1) * np.ones((len(boxes), 17))
            found.append(Poses(np.tile(middle + OFFSETS, (len(boxes), 1, 1)), joint_scores, boxes, scores))
        return found

    def picture(self, t, level=0):
        image = np.full((180, 320, 3), level, np.uint8)
        image[0, 0, 0] = t
        return Picture(t, t / 10, image, "")


def test_the_detector_looks_at_every_fourth_picture():
    world = World()
    find = BetweenDetections(world.detect, world.estimate, 4)
    poses = [p for t in range(12) for p in find([world.picture(t)])]
    assert world.detections == [0, 4, 8]
    for t, p in enumerate(poses):
        x = 100 + 6 * t
        np.testing.assert_allclose(p.boxes, [(x - 15, 44, x + 15, 116)], atol=0.01)  # fitted to the joints, with the detector's margins
    # by the second picture in between the speed is known: where the box was expected it was right to 3 px
    np.testing.assert_allclose(world.boxes[3][[0, 2]], [100 + 18 - 15, 100 + 18 + 15], atol=3)


def test_scores_that_fall_bring_it_back_at_once():
    world = World()
    find = BetweenDetections(world.detect, world.estimate, 100)
    for t in range(5):
        find([world.picture(t)])
    world.sure = 0.3
    find([world.picture(5)])
    assert world.detections == [0, 5]


def test_a_tenth_of_the_picture_that_changes_brings_it_back_at_once():
    world = World()
    find = BetweenDetections(world.detect, world.estimate, 100)
    for t in range(4):
        find([world.picture(t)])
    changed = world.picture(4)
    changed.image[1:, :28] = 200  # 9 of 100 columns
    find([changed])
    assert world.detections == [0]
    changed = world.picture(5)
    changed.image[1:, :40] = 200
    find([changed])
    find([world.picture(6, level=200)])
    assert world.detections == [0, 5, 6]


def test_nobody_between_stays_nobody():
    world = World()
    find = BetweenDetections(lambda images: [(np.zeros((0, 4)), np.zeros(0))], world.estimate, 3)
    assert [len(p) for t in range(6) for p in find([world.picture(t)])] == [0] * 6


def test_margins_and_their_fit():
    keypoints = np.zeros((2, 17, 2))
    keypoints[0, :3] = [(10, 20), (30, 120), (20, 50)]  # 20 wide, 100 high
    scores = np.zeros((2, 17))
    scores[0, :3] = 0.9
    scores[1, :2] = 0.9  # too few
    poses = Poses(keypoints, scores, [(5, 0, 40, 140), (1, 2, 3, 4)], np.ones(2))
    margin = margins(poses)
    np.testing.assert_allclose(margin[0], [-0.05, -0.2, 0.1, 0.2], atol=1e-6)
    assert np.isnan(margin[1]).all()
    moved = poses.replace(keypoints=keypoints * 2)
    np.testing.assert_allclose(fit(moved, margin), [(20 - 10, 40 - 40, 60 + 20, 240 + 40), (1, 2, 3, 4)], atol=1e-4)


def test_every_frame_shares_batches():
    sizes = []
    find = EveryFrame(lambda images: sizes.append(len(images)) or [Poses.empty()] * len(images))
    assert len(find([World().picture(t) for t in range(3)])) == 3
    assert sizes == [3]


@pytest.fixture(scope="module")
def estimator():
    return Estimator(device="cpu")


def test_a_stream_gives_what_predict_gives(estimator, photo):
    import cv2

    pictures = [cv2.imread(str(photo))[:, 10 * i :] for i in range(5)]
    expected = [estimator.predict(p) for p in pictures]
    frames = list(estimator.stream(pictures, rate=5))
    assert [(f.index, f.time, f.path) for f in frames] == [(i, i / 5, "") for i in range(5)]
    for frame, poses in zip(frames, expected, strict=True):
        np.testing.assert_allclose(frame.poses.keypoints, poses.keypoints, atol=0.05)
        np.testing.assert_allclose(frame.poses.boxes, poses.boxes, atol=0.05)
        assert frame.poses.ids is None
    tracked = list(estimator.stream([photo] * 4, track=True, smooth=True, detect_every=2))
    assert [f.poses.ids.tolist() for f in tracked] == [[0]] * 4
    assert [f.path for f in tracked] == [str(photo)] * 4
    mine = list(estimator.stream([photo], track=lambda poses, time: poses.replace(ids=[7] * len(poses))))
    assert mine[0].poses.ids.tolist() == [7]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"track": "yes"}, "track: expected True, False or something called with poses and time, got 'yes'"),
        ({"track": 1}, "track: expected"),
        ({"smooth": True}, "smooth: joints are smoothed person by person, so it needs ids; say track=True too"),
        ({"detect_every": 0}, "detect_every: expected a whole number from 1, got 0"),
        ({"batch_frames": True}, "batch_frames: expected a whole number from 1, got True"),
        ({"batch_frames": 1.5}, "batch_frames: expected a whole number from 1, got 1.5"),
    ],
)
def test_wrong_options_of_a_stream(estimator, options, message):
    with pytest.raises(OptionError, match=message):
        estimator.stream([], **options)


def test_a_stream_needs_a_detector():
    with pytest.raises(OptionError, match="detector=None"):
        Estimator(detector=None, device="cpu").stream([])
