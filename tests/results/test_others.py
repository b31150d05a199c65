"""What other programs make of the files."""

from __future__ import annotations

import numpy as np
import pytest
from results.frames import HAND, clip, rounded

from toppose.results import open_writer


def written(tmp_path, target: str, skeleton=None):
    frames = clip(*([skeleton] if skeleton else []))
    with open_writer(target, skeleton=frames[0].poses.skeleton, fps=30) as writer:
        for f in frames:
            writer.write(f)
    return frames


def test_movement_loads_deeplabcuts_csv(tmp_path):
    movement = pytest.importorskip("movement.io.load_poses", reason="movement is not installed")
    frames = written(tmp_path, f"dlc={tmp_path / 'p.csv'}")
    data = movement.from_file(tmp_path / "p.csv", source_software="DeepLabCut", fps=30)
    names = dict(zip(data.sizes, data.position.shape, strict=False))
    assert names["time"] == 7
    individuals = next(d for d in data.dims if d.startswith("individual"))
    assert [str(i) for i in data[individuals].values] == ["track_0", "track_1", "track_2", "track_3"]
    assert_same(data, frames)


def test_sleap_io_loads_sleaps_csv(tmp_path):
    sleap = pytest.importorskip("sleap_io", reason="sleap-io is not installed")
    frames = written(tmp_path, str(tmp_path / "p.csv"))
    labels = sleap.load_csv(str(tmp_path / "p.csv"), format="auto")
    joints = frames[0].poses.skeleton.joints
    order = [joints.index(node.name) for node in labels.skeleton.nodes]  # sleap-io sorts them by name
    assert sorted(order) == list(range(17))
    found = {lf.frame_idx: {i.track.name: i for i in lf.instances} for lf in labels.labeled_frames}
    assert sorted(found) == [1, 2, 5, 6]
    for f in frames:
        p = rounded(f).poses
        for i, points, scores in zip([] if p.ids is None else p.ids, p.keypoints, p.scores, strict=True):
            instance = found[f.index][f"track_{i}"].numpy(scores=True)
            np.testing.assert_allclose(instance, np.concatenate([points, scores[:, None]], 1)[order], atol=1e-5)


def test_movement_loads_sleaps_csv_by_way_of_sleap_io(tmp_path):
    movement = pytest.importorskip("movement.io.load_poses", reason="movement is not installed")
    import sleap_io

    frames = written(tmp_path, str(tmp_path / "p.csv"))
    (tmp_path / "v.mp4").touch()
    labels = sleap_io.load_csv(str(tmp_path / "p.csv"), format="sleap", video=str(tmp_path / "v.mp4"))
    labels.save(str(tmp_path / "p.slp"))
    data = movement.from_file(tmp_path / "p.slp", source_software="SLEAP", fps=30)
    assert_same(data, frames)


def assert_same(data, frames) -> None:
    """`data` has time, space, keypoints, individuals, in movement's order; who is not there is NaN."""
    individuals = next(d for d in data.position.dims if d.startswith("individual"))
    keypoints = next(d for d in data.position.dims if d.startswith("keypoint"))
    for f in frames:
        p = rounded(f).poses
        ids = [] if p.ids is None else p.ids.tolist()
        for name in data[individuals].values:
            mine = data.sel({individuals: name}).isel(time=f.index)
            number = int(str(name).removeprefix("track_"))
            if number not in ids:
                assert np.isnan(mine.position.values).all()
                continue
            n, order = ids.index(number), [p.skeleton.joints.index(str(k)) for k in data[keypoints].values]
            np.testing.assert_allclose(mine.position.transpose(keypoints, "space").values, p.keypoints[n][order], atol=1e-5)
            np.testing.assert_allclose(mine.confidence.values, p.scores[n][order], atol=1e-5)


def test_pycocotools_loads_both(tmp_path, capsys):
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    frames = written(tmp_path, f"coco-dataset={tmp_path / 'set.json'}", HAND)
    with open_writer(f"coco={tmp_path / 'results.json'}", skeleton=HAND) as writer:
        for f in frames:
            writer.write(f)
    data = coco.COCO(str(tmp_path / "set.json"))
    assert [i["id"] for i in data.loadImgs(data.getImgIds())] == [1, 2, 3, 4, 5, 6, 7]
    assert [a["track_id"] for a in data.loadAnns(data.getAnnIds(imgIds=[6]))] == [1, 2, 3]
    assert data.loadCats([1])[0]["keypoints"] == list(HAND.joints)
    # results speak of frames, counted from 0, images of a data set are counted from 1
    import json

    results = [{**r, "image_id": r["image_id"] + 1} for r in json.loads((tmp_path / "results.json").read_text())]
    found = data.loadRes(results)
    evaluated = pytest.importorskip("pycocotools.cocoeval").COCOeval(data, found, "keypoints")
    evaluated.params.kpt_oks_sigmas = np.array(HAND.sigmas)
    evaluated.evaluate()
    evaluated.accumulate()
    evaluated.summarize()
    capsys.readouterr()
    assert evaluated.stats[0] == pytest.approx(1)  # a set that is held against itself


def test_pyarrow_loads_parquet(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    written(tmp_path, str(tmp_path / "p.parquet"), HAND)
    table = pq.read_table(tmp_path / "p.parquet")
    assert table.column_names == ["index", "time", "path", "width", "height", "id", "box", "box_score", "keypoints", "scores"]
    assert table["index"].to_pylist() == [0, 1, 1, 2, 3, 4, 5, 5, 5, 6]
    assert table["id"].to_pylist() == [None, 1, 2, 0, None, None, 1, 2, 3, 0]
    assert table["box"].null_count == 3
    assert b'"hand3"' in table.schema.metadata[b"toppose"]
    assert b'"fps": 30' in table.schema.metadata[b"toppose"]
