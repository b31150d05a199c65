from __future__ import annotations

import importlib.util
import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest
from clips import Walker, moving_photographs, rows_of, stick_figures

from toppose import COCO17, HALPE26, OptionError, PoseError, Poses, Skeleton
from toppose.detection.boxes import iou
from toppose.video import Tracker
from toppose.video.assignment import assign
from toppose.video.similarity import blend, joint_sigmas, oks, oks_of_pairs

INF = np.inf


def person(x: float, score: float = 0.9, y: float = 0.0, joint_score: float = 0.9) -> Poses:
    """One, 40 wide and 100 high, all joints in the middle of the box."""
    joints = np.full((1, 17, 2), [x + 20, y + 50.0])
    return Poses(joints, np.full((1, 17), joint_score), [[x, y, x + 40, y + 100]], [score])


def people(*xs: float, **options: float) -> Poses:
    return Poses.concatenate([person(x, **options) for x in xs])


@pytest.mark.parametrize(
    ("cost", "limit", "rows", "columns"),
    [
        ([[4, 1, 3], [2, 0, 5], [3, 2, 2]], INF, [0, 1, 2], [1, 0, 2]),  # 1 + 2 + 2; the greedy 0 + 2 + 4 is dearer
        ([[1, 2, 3], [2, 4, 6]], INF, [0, 1], [1, 0]),  # 2 + 2
        ([[1, 2], [2, 4], [3, 6]], INF, [0, 1], [1, 0]),
        ([[1, INF], [2, INF]], INF, [0], [0]),
        ([[INF, INF], [INF, INF]], INF, [], []),
        ([[1, 2], [1, INF]], INF, [0, 1], [1, 0]),  # two pairs before the cheapest one
        ([[0.1, 0.85], [0.85, INF]], 0.9, [0], [0]),  # 0.1 + one alone at 0.9 costs less than 0.85 twice
        ([[0.9, 1.0]], 0.9, [], []),
    ],
)
def test_assignments_by_hand(cost, limit, rows, columns):
    i, j = assign(np.array(cost, float), limit)
    assert (i.tolist(), j.tolist()) == (rows, columns)


def test_assignment_of_nobody():
    for shape in ((0, 0), (0, 3), (3, 0)):
        assert [a.tolist() for a in assign(np.zeros(shape))] == [[], []]


def test_assignment_is_the_best_of_all():
    random = np.random.default_rng(0)
    for trial in range(150):
        N, M = random.integers(1, 6, 2).tolist()
        cost = random.normal(size=(N, M)) if trial % 2 else random.integers(0, 4, (N, M)).astype(float)
        wide = cost if N <= M else cost.T
        best = min(sum(wide[i, j] for i, j in enumerate(p)) for p in itertools.permutations(range(max(N, M)), min(N, M)))
        i, j = assign(cost)
        assert len(set(i)) == len(set(j)) == min(N, M)
        assert cost[i, j].sum() == pytest.approx(best)


def test_assignment_equals_scipys():
    solve = pytest.importorskip("scipy.optimize").linear_sum_assignment
    random = np.random.default_rng(1)
    for trial in range(300):
        cost = random.normal(size=random.integers(0, 25, 2))
        i, j = assign(cost)
        assert cost[i, j].sum() == pytest.approx(cost[solve(cost)].sum())
        gated = np.where(random.random(cost.shape) < 0.6, INF, cost)
        i, j = assign(gated)
        rows, columns = solve(np.where(np.isinf(gated), 1e6, gated))
        real = np.isfinite(gated[rows, columns])
        assert len(i) == real.sum(), trial
        assert gated[i, j].sum() == pytest.approx(gated[rows[real], columns[real]].sum())


