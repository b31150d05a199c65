"""AP where it is known beforehand, on made-up people."""

from __future__ import annotations

import io
import json
import re
import zipfile

import cv2
import numpy as np
import pytest

from toppose import COCO17, Estimator, EvaluationError, Options, Poses
from toppose.cli import main
from toppose.evaluation.coco import read_coco, read_detections
from toppose.evaluation.hard import hard_cases, motion_blur, torso_angle
from toppose.evaluation.keypoints import box_ap, evaluate, keypoint_ap, predict

pytest.importorskip("pycocotools", reason="needs pip install 'toppose[eval]'")
# a person 100 px wide and 200 high, upright: joints by name at made-up places
JOINTS = np.stack([np.linspace(20, 80, 17), np.linspace(10, 190, 17)], 1)


def person(number: int, image: int, x: float, y: float, hidden: int = 0, scale: float = 1.0) -> dict:
    joints = JOINTS * scale + (x, y)
    seen = np.where(np.arange(17) < hidden, 1, 2)
    box = [x, y, 100 * scale, 200 * scale]
    return {
        "id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "bbox": box, "area": 10_000 * scale**2, "num_keypoints": 17,
        "keypoints": np.column_stack([joints, seen]).ravel().tolist(),
    }  # fmt: skip


@pytest.fixture
def archive(tmp_path, photo):
    people = [person(1, 1, 100, 100), person(2, 1, 150, 100, hidden=8), person(3, 2, 0, 100), person(4, 2, 300, 300, scale=0.4)]
    images = [{"id": i, "file_name": f"{i}.png", "width": 512, "height": 512} for i in (1, 2)]
    coco = {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as files:
        files.writestr("set/annotations.json", json.dumps(coco))
        for i in (1, 2):
            files.writestr(f"set/images/{i}.png", cv2.imencode(".png", np.full((512, 512, 3), 90, np.uint8))[1].tobytes())
    return path


def changed(archive, tmp_path, change):
    """The set with its annotations put through `change`, beside its photographs."""
    with zipfile.ZipFile(archive) as files:
        files.extractall(tmp_path)
    path = tmp_path / "set" / "annotations.json"
    coco = json.loads(path.read_text())
    change(coco)
    path.write_text(json.dumps(coco))
    return path


def found(data, move=0.0) -> dict[int, Poses]:
    """The annotated people, every joint `move` * sigma * sqrt(area) away."""
    poses = {}
    for image in data.ids:
        people = data.people(image)
        keypoints = np.array([p["keypoints"] for p in people]).reshape(-1, 17, 3)[..., :2]
        keypoints[..., 0] += move * np.array(COCO17.sigmas) * np.sqrt([[p["area"]] for p in people])
        boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in (p["bbox"] for p in people)])
        poses[image] = Poses(keypoints, np.ones((len(people), 17)), boxes, np.linspace(1, 0.9, len(people)))
    return poses


def test_perfect_poses(archive):
    data = read_coco(archive)
    row = keypoint_ap(data, found(data))
    assert row == {"AP": pytest.approx(1), "AP50": pytest.approx(1), "AP75": pytest.approx(1), "AR": pytest.approx(1), "people": 4}
    assert box_ap(data, found(data))["AP"] == pytest.approx(1)


def test_poses_of_a_known_similarity(archive):
    # OKS = exp(-d² / (2 area (2 sigma)²)); with d = m sigma sqrt(area) that is exp(-m²/8) = 0.72 for m = sqrt(8 ln(1/0.72)):
    # above the thresholds 0.5, 0.55, 0.6, 0.65, 0.7 of the ten
    data = read_coco(archive)
    row = keypoint_ap(data, found(data, np.sqrt(8 * np.log(1 / 0.72))))
    assert row["AP"] == pytest.approx(0.5)
    assert row["AP50"] == pytest.approx(1)
    assert row["AP75"] == 0


def test_nobody_found(archive):
    data = read_coco(archive)
    assert keypoint_ap(data, {i: Poses.empty() for i in data.ids})["AP"] == 0


def test_only_some_count(archive):
    data = read_coco(archive)
    poses = found(data)
    poses[2] = Poses.empty()
    assert keypoint_ap(data, poses, lambda a: a["image_id"] == 1)["AP"] == pytest.approx(1)
    assert keypoint_ap(data, poses, lambda a: a["image_id"] == 2)["AP"] == 0
    assert keypoint_ap(data, poses)["AR"] == pytest.approx(0.5)
    nobody = keypoint_ap(data, poses, lambda a: False)
    assert nobody["AP"] is None
    assert nobody["people"] == 0


def test_small_boxes_count_neither_way(archive):
    data = read_coco(archive)
    poses = found(data)
    poses[2] = poses[2][:1]  # without the person 80 px high
    assert box_ap(data, poses)["AP"] < 1
    assert box_ap(data, poses, taller=96)["AP"] == pytest.approx(1)


