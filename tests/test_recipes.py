"""The recipes' arithmetic that needs no torch: whom the detector is taught, and crowds made on purpose."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

RECIPES = Path(__file__).parents[1] / "models" / "recipes"

# (17, 2) of somebody upright, 100 wide and 200 high
STANDING = np.array(
    [50, 20, 54, 16, 46, 16, 60, 18, 40, 18, 70, 45, 30, 45, 80, 75, 20, 75, 82, 105, 18, 105, 62, 105, 38, 105, 62, 150, 38, 150, 62, 190, 38, 190],
    np.float32,
).reshape(17, 2)


@pytest.fixture
def recipes(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPES))
    before = set(sys.modules)
    import crowds
    import data
    import doubts

    yield data, doubts, crowds
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and RECIPES in Path(sys.modules[name].__file__).parents:
            del sys.modules[name]


def people_of(data, boxes, box_scores, seen=17, size=(240, 320)):
    n = len(boxes)
    boxes = np.array(boxes, np.float32)
    pixels = np.arange(size[0] * size[1] * 3, dtype=np.uint32).astype(np.uint8)
    keypoints = boxes[:, None, :2] + STANDING * ((boxes[:, 2:] - boxes[:, :2]) / [100, 200])[:, None]
    scores = np.where(np.arange(17) < np.broadcast_to(seen, n)[:, None], 0.9, 0.1).astype(np.float32)
    return data.People(pixels, np.array([0]), np.array([size]), np.zeros(n, int), boxes, np.array(box_scores, np.float32), keypoints, scores)


def test_doubtful_boxes_are_believed_for_their_joints_and_dropped_as_doubles(recipes):
    data, doubts, _ = recipes
    boxes = {
        "sure": [0, 0, 100, 200],
        "its double": [5, 5, 100, 195],
        "a body apart": [200, 0, 280, 200],
        "no joints": [200, 100, 230, 200],
        "part of the sure one": [20, 100, 80, 200],
        "another sure one": [110, 0, 190, 200],
        "both together": [0, 0, 190, 200],
    }
    people = people_of(data, list(boxes.values()), [0.9, 0.4, 0.4, 0.3, 0.35, 0.8, 0.38], seen=[17, 17, 8, 2, 17, 17, 17])
    judged = doubts.second_opinion(people)
    names = [next(n for n, b in boxes.items() if np.array_equal(b, row)) for row in judged.boxes]
    assert names == ["sure", "a body apart", "no joints", "part of the sure one", "another sure one"]
    assert [n for n, s in zip(names, judged.box_scores >= np.float32(doubts.SURE), strict=True) if s] == ["sure", "a body apart", "another sure one"]


def test_silhouette_holds_the_joints_and_no_corner(recipes):
    mask = recipes[2].silhouette(STANDING, (100, 200))
    x, y = np.rint(STANDING).astype(int).T
    assert mask[y, x].all()
    assert not mask[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert 0.25 < mask.mean() < 0.6


def test_boxes_end_where_people_are_seen_to_end(recipes):
    covered = np.zeros((100, 100), bool)
    covered[:, 50:] = True
    boxes, share = recipes[2].seen_boxes(np.array([[30.5, 10, 70, 90], [0, 0, 20, 20], [60, 60, 90, 90]]), covered)
    np.testing.assert_allclose(boxes, [[30.5, 10, 50, 90], [0, 0, 20, 20], [60, 60, 90, 90]])
    np.testing.assert_allclose(share, [0.5, 1, 0])


@pytest.mark.parametrize("corner", [(-4, -4), (8, 8), (3, 2), (-20, 0), (40, 40)])
def test_paste_stays_inside_and_behind(recipes, corner):
    canvas, behind = np.zeros((12, 12, 3), np.uint8), np.zeros((12, 12), bool)
    behind[:6] = True
    pixels, mask = np.full((8, 8, 3), 200, np.uint8), np.eye(8, dtype=bool)
    here = recipes[2].paste(canvas, pixels, mask, corner, behind)
    expected = [(corner[1] + i, corner[0] + i) for i in range(8)]
    expected = [(y, x) for y, x in expected if 6 <= y < 12 and 0 <= x < 12]
    assert list(map(tuple, np.argwhere(here).tolist())) == expected
    assert (canvas[here] == 200).all()
    assert not canvas[~here].any()


def test_a_crowd_keeps_labels_true_to_what_is_seen(recipes):
    data, _, crowds = recipes
    people = people_of(data, [[40, 10, 140, 210]], [0.9])
    group = crowds.Crowds(people, np.array([0]))
    assert len(group.rows) == 1
    added = 0
    for seed in range(40):
        canvas = np.full((160, 160, 3), 7, np.uint8)
        rng = np.random.default_rng(seed)
        before, known = np.array([[30.0, 40, 80, 140]]), np.array([True])
        boxes, sure = group.add(canvas, before, known, rng)
        assert len(boxes) == len(sure) >= 1
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2:] <= 160).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        changed = np.argwhere((canvas != 7).any(2))
        if len(changed):
            low, high = boxes[1:, :2].min(0), boxes[1:, 2:].max(0)
            assert (changed[:, ::-1] >= low).all()
            assert (changed[:, ::-1] < high).all()
        added += len(boxes) - 1
    assert added > 40