def test_oks_of_a_known_displacement():
    # joint 0 moved by 10 px, area 10,000, sigma 0.05: exp(-100 / (2 * 10000 * 0.01)) = exp(-0.5); joint 1 not moved: 1; joint 2 not seen by both
    one, other = np.zeros((1, 3, 2)), np.array([[[6.0, 8.0], [0, 0], [500, 0]]])
    seen, area, sigmas = np.array([[True, True, True]]), np.array([10_000.0]), np.array([0.05, 0.1, 0.1])
    alike = oks(one, seen, area, other, np.array([[True, True, False]]), area, sigmas)
    np.testing.assert_allclose(alike, [(np.exp(-0.5) + 1) / 2])
    # of areas 5,000 and 15,000 the mean counts
    np.testing.assert_allclose(oks(one, seen, area / 2, other, np.array([[True, False, False]]), area * 1.5, sigmas), [np.exp(-0.5)])
    boxes = np.array([[0.0, 0, 100, 100]])
    np.testing.assert_allclose(oks_of_pairs(one, seen, boxes, other, np.array([[True, True, False]]), boxes, sigmas), [[(np.exp(-0.5) + 1) / 2]])
    assert oks_of_pairs(one, seen, boxes, one, seen, boxes + 151, sigmas).tolist() == [[0]]
    alone = oks(one, ~seen, area, other, seen, area, sigmas)
    assert np.isnan(alone).all()
    np.testing.assert_allclose(blend(np.array([[0.5, np.nan]]), np.array([[0.1, 0.3]]), 0.75), [[0.4, 0.3]])


def test_sigmas_of_any_layout():
    np.testing.assert_allclose(joint_sigmas(COCO17), COCO17.sigmas)
    np.testing.assert_allclose(joint_sigmas(HALPE26), [*COCO17.sigmas, *[0.067] * 9])
    assert joint_sigmas(Skeleton("two", ("nose", "tail"))).tolist() == [0.026, 0.067]


def test_ids_stay_and_order_is_kept():
    tracker = Tracker()
    assert tracker(people(0, 200), 0.0).ids.tolist() == [0, 1]
    swapped = people(204, 3)
    found = tracker(swapped, 0.04)
    assert found.ids.tolist() == [1, 0]
    assert found.replace(ids=None) == swapped
    assert found.ids.dtype == np.int64


def test_a_new_person_is_sure_after_a_time_and_a_passing_ghost_never():
    tracker = Tracker(confirm=0.1)
    assert tracker(people(0), 0.0).ids.tolist() == [0]  # those of the first picture are at home
    for time in (0.04, 0.08, 0.12):
        assert tracker(people(0, 200), time).ids.tolist() == [0]
    assert tracker(people(0, 200), 0.16).ids.tolist() == [0, 1]
    assert tracker(people(0, 400), 0.2).ids.tolist() == [0]
    assert tracker(people(0), 0.24).ids.tolist() == [0]
    assert tracker(people(0), 1.0).ids.tolist() == [0]
    assert tracker(people(0, 400), 1.04).ids.tolist() == [0]  # the ghost of second 0.2 is forgotten
    assert Tracker(confirm=0)(people(0), 5.0).ids.tolist() == [0]


def test_seconds_not_pictures_decide_who_is_gone():
    for fps in (5, 30, 120):
        for hidden, same in ((0.9, True), (1.2, False)):
            tracker = Tracker(keep=1.0, confirm=0)
            tracker(people(0), 0.0)
            times = np.arange(1, hidden * fps) / fps
            for time in times:
                assert len(tracker(Poses.empty(), time)) == 0
            assert (tracker(people(0), hidden).ids.tolist() == [0]) is same, (fps, hidden)


def test_slow_clips_keep_ids_too():
    tracker = Tracker(keep=3.0)
    ids = [tracker(people(0, 100), t).ids.tolist() for t in (0, 2, 4, 5, 8)]
    assert ids == [[0, 1]] * 5


def test_real_steps_of_time_are_used():
    # 100 px a second; after a step ten times as long the person is 40 px further: nothing overlaps where they were
    tracker = Tracker()
    for time in (0.0, 0.04, 0.08, 0.12, 0.16):
        tracker(people(100 * time), time)
    np.testing.assert_allclose(tracker.predict(0.56).boxes, [[56, 0, 96, 100]], atol=1e-4)
    np.testing.assert_allclose(tracker.predict(0.56)["left_wrist"], [[76, 50]], atol=1e-4)
    assert tracker(people(56), 0.56).ids.tolist() == [0]