def test_hard_cases(archive):
    data = read_coco(archive)
    cases = {name.split()[0]: [counts(a) for a in data.coco["annotations"]] for name, counts in hard_cases(data).items()}
    assert cases == {
        "hidden": [False, True, False, False],
        "crowded": [True, True, False, False],  # two boxes 100 wide that share 50: IoU 1/3
        "small": [False, False, False, True],
        "cut": [False, False, True, False],
        "unusual": [False, False, False, False],
    }


@pytest.mark.parametrize(("shoulders", "angle"), [((0, -100), 0), ((100, 0), 90), ((0, 100), 180), ((-100, -100), 45)])
def test_torso_angle(shoulders, angle):
    joints = np.zeros((17, 3))
    joints[[5, 6, 11, 12], 2] = 2
    joints[[5, 6], :2] = shoulders
    assert torso_angle({"keypoints": joints.ravel().tolist()}) == pytest.approx(angle)
    joints[5, 2] = 0
    assert torso_angle({"keypoints": joints.ravel().tolist()}) == 0


def test_motion_blur():
    image = np.zeros((3, 21, 3), np.uint8)
    image[:, 10] = 250
    assert motion_blur(image, 5)[1, :, 0].tolist() == [0] * 8 + [50] * 5 + [0] * 8
    assert motion_blur(image, 0) is image


def test_boxes_of_a_file(archive, tmp_path):
    data = read_coco(archive)
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps([{"image_id": 2, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]))
    boxes = read_detections(path, data)
    assert boxes[2].tolist() == [[1, 2, 4, 6, 0.5]]

    class Seen:
        options = Options()

        def predict(self, image, boxes):
            return len(boxes)

    assert predict(Seen(), data, boxes) == {1: 0, 2: 1}
    assert predict(Seen(), data) == {1: 2, 2: 2}
    path.write_text(json.dumps([{"image_id": 2, "category_id": 18, "bbox": [1, 2, 3, 4], "score": 0.5}]))
    with pytest.raises(EvaluationError, match=r"none of the 1 boxes of .* is of category 1, the person"):
        read_detections(path, data)
    path.write_text("[]")
    assert read_detections(path, data) == {}
    path.write_text(json.dumps([{"image_id": 9, "bbox": [1, 2, 3, 4], "score": 0.5}]))
    with pytest.raises(EvaluationError, match=r"boxes of images that are not in the data: \[9\]"):
        read_detections(path, data)
    path.write_text("[{}]")
    with pytest.raises(EvaluationError, match=r"boxes: expected 'gt', 'own' or a COCO results file"):
        evaluate(Seen(), data, str(path))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"images": [], "annotations": [{}]}', '{"images": [{"id": 1}], "annotations": []}'])
