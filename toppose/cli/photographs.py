"""What `toppose predict` does: photographs in; drawings and JSON out, whole or not at all, and never over a photograph."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2

from toppose.errors import ImageError, OptionError
from toppose.estimator import Estimator
from toppose.images import Pixels, read_image
from toppose.poses import Poses

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".jp2", ".ppm", ".pgm"}
GROUP = 8  # images that share batches, and are in memory at once


def expand(sources: Sequence[Path]) -> Iterator[Path]:
    """Files as they are, folders as the photographs in them, sorted."""
    for source in sources:
        if not source.is_dir():
            yield source
            continue
        inside = sorted(p for p in source.iterdir() if p.suffix.lower() in SUFFIXES)
        if not inside:
            raise ImageError(f"source: expected photographs ({', '.join(sorted(SUFFIXES))}) in the folder {str(source)!r}, found none")
        yield from inside


def check_targets(out: Path | None, file: Path | None, photographs: Sequence[Path]) -> None:
    """Before any work is done: what cannot be written to is an OptionError that names the option."""
    if out:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise OptionError(f"--out: expected a folder, or a place for a new one; got {str(out)!r} ({e.strerror})") from None
    if not file or file == Path("-"):
        return
    if file.is_dir() or not file.parent.is_dir():
        raise OptionError(f"--json: expected a file in a folder that is there; got {str(file)!r}")
    if file.resolve() in {path.resolve() for path in photographs}:
        raise OptionError(f"--json: expected another file than the photographs; got {str(file)!r}")
    if not file.exists():
        try:
            file.resolve().touch()  # what a link names, not the link, is made and removed
            file.resolve().unlink()
        except OSError as e:
            raise OptionError(f"--json: cannot write {str(file)!r} ({e.strerror})") from None


def predict_files(estimator: Estimator, paths: Sequence[Path], out: Path | None, file: Path | None, joint_threshold: float, draw_boxes: bool) -> int:
    """Draws the poses of each photograph into the folder `out` and writes all into the JSON `file` (`-`: standard output).

    Returns 1 if a photograph could not be read, else 0. A run that is stopped writes what it has done, and says what it has not."""
    taken = {path.resolve() for path in paths}  # no photograph is written over, least of all one not yet read
    entries: list[dict[str, Any]] = []
    errors: list[dict[str, str]] = []
    lines = sys.stderr if file == Path("-") else sys.stdout
    try:
        for path, image, poses in _poses(estimator, paths, errors):
            where = ""
            if out:
                target = _free(out, path.stem, taken)
                _write(target, cv2.imencode(".jpg", poses.draw(image, joint_threshold, draw_boxes))[1].tobytes())
                where = f" -> {target}"
            entries.append(_entry(path, image, poses))
            print(f"{path}: {len(poses)} {'person' if len(poses) == 1 else 'people'}{where}", file=lines)
    finally:
        if file:
            known = {entry["file"] for entry in (*entries, *errors)}
            missing = [{"file": str(path), "error": "not done: the run was stopped"} for path in paths if str(path) not in known]
            skeleton = estimator.skeleton
            document = {"skeleton": skeleton.name, "joints": skeleton.joints, "images": entries, "errors": errors + missing}
            text = json.dumps(document, indent=1) + "\n"
            if file == Path("-"):
                sys.stdout.write(text)
            else:
                _write(file, text.encode())
    return 1 if errors else 0


def _poses(estimator: Estimator, paths: Sequence[Path], errors: list[dict[str, str]]) -> Iterator[tuple[Path, Pixels, Poses]]:
    """The poses of each photograph, in groups that share batches; what cannot be read goes to `errors` and stderr."""
    for first in range(0, len(paths), GROUP):
        images: list[tuple[Path, Pixels]] = []
        for path in paths[first : first + GROUP]:
            try:
                images.append((path, read_image(path)))
            except ImageError as e:
                errors.append({"file": str(path), "error": str(e)})
                print(f"toppose: {e}", file=sys.stderr)
        found = estimator.predict([image for _, image in images])
        yield from ((path, image, poses) for (path, image), poses in zip(images, found, strict=True))


def _entry(path: Path, image: Pixels, poses: Poses) -> dict[str, Any]:
    return {"file": str(path), "width": image.shape[1], "height": image.shape[0], "people": poses.to_dict()["people"]}


def _free(folder: Path, stem: str, taken: set[Path]) -> Path:
    """NAME_poses.jpg, or NAME_2_poses.jpg when this call read or wrote that."""
    target, n = folder / f"{stem}_poses.jpg", 2
    while target.resolve() in taken:
        target, n = folder / f"{stem}_{n}_poses.jpg", n + 1
    taken.add(target.resolve())
    return target


def _write(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all; a device or a pipe is written to as it is. An OSError names the file."""
    path = path.resolve()
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            part.write_bytes(data)
            os.replace(part, path)
    except OSError as e:
        e.filename = e.filename or str(path)  # write() itself does not say it
        raise
    finally:
        part.unlink(missing_ok=True)