def test_predict_changes_nothing_and_leaves_out_the_lost():
    tracker = Tracker()
    assert tracker.predict(3.0) == Poses.empty().replace(ids=np.zeros(0, int))
    tracker(people(0, 200), 0.0)
    tracker(people(4), 0.04)
    before = pickle.dumps(tracker)
    moved = tracker.predict(0.08)
    assert moved.ids.tolist() == [0]
    np.testing.assert_allclose(moved.boxes, [[8, 0, 48, 100]], atol=1e-5)
    assert (moved.scores.tolist(), moved.box_scores.tolist()) == (people(4).scores.tolist(), people(4).box_scores.tolist())
    assert pickle.dumps(tracker) == before
    with pytest.raises(OptionError, match=r"time: expected a number from 0\.04 to"):
        tracker.predict(0.0)


def test_unsure_people_keep_known_ones_alive_but_found_nobody():
    tracker = Tracker(confirm=0)
    assert tracker(people(0), 0.0).ids.tolist() == [0]
    both = Poses.concatenate([person(2, 0.3), person(300, 0.3)])
    assert tracker(both, 0.04).ids.tolist() == [0]
    assert tracker(people(4, score=0.05), 0.08).ids.tolist() == []  # below `unsure`: nobody
    assert tracker(people(4, score=0.3), 0.12).ids.tolist() == []  # an unsure one does not bring the lost back
    assert tracker(people(4), 0.16).ids.tolist() == [0]


def test_a_double_is_nobody():
    tracker = Tracker(confirm=0)
    double = Poses.concatenate([person(0), person(3, 0.6)])
    for time in (0.0, 0.04, 0.08):
        assert tracker(double, time).ids.tolist() == [0]


def test_joints_tell_apart_whom_boxes_do_not():
    # two share one box; their joints are in its two halves, and the rows come the other way round
    low, high = person(0), person(0)
    low, high = (p.replace(keypoints=p.keypoints + np.float32([0, dy])) for p, dy in ((low, -30), (high, 30)))
    tracker = Tracker()
    assert tracker(Poses.concatenate([low, high]), 0.0).ids.tolist() == [0, 1]
    assert tracker(Poses.concatenate([high, low]), 0.04).ids.tolist() == [1, 0]


def test_other_layouts_and_unseen_joints():
    two = Skeleton("two", ("nose", "tail"))
    tracker = Tracker()
    for time in (0, 1 / 30):
        poses = Poses(np.zeros((1, 2, 2)), np.zeros((1, 2)), [[0, 0, 10, 10]], [1.0], two)
        assert tracker(poses, time).ids.tolist() == [0]
    with pytest.raises(PoseError, match=r"expected the skeleton 'two' \(2 joints\) of the calls before, got 'coco17' \(17 joints\); .*reset\(\)"):
        tracker(people(0), 0.1)


@pytest.mark.parametrize("time", [0.5, 0.4, -1.0, np.nan, INF, "1", None, True])
def test_times_must_rise(time):
    tracker = Tracker()
    tracker(people(0), 0.5)
    with pytest.raises(OptionError, match="time: expected"):
        tracker(people(0), time)
    assert tracker(people(0), 0.54).ids.tolist() == [0]  # as if the call had not been


def test_ids_are_never_used_twice():
    tracker = Tracker(confirm=0)
    tracker(people(0, 100), 0.0)
    tracker.reset()
    assert tracker(people(0), 0.0).ids.tolist() == [2]
    with pytest.raises(PoseError, match="poses: expected a Poses, got list"):
        tracker([], 1.0)


@pytest.mark.parametrize(
    "wrong", [{"weight": 1.5}, {"sure": -1}, {"unsure": 0.6}, {"similarity": "a"}, {"confirm": -1}, {"keep": np.nan}, {"joint_threshold": None}]
)
def test_options_are_checked(wrong):
    with pytest.raises(OptionError, match=f"{next(iter(wrong))}: expected a number from 0 to .*, got"):
        Tracker(**wrong)


def test_pickled_and_shown():
    tracker = Tracker(weight=1)
    tracker(people(0, 100), 0.0)
    again = pickle.loads(pickle.dumps(tracker))
    assert again(people(100, 0), 0.1) == tracker(people(100, 0), 0.1)
    assert repr(tracker) == "Tracker(weight=1, sure=0.5, unsure=0.1, similarity=0.2, confirm=0.03, keep=1, joint_threshold=0.3)"