def test_what_is_no_data(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(EvaluationError, match="data: "):
        read_coco(tmp_path / "a.json")
    with pytest.raises(EvaluationError, match="data: expected COCO"):
        read_coco(tmp_path / "missing.json")


@pytest.mark.parametrize(("names", "message"), [([], "got none"), (["a.json", "b.json.gz"], r"got \['a.json', 'b.json.gz'\]")])
def test_an_archive_has_one_file_of_annotations(tmp_path, names, message):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as files:
        for name in names:
            files.writestr(name, "{}")
    with pytest.raises(EvaluationError, match="^data: expected one .json of annotations in .*" + message):
        read_coco(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("where", "change", "message"),
    [
        ("annotations", {"bbox": [1, 2, 3]}, r"annotations\.0\.bbox\.3"),
        ("annotations", {"bbox": [1, 2, 0, 5]}, r"annotations\.0\.bbox\.2.*greater than 0"),
        ("annotations", {"keypoints": None}, r"annotations\.0\.keypoints"),
        ("annotations", {"area": None}, r"annotations\.0\.area"),
        ("annotations", {"area": 0}, r"annotations\.0: .*area of a person with labelled joints must be above 0"),
        ("annotations", {"area": -1}, r"annotations\.0\.area: .*greater than or equal to 0"),
        ("annotations", {"keypoints": [1, 1, 3] * 17}, r"annotations\.0: .*visibility of a joint is 0, 1 or 2, not 3"),
        ("annotations", {"iscrowd": "0"}, r"annotations\.0\.iscrowd: .*got '0'"),
        ("annotations", {"category_id": "1"}, r"annotations\.0\.category_id: .*got '1'"),
        ("annotations", {"category_id": 5}, "annotation 1 of .* is of category 5, which is not in it"),
        ("annotations", {"image_id": 99}, "annotation 1 of .* is of image 99, which is not in it"),
        ("annotations", {"id": 2}, r"annotations of .* have ids that occur twice: \[2\]"),
        ("images", {"file_name": None}, r"images\.0\.file_name"),
        ("images", {"id": 2}, r"images of .* have ids that occur twice: \[2\]"),
        ("categories", {"id": "x"}, r"categories\.0\.id"),
    ],
)
def test_what_is_wrong_in_data_is_named(archive, tmp_path, where, change, message):
    path = changed(archive, tmp_path, lambda coco: coco[where][0].update(change))
    with pytest.raises(EvaluationError, match=message):
        read_coco(path)


def test_the_person_may_have_any_number(archive, tmp_path):
    def change(coco):
        coco["categories"] = [{"id": 3, "name": "dog"}, {"id": 7, "name": "person"}]
        for a in coco["annotations"]:
            a["category_id"] = 7
        coco["annotations"][0]["category_id"] = 3

    data = read_coco(changed(archive, tmp_path, change))
    assert keypoint_ap(data, found(data))["AP"] == pytest.approx(1)
    assert keypoint_ap(data, found(data))["people"] == 3
    path = changed(archive, tmp_path, lambda coco: coco.update(categories=[{"id": 3, "name": "dog"}, {"id": 9, "name": "cat"}]))
    with pytest.raises(EvaluationError, match=r"expected a category named 'person' .* got \['dog', 'cat'\]"):
        read_coco(path)


def test_a_person_may_have_the_number_0(archive, tmp_path):
    data = read_coco(changed(archive, tmp_path, lambda coco: coco["annotations"][0].update(id=0)))
    assert keypoint_ap(data, found(data)) == {"AP": pytest.approx(1), "AP50": pytest.approx(1), "AP75": pytest.approx(1), "AR": 1, "people": 4}


def test_others_than_people_need_no_joints(archive, tmp_path):
    def change(coco):
        coco["categories"].append({"id": 2, "name": "dog"})
        coco["annotations"].append({"id": 9, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "area": 12})

    assert len(read_coco(changed(archive, tmp_path, change)).coco["annotations"]) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda coco: coco["images"][1].update(width=600), r"photograph '2.png' is 512x512 pixels; its annotations are of 600x512"),
        (lambda coco: coco["annotations"][2].update(id=70, keypoints=[1, 1, 2] * 5), "annotation 70: expected 51 numbers of keypoints, .* got 15"),
        (lambda coco: coco["categories"][0].update(keypoints=["left_eye"]), "another order than the network's: 'left_eye' where that has 'nose'"),
        (lambda coco: [a.update(keypoints=[0] * 51) for a in coco["annotations"]], "expected people with labelled joints .* got none"),
        (lambda coco: [a.update(iscrowd=1) for a in coco["annotations"]], "expected people with labelled joints .* got none"),
    ],
)
def test_what_cannot_be_evaluated_is_named(archive, tmp_path, capsys, change, message):
    assert main(["eval", str(changed(archive, tmp_path, change)), "--device", "cpu"]) == 1
    assert re.search(message, capsys.readouterr().err)


def test_joints_may_be_spelled_another_way(archive, tmp_path):
    data = read_coco(changed(archive, tmp_path, lambda coco: coco["categories"][0].update(keypoints=["Nose", "left eye", "Right-Eye"])))
    assert data.joints[1] == "left eye"
    assert evaluate(Estimator(None, device="cpu"), data)["rows"]["all people"]["people"] == 4


@pytest.mark.parametrize("options", [["--detector", "person-n"], ["--detection-threshold", "0.5"], ["--max-people", "3"]])
def test_options_of_the_detector_need_it(archive, capsys, options):
    assert main(["eval", str(archive), *options]) == 2
    assert f"{options[0]}: only with --boxes own" in capsys.readouterr().err


def test_nobody_to_find_has_no_ap(archive):
    data = read_coco(archive)
    assert keypoint_ap(data, found(data), lambda a: False) == {"AP": None, "AP50": None, "AP75": None, "AR": None, "people": 0}


def test_command_line(archive, tmp_path, capsys):
    with zipfile.ZipFile(archive) as files:
        files.extractall(tmp_path)
    assert main(["eval", str(tmp_path / "set" / "annotations.json"), "--json", "--device", "cpu", "--threads", "1"]) == 0
    assert json.load(io.StringIO(capsys.readouterr().out))["rows"]["all people"]["people"] == 4
    assert main(["eval", str(archive), "--boxes", "own", "--hard", "--device", "cpu"]) == 0
    table = capsys.readouterr().out
    assert all(row in table for row in ("all people", "hidden joints", "motion blur of 15 px", "person boxes, taller than 96 px"))
    (tmp_path / "set" / "images" / "1.png").unlink()
    assert main(["eval", str(tmp_path / "set" / "annotations.json"), "--device", "cpu"]) == 1
    assert "photograph '1.png'" in capsys.readouterr().err
