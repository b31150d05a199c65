"""The recipes' arithmetic that needs no torch: whom the detector is taught, and crowds made on purpose."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

RECIPES = Path(__file__).parents[1] / "models" / "recipes"

# (17, 2) of somebody upright, 100 wide and 200 high
STANDING = np.array(
    [50, 20, 54, 16, 46, 16, 60, 18, 40, 18, 70, 45, 30, 45, 80, 75, 20, 75, 82, 105, 18, 105, 62, 105, 38, 105, 62, 150, 38, 150, 62, 190, 38, 190],
    np.float32,
).reshape(17, 2)


ONE = {
    "images": [{"id": 1, "file_name": "a.png", "width": 6, "height": 4}],
    "annotations": [{"image_id": 1, "bbox": [1, 1, 4, 2], "keypoints": [2, 2, 2, *[0] * 48], "iscrowd": 0}],
}


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
    boxes = np.array(boxes, np.float32).reshape(n, 4)
    pixels = np.arange(size[0] * size[1] * 3, dtype=np.uint32).astype(np.uint8)
    keypoints = boxes[:, None, :2] + STANDING * ((boxes[:, 2:] - boxes[:, :2]) / [100, 200])[:, None]
    scores = np.where(np.arange(17) < np.broadcast_to(seen, n)[:, None], 0.9, 0.1).astype(np.float32)
    one, no = np.array([0]), np.zeros(n, bool)
    photos = data.Photographs((pixels,), one, one, np.array([size]), np.array(["a"]), np.array([data.NETWORKS]), np.array([False]), np.array([False]))
    return data.People(photos, np.zeros(n, int), boxes, np.array(box_scores, np.float32), keypoints, scores, no, ~no, no)


def archive(path, photo=(4, 6), **changed):
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("labels.json", json.dumps(ONE | changed))
        if photo:
            out.writestr("a.png", cv2.imencode(".png", np.full((*photo, 3), 9, np.uint8))[1].tobytes() if photo != "none" else b"no image")
    return path


def test_people_are_read_once_and_again_when_the_archive_changes(recipes, tmp_path):
    load = recipes[0].load_people
    people = load(archive(tmp_path / "a.zip"), tmp_path / "cache")
    assert people.photo(0).shape == (4, 6, 3)
    assert (people.photo(0) == 9).all()
    np.testing.assert_array_equal(people.boxes, [[1, 1, 5, 3]])
    np.testing.assert_array_equal(np.flatnonzero(people.scores[0]), [0])
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr("labels.json", json.dumps(ONE))
        out.writestr("a.png", cv2.imencode(".png", np.full((4, 6, 3), 200, np.uint8))[1].tobytes())
    assert (load(tmp_path / "a.zip", tmp_path / "cache").photo(0) == 200).all()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"photo": None}, "a.png is annotated, but not in it"),
        ({"photo": "none"}, "a.png is no image"),
        ({"photo": (6, 4)}, r"a.png is \(6, 4\), annotated \(4, 6\)"),
        ({"annotations": []}, "expected people with keypoints, got 0"),
        ({"annotations": [{"image_id": 1, "bbox": [1, 1, 4, 2]}]}, "expected people with keypoints, got 1, 0 with"),
    ],
)
def test_archives_that_cannot_be_read_are_named(recipes, tmp_path, changed, said):
    with pytest.raises(ValueError, match=f"bad.zip: {said}"):
        recipes[0].load_people(archive(tmp_path / "bad.zip", **changed), tmp_path / "cache")
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(ValueError, match=r"text.zip: expected a zip"):
        recipes[0].load_people(tmp_path / "text.zip", tmp_path / "cache")


def told(path, images, people):
    """A zip of 6 x 4 photographs: `images` (file name, fields of the image), `people` (number of the image from 0, fields of the person)."""
    person = {"bbox": [1, 1, 4, 2], "keypoints": [2, 2, 2, *[0] * 48], "keypoint_scores": [1.0, *[0] * 16], "score": 1.0}
    labels = {
        "images": [{"id": i, "file_name": name, "width": 6, "height": 4, **fields} for i, (name, fields) in enumerate(images)],
        "annotations": [{"image_id": i, **person, **fields} for i, fields in people],
    }
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("labels.json", json.dumps(labels))
        for i, (name, _) in enumerate(images):
            out.writestr(name, cv2.imencode(".png", np.full((4, 6, 3), i, np.uint8))[1].tobytes())
    return path


COCO = {"set": "coco", "labels": "people", "complete": True}
SPORT = {"set": "sport", "labels": "networks", "complete": False}
ROOMS = {"set": "rooms", "labels": "nobody there", "complete": True}


@pytest.fixture
def several(recipes, tmp_path):
    """Three photographs by people, one by networks and one of nobody in h.zip, one of which nothing is said in p.zip, two that fill places 0."""
    images = [("0.png", SPORT), ("a1.png", COCO), ("a2.png", COCO), ("a5.png", COCO), ("s.png", SPORT), ("r.png", ROOMS)]
    people = [(1, {"by": "people"}), (1, {"by": "people", "iscrowd": 1}), (4, {"by": "networks", "score": 0.3}), (4, {"by": "networks"})]
    h = told(tmp_path / "h.zip", images, people)
    p = told(tmp_path / "p.zip", [("0.png", {}), ("1.png", {})], [(1, {"score": 0.8})])
    return recipes[0].load([h, p], tmp_path / "cache")


def test_archives_are_joined_with_what_is_known_of_each(several):
    photos = several.photos
    assert photos.sets.tolist() == ["h/sport", "h/coco", "h/coco", "h/coco", "h/sport", "h/rooms", "p", "p"]
    assert photos.labels.tolist() == ["networks", *["people"] * 3, "networks", "nobody there", "networks", "networks"]
    assert photos.complete.tolist() == [False, True, True, True, False, True, False, False]
    assert [int(photos[i][0, 0, 0]) for i in range(8)] == [0, 1, 2, 3, 4, 5, 0, 1]
    assert several.image.tolist() == [1, 1, 4, 4, 7]
    assert several.human.tolist() == [True, True, False, False, False]
    assert several.crowd.tolist() == [False, True, False, False, False]
    assert several.tight.tolist() == [True, True, False, False, True]  # of p.zip nothing is said
    np.testing.assert_allclose(several.box_scores, [1, 1, 0.3, 1, 0.8])


def test_held_out_are_every_fiftieth_and_of_peoples_labels_a_fixed_part_by_name(several):
    # sha256 of a1.png, a2.png and a5.png begin with 861305b9, ca503d12 and 17ed7c7c; below 18b00000 is held out
    assert several.photos.held.tolist() == [True, False, False, True, False, False, True, False]


def test_sets_are_left_out_by_archive_set_or_labels(several):
    assert several.photos.without(["h/sport", "p"]).tolist() == [False, True, True, True, False, True, False, False]
    assert several.photos.without(["h/[cr]o*"]).tolist() == [True, False, False, False, True, False, True, True]
    assert several.photos.without(["h"]).tolist() == [False] * 6 + [True] * 2
    assert several.photos.without([]).all()
    with pytest.raises(ValueError, match=r"no photographs of 'sports': expected one of \['h/coco', 'h/rooms'"):
        several.photos.without(["sports"])


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


def test_found_people_are_taken_as_doubtful_where_they_may_be_some(recipes):
    data, doubts, _ = recipes
    people = people_of(data, [[0, 0, 100, 200]], [0.9])
    rows = {  # photograph, box, box score, joints seen
        "small and apart": [0, 200, 20, 230, 90, 0.3, 4],
        "large": [0, 200, 0, 280, 190, 0.8, 17],
        "no joints": [0, 240, 20, 270, 90, 0.3, 2],
        "part of somebody": [0, 20, 20, 60, 90, 0.3, 9],
    }
    found = doubts.with_unlabelled(people, np.array(list(rows.values())))
    np.testing.assert_allclose(found.boxes, [[0, 0, 100, 200], [200, 20, 230, 90]])
    assert (found.box_scores >= doubts.SURE).tolist() == [True, False]
    assert found.keypoints.shape == (2, 17, 2)
    assert not found.scores[1].any()
    assert len(doubts.with_unlabelled(people, np.zeros((0, 7))).boxes) == 1


def test_silhouette_holds_the_joints_and_no_corner(recipes):
    mask = recipes[2].silhouette(STANDING, np.ones(17, bool), (100, 200))
    x, y = np.rint(STANDING).astype(int).T
    assert mask[y, x].all()
    assert not mask[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert 0.25 < mask.mean() < 0.6


def test_silhouette_leaves_unlabelled_parts_of_the_face_alone(recipes):
    seen = np.arange(17) != 3
    elsewhere = np.where(seen[:, None], STANDING, 0)
    np.testing.assert_array_equal(
        recipes[2].silhouette(elsewhere, seen, (100, 200)),
        recipes[2].silhouette(np.where(seen[:, None], STANDING, STANDING[[0, 1, 2, 4]].mean(0)), seen, (100, 200)),
    )
    assert recipes[2].whole(seen)
    assert not recipes[2].whole(np.arange(17) > 4)
    assert not recipes[2].whole(np.arange(17) < 16)


def test_somebody_is_cut_out_where_they_stand(recipes):
    data, _, crowds = recipes
    people = people_of(data, [[40, 10, 140, 210]], [0.9])
    photo = people.photo(0)  # memory order: every pixel its own, by and large
    photo[:] = 7
    people.keypoints[0, 9] += 10, -60  # one arm up: no mirror image of itself
    x, y = np.rint(people.keypoints[0]).astype(int).T
    photo[y, x] = np.arange(100, 117)[:, None]
    group = crowds.Crowds(people, np.array([0]))
    for seed in range(8):  # mirrored and not
        pixels, mask = group.cut(200, np.random.default_rng(seed))
        assert pixels.shape == (200, 100, 3)
        joints = pixels[..., 0] > 99
        assert joints.sum() == 17
        assert mask[joints].all()


def test_boxes_end_where_people_are_seen_to_end(recipes):
    covered = np.zeros((100, 100), bool)
    covered[:, 50:] = covered[80:, :20] = True
    boxes, share = recipes[2].seen_boxes(np.array([[30.5, 10, 70, 90], [0, 0, 20, 20], [60, 60, 90, 90], [0, 70, 20, 90]]), covered)
    np.testing.assert_allclose(boxes, [[30.5, 10, 50, 90], [0, 0, 20, 20], [60, 60, 90, 90], [0, 70, 20, 80]])
    np.testing.assert_allclose(share, [0.5, 1, 0, 0.5])


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


def coloured(crowds, people, monkeypatch):
    """A `Crowds` that pastes a solid block of a new colour each time, and what it pasted."""
    group, pasted = crowds.Crowds(people, np.array([0])), []

    def cut(height, rng):
        pasted.append(len(pasted) + 1)
        size = (round(height), round(height / 2))
        return np.full((*size, 3), pasted[-1], np.uint8), np.ones(size, bool)

    monkeypatch.setattr(group, "cut", cut)
    return group, pasted


def test_a_crowd_keeps_labels_true_to_what_is_seen(recipes, monkeypatch):
    data, _, crowds = recipes
    people = people_of(data, [[40, 10, 140, 210]], [0.9])
    hidden = unsure = 0
    for seed in range(60):
        group, pasted = coloured(crowds, people, monkeypatch)
        canvas = np.full((160, 160, 3), 255, np.uint8)
        canvas[90:130, 70:78] = 0
        before = np.array([[70.0, 90, 78, 130]])
        boxes, sure = group.add(canvas, before, np.array([True]), np.random.default_rng(seed))
        share = (canvas[90:130, 70:78, 0] == 0).mean()
        assert sure[0] == (share >= 0.25)
        assert (boxes[0, :2] >= before[0, :2]).all()
        assert (boxes[0, 2:] <= before[0, 2:]).all()
        seen = [np.argwhere(canvas[..., 0] == colour)[:, ::-1] for colour in pasted]
        expected = [np.concatenate([xy.min(0), xy.max(0) + 1]) for xy in seen if len(xy)]
        np.testing.assert_array_equal(boxes[1:], np.reshape(expected, (-1, 4)))
        assert len(sure) == len(boxes)
        hidden += share < 0.25
        unsure += int((~sure[1:]).sum())
    assert hidden > 3
    assert unsure > 10


def test_crowds_of_nobody_change_nothing(recipes):
    data, _, crowds = recipes
    group = crowds.Crowds(people_of(data, [[40, 10, 140, 210]], [0.9], seen=16), np.array([0]))
    canvas, boxes, sure = np.full((64, 64, 3), 7, np.uint8), np.array([[3.0, 4, 50, 60]]), np.array([True])
    rows, known = group.add(canvas, boxes, sure, np.random.default_rng(0))
    group.beside(canvas, STANDING, np.ones(17, bool), np.random.default_rng(0))
    np.testing.assert_array_equal(rows, boxes)
    assert known.all()
    assert (canvas == 7).all()


def test_somebody_beside_may_stand_behind_whom_the_crop_shows(recipes, monkeypatch):
    data, _, crowds = recipes
    people = people_of(data, [[40, 10, 140, 210]], [0.9])
    body = crowds.silhouette(STANDING, np.ones(17, bool), (100, 200)).astype(bool)
    covered = []
    for seen in (np.ones(17, bool), np.arange(17) < 16):
        group, _ = coloured(crowds, people, monkeypatch)
        canvases = [np.full((200, 100, 3), 255, np.uint8) for _ in range(30)]
        for seed, canvas in enumerate(canvases):
            group.beside(canvas, STANDING, seen, np.random.default_rng(seed))
        assert all((c != 255).any() for c in canvases)
        covered.append(np.array([(c[body] != 255).any() for c in canvases]))
    assert 5 < covered[0].sum() < 25  # in front half of the time
    assert covered[1].sum() > covered[0].sum() + 3  # whom one does not see whole, nobody is put behind


@pytest.fixture
def scenes(recipes):
    import scenes

    return scenes


def test_a_photograph_knows_whom_to_learn_a_box_from(recipes, scenes, several):
    photos = scenes.Photos(several, np.arange(8), 64, train=False)
    assert [kinds[kinds > 0].tolist() for _, _, kinds, _ in (photos[i] for i in (1, 4, 5, 7))] == [
        [scenes.TIGHT, scenes.CROWD],
        [scenes.DOUBTFUL, scenes.LOOSE],
        [],
        [scenes.TIGHT],
    ]
    assert [photos[i][3] for i in (1, 4, 5, 7)] == [True, False, True, False]
    pixels, boxes, _, _ = photos[1]
    assert pixels.shape == (3, 64, 64)
    assert (pixels[:, 32, 32] == 1).all()
    np.testing.assert_allclose(boxes[0], np.array([1, 1, 5, 3]) * 64 / 6 + [0, 10.667, 0, 10.667], atol=0.01)


def test_canvases_are_drawn_by_who_labelled_and_a_batch_shares_its_size(recipes, scenes, several, monkeypatch):
    kinds, shares, groups = scenes.grouped(several.photos.labels, np.arange(1, 8), scenes.SHARES)
    assert kinds == ["networks", "nobody there", "people"]
    np.testing.assert_allclose(shares, np.array([0.43, 0.13, 0.34]) / 0.9)
    assert [g.tolist() for g in groups] == [[4, 6, 7], [5], [1, 2, 3]]
    monkeypatch.setattr(scenes, "SIZES", {32: 0.5, 64: 0.5})
    photos = scenes.Photos(several, np.arange(1, 8), 64, train=True, count=32, batch=4)
    sizes = np.array([photos[i][0].shape[1] for i in range(32)]).reshape(8, 4)
    assert (sizes == sizes[:, :1]).all()
    assert set(sizes[:, 0].tolist()) == {32, 64}
    later = scenes.Photos(several, np.arange(1, 8), 64, train=True, first=4, count=4, batch=4)
    for a, b in zip(later[0], photos[4], strict=True):  # a training that goes on sees what it would have seen
        np.testing.assert_array_equal(a, b)


def test_tiles_cover_the_canvas_once(scenes):
    for chances, count in (((1, 0, 0, 0), 1), ((0, 0, 0, 1), 16)):
        tiles = scenes.tiled(96, chances, np.random.default_rng(0))
        covered = np.zeros((96, 96), int)
        for x1, y1, x2, y2 in tiles:
            covered[y1:y2, x1:x2] += 1
        assert len(tiles) == count
        assert (covered == 1).all()


def test_joints_by_people_count_in_full_and_without_a_teacher(recipes):
    import crops

    scores = np.array([1, 0.8, 0.5, 0.15, 0, *[0.35] * 12], np.float32)
    weights, taught = crops.labelled(scores, human=True)
    np.testing.assert_allclose(weights[:6], [2, 2, 1, 0, 0, 4 / 7], atol=1e-6)
    np.testing.assert_array_equal(taught[:6], [0, 0, 1, 1, 1, 1])
    weights, taught = crops.labelled(scores, human=False)
    np.testing.assert_allclose(weights[:6], [1, 1, 1, 0, 0, 4 / 7], atol=1e-6)
    assert taught.all()


def test_people_are_drawn_by_who_labelled_them(recipes, several):
    import crops

    shares = crops.drawn(several, {"people": 0.6, "networks": 0.2})
    np.testing.assert_allclose(shares, [0.375, 0.375, *[0.25 / 3] * 3])


def test_a_turned_box_holds_who_is_turned(recipes):
    import augment

    box = np.array([10.0, 20, 50, 120])
    np.testing.assert_allclose(augment.turned(box, 0.0), box)
    np.testing.assert_allclose(augment.turned(box, np.pi), box)
    np.testing.assert_allclose(augment.turned(box, np.pi / 2), [-20, 50, 80, 90])
    np.testing.assert_allclose(augment.turned(box, np.pi / 4)[2:] - augment.turned(box, np.pi / 4)[:2], [140 * 0.5**0.5 * 0.85] * 2)


def test_boxes_are_drawn_with_a_detectors_errors(recipes):
    import augment

    rng = np.random.default_rng(0)
    boxes = np.array([augment.jittered(np.array([100.0, 100, 200, 400]), rng) for _ in range(4000)])
    assert np.abs(np.median(boxes, 0) - [100, 100, 200, 400]).max() < 4
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    inner, outer = np.percentile(boxes, [5, 95], axis=0)
    assert 75 < inner[0] < 90 < 110 < outer[0] < 125


@pytest.fixture
def losses(scenes):
    pytest.importorskip("torch")
    import boxes

    return boxes


def test_negatives_leave_out_crowds_the_doubtful_and_who_may_be_unlabelled(losses, scenes):
    import torch

    points = torch.tensor([[5.0, 5], [15, 5], [25, 5], [35, 5]])
    boxes = points.repeat(1, 2) + torch.tensor([-4.0, -4, 4, 4])
    scores = torch.tensor([0.5, 0.5, 0.0, 0.5])
    rows = torch.tensor([[0.0, 0, 10, 10], [10, 0, 20, 10], [20, 0, 25.5, 10], [31, 0, 90, 90]])
    kinds = torch.tensor([scenes.TIGHT, scenes.DOUBTFUL, scenes.CROWD, scenes.CROWD])
    # the third's box of 8 pixels, 21...29, is a crowd's by 4.5 of them, the last's wholly; so is a quarter of neither other's
    assert losses.negatives(boxes, scores, points, rows, kinds, True).tolist() == [1, 0, 0, 0]
    assert losses.negatives(boxes, scores, points, rows[:2], kinds[:2], True).tolist() == [1, 0, 1, 1]
    assert losses.negatives(boxes, scores, points, rows[:2], kinds[:2], False).tolist() == [1, 0, 1, 0.25]


def test_only_tight_boxes_teach_where_a_person_ends(losses, scenes):
    import torch

    levels = [torch.zeros(1, 5, 64 // s, 64 // s, requires_grad=True) for s in (8, 16, 32)]
    rows = torch.tensor([[[4.0, 4, 40, 60]]])
    scores, ends = [], []
    for kind in (scenes.TIGHT, scenes.LOOSE, scenes.DOUBTFUL, scenes.UNUSED):
        score, end = losses.detection_loss(levels, (8, 16, 32), rows, torch.tensor([[kind]]), torch.tensor([True]))
        scores.append(float(score.detach()))
        ends.append(float(end.detach()))
    assert ends[0] > 0
    assert ends[1:] == [0, 0, 0]
    assert scores[0] == scores[1]
    assert scores[2] < scores[3]  # within the doubtful box nothing is asked


def test_average_precision_of_held_out_people(losses, scenes):
    pytest.importorskip("pycocotools")
    import precision

    people = np.array([[10.0, 10, 60, 210], [100, 10, 140, 60], [200, 0, 300, 100]])
    kinds = np.array([scenes.TIGHT, scenes.LOOSE, scenes.CROWD])
    boxes = np.array([[10.0, 10, 60, 210], [210, 10, 240, 60], [100, 10, 140, 60]])
    assert precision.average_precision([(boxes, np.array([0.9, 0.8, 0.7]), people, kinds)]) == pytest.approx((1, 1))
    missed = [(boxes[:1], np.array([0.9]), people, kinds)]
    assert precision.average_precision(missed)[1] == pytest.approx(0.505, abs=0.01)
    assert precision.average_precision(missed, taller=96) == pytest.approx((1, 1))
    assert precision.average_precision([(boxes[:0], np.zeros(0), people, kinds)]) == (0, 0)


def test_what_lies_behind_the_last_convolution_stays_float(losses):
    pytest.importorskip("onnxruntime.quantization", exc_type=ImportError)
    import quantise
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Relu", ["x"], ["a"], "before"),
        helper.make_node("Conv", ["a", "w"], ["b"], "conv"),
        helper.make_node("Add", ["b", "b"], ["c"], "behind"),
        helper.make_node("Relu", ["a"], ["d"], "aside"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, None)], [value(n, TensorProto.FLOAT, None) for n in "cd"])
    assert sorted(quantise.decoding(graph)) == ["aside", "behind"]


def test_an_int8_network_takes_pixels_as_they_are(losses, tmp_path):
    pytest.importorskip("onnxruntime.quantization", exc_type=ImportError)
    import onnx
    import onnxruntime
    import quantise
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32), rng.normal(0, 1, 4).astype(np.float32)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Conv", ["crops", "w", "b"], ["maps"], "conv")],
        "g",
        [value("crops", TensorProto.FLOAT, ["n", 3, 12, 12])],
        [value("maps", TensorProto.FLOAT, ["n", 4, 10, 10])],
        [numpy_helper.from_array(kernel, "w"), numpy_helper.from_array(bias, "b")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "a.onnx")
    card = {"input": {"mean": [120, 115, 104], "std": [58, 57, 57]}}
    pixels = rng.integers(0, 256, (20, 1, 3, 12, 12)).astype(np.uint8)
    mean, std = quantise.normalisation(card)

    def run(name, feed):
        session = onnxruntime.InferenceSession(tmp_path / name, providers=["CPUExecutionProvider"])
        return session.run(None, {"crops": feed})[0]

    wanted = run("a.onnx", ((pixels[0] - mean) / std).astype(np.float32))
    quantise.quantise(tmp_path / "a.onnx", tmp_path / "a.int8.onnx", card, iter(pixels))
    quantise.quantise(tmp_path / "a.onnx", tmp_path / "a.bytes.onnx", card, iter(pixels), takes_bytes=True)
    assert np.abs(run("a.int8.onnx", ((pixels[0] - mean) / std).astype(np.float32)) - wanted).max() < 0.05 * np.ptp(wanted)
    assert np.abs(run("a.bytes.onnx", pixels[0]) - wanted).max() < 0.05 * np.ptp(wanted)