@pytest.mark.parametrize("options", [{}, {"noise": 0.02}, {"fps": 10.0}, {"fps": 50.0, "missed": 0.1}, {"missed": 0.3}])
def test_nobody_changes_identity_in_a_crowd(options):
    """Five people who cross, are hidden for ten pictures, come and go; noise, missed and doubled detections."""
    for seed in range(2):
        clip, tracker = stick_figures(seed=seed, **options), Tracker()
        ids_of: dict[int, set[int]] = {}
        for seen, who, time in zip(clip.seen, clip.who, clip.times, strict=True):
            found = tracker(seen, time)
            shown = who[rows_of(found, seen)]
            assert len(set(shown)) == len(shown), f"somebody twice at {time:.2f} s"
            for i, identity in zip(shown, found.ids, strict=True):
                ids_of.setdefault(int(i), set()).add(int(identity))
        assert sorted(map(len, ids_of.values())) == [1] * 5, ids_of
        assert len(set.union(*ids_of.values())) == 5


def test_ten_hidden_pictures():
    clip = stick_figures((Walker(50, 200, 150, 80, hidden=(1.0, 1.4)), Walker(400, 200, 150)), seconds=3, missed=0, doubles=0)
    tracker = Tracker()
    ids = [dict(zip(who.tolist(), tracker(p, t).ids.tolist(), strict=True)) for p, who, t in zip(clip.seen, clip.who, clip.times, strict=True)]
    assert [0 in i for i in ids].count(False) == 10
    assert all(i.get(0, 0) == ids[0][0] or 0 not in i for i in ids)
    assert len({i[0] for i in ids if 0 in i}) == len({i[1] for i in ids}) == 1


def test_moving_photographs(photo):
    """Two pictures of one woman pass each other, one is hidden for ten pictures: detector, pose network and tracker together."""
    from toppose import Estimator

    estimator, tracker = Estimator(device="cpu", threads=1), Tracker()
    ids_of: dict[int, set[int]] = {0: set(), 1: set()}
    for time, picture, truth in moving_photographs(photo):
        found = tracker(estimator.predict(picture), time)
        overlap = iou(truth, found.boxes.astype(float))
        for k, row in enumerate(overlap):
            if row.max(initial=0) > 0.6 and overlap[1 - k].max() < 0.9 and iou(truth[:1], truth[1:])[0, 0] < 0.2:
                ids_of[k].add(int(found.ids[row.argmax()]))
    assert [len(i) for i in ids_of.values()] == [1, 1], ids_of
    assert ids_of[0] != ids_of[1]


TUD = {"TUD-Campus": (0.578, 0.538), "TUD-Stadtmitte": (0.652, 0.567)}  # ByteTrack of `trackers`: 0.499, 0.535 and 0.574, 0.561


@pytest.mark.parametrize("name", TUD)
def test_pedestrians_of_tud(name):
    """IDF1 and MOTA on the boxes of another tracker, without its ids, that come with motmetrics."""
    pytest.importorskip("trackeval", reason="needs the extra `tracking`")
    package = importlib.util.find_spec("motmetrics")
    if package is None:
        pytest.skip("needs the data that come with motmetrics")
    from toppose.evaluation.tracking import Tracks, evaluate_tracking, read_mot

    folder = Path(package.origin).parent / "data" / name
    given, tracker = read_mot(folder / "test.txt"), Tracker(weight=0)
    found = []
    for frame in range(1, int(read_mot(folder / "gt.txt").frames.max()) + 1):
        boxes = given.boxes[given.frames == frame]
        N = len(boxes)
        found.append(tracker(Poses(np.zeros((N, 17, 2)), np.zeros((N, 17)), boxes, np.ones(N)), frame / 25))
    figures = evaluate_tracking(folder / "gt.txt", Tracks.from_poses(found))
    idf1, mota = TUD[name]
    assert figures["IDF1"] > idf1 - 0.001
    assert figures["MOTA"] > mota - 0.001
