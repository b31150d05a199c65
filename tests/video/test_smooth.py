from __future__ import annotations

import pickle

import numpy as np
import pytest
from clips import Walker, stick_figures

from toppose import OptionError, PoseError, Poses, Skeleton
from toppose.video import Frame, OneEuro, smooth_recording

ONE = Skeleton("one", ("nose",))
NOTHING = {"min_cutoff": 1.0, "beta": 0.0}  # a plain low-pass


def at(x: float, y: float = 0.0, score: float = 0.9, person: int = 7, size: float = 100.0) -> Poses:
    """One person of one joint whose box has the area size²."""
    return Poses([[[x, y]]], [[score]], [[0, 0, size, size]], [0.8], ONE, [person])


def xs(poses: list[Poses]) -> list[float]:
    return [float(p.keypoints[0, 0, 0]) for p in poses]


def weight(cutoff: float, dt: float) -> float:
    """Of the newest value, as the paper has it: 1 / (1 + tau / dt), tau = 1 / (2 pi cutoff)."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff) / dt)


def test_who_stands_still_stays_there():
    smoother = OneEuro()
    for k in range(20):
        given = at(12.5, -3.0)
        assert smoother(given, k / 25) == given


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_a_ramp_follows_the_closed_formula(fps):
    # without beta: y(k) = x(k) - v·dt·(1-a)/a·(1 - (1-a)^k)
    smoother, v, a = OneEuro(**NOTHING), 50.0, weight(1.0, 1 / fps)
    for k in range(40):
        x = v * k / fps
        expected = x - v / fps * (1 - a) / a * (1 - (1 - a) ** k)
        assert smoother(at(x), k / fps).keypoints[0, 0, 0] == pytest.approx(expected, abs=1e-4)


def test_the_cutoff_grows_with_speed_in_person_sizes():
    # 20 px in 0.1 s: 200 px/s, low-passed by a(1 Hz), of a person of 100 px; one twice as large and as fast moves twice as far
    a = weight(1.0, 0.1)
    cutoff = 1.5 + 10 * a * 200 / 100
    for scale in (1, 2):
        smoother = OneEuro(min_cutoff=1.5, beta=10)
        smoother(at(0, size=100 * scale), 0.0)
        x = smoother(at(12 * scale, 16 * scale, size=100 * scale), 0.1).keypoints[0, 0]
        np.testing.assert_allclose(x, np.array([12, 16]) * scale * weight(cutoff, 0.1), rtol=1e-6)


def test_the_speed_is_that_of_the_raw_values():
    # third step: the raw speed is (30 - 20) / 0.1 = 100 px/s, whatever came out before
    smoother = OneEuro(min_cutoff=0.5, beta=1)
    a, x, speed, before = weight(1.0, 0.1), 0.0, 0.0, 0.0
    smoother(at(0), 0.0)
    for k, raw in enumerate((20.0, 30.0, 25.0), 1):
        speed += a * ((raw - before) / 0.1 - speed)
        x += weight(0.5 + abs(speed) / 100, 0.1) * (raw - x)
        assert smoother(at(raw), k / 10).keypoints[0, 0, 0] == pytest.approx(x, rel=1e-5)
        before = raw


def test_each_joint_has_a_speed_of_its_own():
    two = Skeleton("two", ("nose", "tail"))
    smoother = OneEuro(min_cutoff=0.5, beta=10)
    for k, (fast, slow) in enumerate([(0, 0), (40, 1)]):
        found = smoother(Poses([[[fast, 0], [slow, 0]]], [[1, 1]], [[0, 0, 100, 100]], [1], two, [0]), k / 10)
    share = found.keypoints[0, :, 0] / [40, 1]
    a = weight(1.0, 0.1)
    np.testing.assert_allclose(share, [weight(0.5 + 10 * a * 4, 0.1), weight(0.5 + 10 * a * 0.1, 0.1)], rtol=1e-5)


def test_unsure_joints_are_neither_filtered_nor_fed_in():
    smoother, plain = OneEuro(**NOTHING), OneEuro(**NOTHING)
    smoother(at(0), 0.0)
    plain(at(0), 0.0)
    assert smoother(at(500, score=0.1), 0.1) == at(500, score=0.1)
    assert smoother(at(10), 0.2) == plain(at(10), 0.2)  # the step is the real one, 0.2 s


def test_people_are_told_apart_by_ids_whatever_their_order():
    smoother = OneEuro(**NOTHING)
    smoother(Poses.concatenate([at(0, person=3), at(100, person=9)]), 0.0)
    found = smoother(Poses.concatenate([at(110, person=9), at(0, person=3), at(50, person=4)]), 0.1)
    np.testing.assert_allclose(found.keypoints[:, 0, 0], [100 + 10 * weight(1, 0.1), 0, 50], rtol=1e-6)
    assert found.ids.tolist() == [9, 3, 4]


def test_after_a_gap_it_starts_anew_and_forgets():
    smoother = OneEuro(gap=0.5, **NOTHING)
    smoother(at(0), 0.0)
    assert smoother(at(100), 0.5).keypoints[0, 0, 0] < 100
    assert smoother(at(300), 1.1) == at(300)
    for k in range(100):
        smoother(at(0, person=k), 2.0 + k)
    assert len(smoother._people) == 1


def test_what_cannot_be_smoothed():
    smoother = OneEuro()
    with pytest.raises(PoseError, match="expected people with ids, as a Tracker gives them; got 1 without"):
        smoother(at(0).replace(ids=None), 0.0)
    with pytest.raises(PoseError, match=r"expected each id once, got \[7, 7\]"):
        smoother(Poses.concatenate([at(0), at(1)]), 0.0)
    assert len(smoother(Poses.empty(ONE), 0.0)) == 0
    smoother(at(0), 0.1)
    for time in (0.1, 0.0, np.nan, "now"):
        with pytest.raises(OptionError, match="time: expected"):
            smoother(at(0), time)
    with pytest.raises(PoseError, match="expected the skeleton 'one'"):
        smoother(Poses.empty(), 0.2)
    smoother.reset()
    assert smoother(at(5), 0.0) == at(5)
    for wrong in ({"min_cutoff": 0}, {"beta": -1}, {"speed_cutoff": "a"}, {"gap": np.nan}, {"joint_threshold": 2}):
        with pytest.raises(OptionError, match=f"{next(iter(wrong))}: expected a number from"):
            OneEuro(**wrong)


def test_pickled_and_shown():
    smoother = OneEuro()
    smoother(at(0), 0.0)
    assert pickle.loads(pickle.dumps(smoother))(at(10), 0.1) == smoother(at(10), 0.1)
    assert repr(smoother) == "OneEuro(min_cutoff=1, beta=15, speed_cutoff=1, gap=0.5, joint_threshold=0.3)"


def jitter(poses: list[Poses], row: int) -> float:
    """Root of the mean squared displacement from picture to picture."""
    steps = np.diff([p.keypoints[row] for p in poses], axis=0)
    return float(np.sqrt((steps**2).sum(-1).mean()))


def pictures_late(given: np.ndarray, found: np.ndarray) -> float:
    """By how many pictures `found` (F,) fits best behind `given` (F,)."""
    F, delays = np.arange(len(given)), np.arange(-2, 4, 0.02)
    misses = [((np.interp(F - d, F, given) - found)[10:-10] ** 2).sum() for d in delays]
    return float(delays[np.argmin(misses)])


@pytest.mark.parametrize(("noise", "fps"), [(0.004, 25.0), (0.008, 25.0), (0.016, 25.0), (0.008, 30.0), (0.008, 15.0)])
def test_half_the_jitter_and_less_than_a_picture_of_lag(noise, fps):
    clip = stick_figures((Walker(300, 400, 260), Walker(100, 400, 260, 60)), fps=fps, noise=noise, missed=0, doubles=0)
    given = [p.replace(ids=who)[np.argsort(who)] for p, who in zip(clip.seen, clip.who, strict=True)]
    smoother = OneEuro()
    live = [smoother(p, t) for p, t in zip(given, clip.times, strict=True)]
    assert jitter(live, 0) < 0.5 * jitter(given, 0)
    wrist = [np.array([p["left_wrist"][1, 0] for p in poses]) - 60 * clip.times for poses in (clip.true, live)]
    assert pictures_late(*wrist) < 1
    later = smooth_recording(given, clip.times)
    if fps >= 25:  # at 15 a third of a second holds no more pictures than it takes to keep the wrists' swing
        assert jitter(later, 0) < 0.5 * jitter(given, 0)
    assert abs(pictures_late(wrist[0], np.array([p["left_wrist"][1, 0] for p in later]) - 60 * clip.times)) < 0.1


def test_savitzky_golays_own_coefficients():
    # five points, second order: (-3, 12, 17, 12, -3) / 35 in the middle; at the ends the window has 3 and 4 points
    given = [0.0, 0, 0, 35, 0, 0, 0]
    found = xs(smooth_recording([at(x) for x in given], np.arange(7) / 10, window=0.4))
    np.testing.assert_allclose(found[2:5], [12, 17, 12], atol=1e-4)
    assert found[0] == 0  # three points make a parabola: it goes through them


def test_a_parabola_stays_whatever_the_times():
    times = np.cumsum([0, 0.03, 0.05, 0.02, 0.08, 0.04, 0.03, 0.06, 0.02, 0.04])
    given = [at(3 + 40 * t - 200 * t * t, y=t) for t in times]
    found = smooth_recording(given, times, window=0.3)
    np.testing.assert_allclose([p.keypoints[0, 0] for p in found], [p.keypoints[0, 0] for p in given], atol=1e-4)


def test_short_gaps_are_filled_and_long_ones_are_not():
    nobody = Poses.empty(ONE).replace(ids=[])
    given = [at(0), nobody, nobody, at(30, score=0.5), nobody, nobody, nobody, nobody, at(70)]
    found = smooth_recording(given, np.arange(9) / 10, gap=0.3, window=0)
    assert [len(p) for p in found] == [1, 1, 1, 1, 0, 0, 0, 0, 1]
    np.testing.assert_allclose(xs(found[:4]), [0, 10, 20, 30], atol=1e-5)
    assert found[1].ids.tolist() == [7]
    np.testing.assert_allclose([found[1].box_scores[0], found[1].scores[0, 0]], [0.1, 0.5])
    assert found[0] == given[0]
    assert found[4] == nobody


def test_a_joint_that_is_unsure_for_a_moment_is_filled_in():
    given = [at(0), at(900, score=0.1), at(20, score=0.6), at(900, score=0.1)]
    found = smooth_recording(given, [0, 0.1, 0.2, 0.3], window=0)
    assert xs(found) == [0, 10, 20, 900]
    np.testing.assert_allclose([p.scores[0, 0] for p in found], [0.9, 0.6, 0.6, 0.1])
    found = smooth_recording(given, [0, 0.1, 0.2, 0.3], window=0, gap=0.1)
    assert xs(found) == [0, 900, 20, 900]


def test_order_and_others_stay_when_somebody_is_filled_in():
    two = Poses.concatenate([at(5, person=2), at(0, person=1)])
    found = smooth_recording([two, at(5, person=2), two[[1, 0]]], [0, 0.1, 0.2])
    assert [p.ids.tolist() for p in found] == [[2, 1], [2, 1], [1, 2]]


def test_a_recording_may_be_frames():
    image = np.zeros((4, 4, 3), np.uint8)
    frames = [Frame(k, k / 10, image, "", at(k)) for k in range(5)]
    assert smooth_recording(frames) == smooth_recording([f.poses for f in frames], [f.time for f in frames])
    assert smooth_recording([], []) == []
    with pytest.raises(OptionError, match="times: expected none beside Frames"):
        smooth_recording(frames, [0, 1, 2, 3, 4])


@pytest.mark.parametrize(
    ("recording", "options", "message"),
    [
        ([at(0)], {}, "times: expected one a picture, 1, in seconds, got none"),
        ([at(0)], {"times": [0, 1]}, r"times: expected one a picture, 1, in seconds, got shape \(2,\)"),
        ([at(0), at(1)], {"times": [1, 1]}, "time: expected seconds later than 1, the call before, got 1; in picture 1"),
        ([at(0).replace(ids=None)], {"times": [0]}, r"recording\[0\]: expected people with ids"),
        ([at(0)], {"times": [0], "order": 2.0}, "order: expected a whole number from 0 to 5, got 2.0"),
        ([at(0)], {"times": [0], "window": -1}, "window: expected a number from 0"),
        ([at(0), Poses.empty()], {"times": [0, 1]}, "expected the skeleton 'one'"),
        (["a"], {"times": [0]}, "poses: expected a Poses, got str"),
    ],
)
def test_recordings_are_checked(recording, options, message):
    with pytest.raises((OptionError, PoseError), match=message):
        smooth_recording(recording, **options)
