"""What `toppose predict` does: photographs in; drawings and JSON out, whole or not at all, and never over a photograph."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from toppose.cli.document import document, photograph
from toppose.cli.progress import Progress
from toppose.cli.stop import Stops
from toppose.errors import ImageError, OptionError, TopposeError
from toppose.estimator import Estimator
from toppose.images import Pixels
from toppose.poses import Poses
from toppose.results.files import whole
from toppose.skeleton import COCO17, Skeleton
from toppose.video.photographs import DRAWING, SUFFIXES, Found, Photograph, is_drawing, mark

GROUP = 8  # images that share batches, and are in memory at once
STDOUT = Path("-")
WIDEST = 65500  # libjpeg's limit


def check_targets(out: Path | None, file: Path | None, photographs: Sequence[Photograph]) -> None:
    """Before any work is done: what cannot be written to is an OptionError that names the option."""
    if out:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise OptionError(f"--out: expected a folder, or a place for a new one; got {str(out)!r} ({e.strerror})") from None
    if not file:
        return
    if file == STDOUT:
        if getattr(sys.stdout, "name", "") == os.devnull:
            raise OptionError("--json: expected a standard output that is open; it is closed")
        return
    if file.is_dir() or not file.parent.is_dir():
        raise OptionError(f"--json: expected a file in a folder that is there; got {str(file)!r}")
    target = real(file)
    if target in {real(p.path) for p in photographs if p.path} or (target.is_file() and target.suffix.lower() in SUFFIXES):
        raise OptionError(f"--json: expected another file than the photographs; got {str(file)!r}, which would be written over")
    if not file.exists():
        try:
            target.touch()  # what a link names, not the link, is made and removed
            target.unlink()
        except OSError as e:
            raise OptionError(f"--json: cannot write {str(file)!r} ({e.strerror})") from None


@dataclass
class Run:
    """Photographs to be done; where drawings (folder `out`) and JSON (`file`, or standard output) go; and what was done so far."""

    found: Found
    out: Path | None
    file: Path | None
    joint_threshold: float
    draw_boxes: bool
    stops: Stops
    done: set[int] = field(default_factory=set)
    entries: list[str] = field(default_factory=list)
    taken: set[Path] = field(default_factory=set)  # what was read, and what was written: nothing is to be written over it

    def __call__(self, estimator: Estimator) -> int:
        """Returns 1 if anything failed, else 0. A run that is stopped writes what it has done, and says what it has not."""
        self.taken = {real(p.path) for p in self.found.photographs if p.path} | ({real(self.file)} if self.file else set())
        try:
            with self.stops.work(), Progress(len(self.found.photographs), "photographs") as progress:
                for i, image, poses in self._poses(estimator, progress):
                    self._finish(i, image, poses, progress)
        finally:
            if self.file:
                self._write_json(self.file, estimator.skeleton)
        self.stops.check()
        return 1 if self.found.errors else 0

    @contextmanager
    def told(self) -> Iterator[None]:
        """What stands inside comes before any photograph is done: a run that is stopped there says so too."""
        try:
            yield
        except KeyboardInterrupt:
            self.stops.hold()
            if self.file:
                self._write_json(self.file, COCO17)
            raise

    def _poses(self, estimator: Estimator, progress: Progress) -> Iterator[tuple[int, Pixels, Poses]]:
        """The poses of each photograph, in groups that share batches; what cannot be read goes to the errors and to stderr."""
        photographs = self.found.photographs
        for first in range(0, len(photographs), GROUP):
            images: list[tuple[int, Pixels]] = []
            for i in range(first, min(first + GROUP, len(photographs))):
                self.stops.check()
                try:
                    images.append((i, photographs[i].read(estimator.options.max_pixels)))
                except ImageError as e:
                    self._fail(i, str(e), progress)
                    progress.step()
            try:
                found: list[Poses | None] = [*estimator.predict([image for _, image in images])]
            except TopposeError:  # of one of them: which, shows when they are looked at one by one
                found = [self._alone(estimator, i, image, progress) for i, image in images]
            yield from ((i, image, poses) for (i, image), poses in zip(images, found, strict=True) if poses is not None)

    def _alone(self, estimator: Estimator, i: int, image: Pixels, progress: Progress) -> Poses | None:
        """The poses of one photograph; None, and an error noted, where the network fails on it."""
        try:
            return estimator.predict(image)
        except TopposeError as e:
            self._fail(i, f"{self.found.photographs[i].name}: {e}", progress)
            progress.step()
            return None

    def _finish(self, i: int, image: Pixels, poses: Poses, progress: Progress) -> None:
        """Draws one photograph, notes it down, and says so."""
        self.stops.check()
        name, where = self.found.photographs[i].name, ""
        if self.out:
            try:
                where = f" -> {_shown(self._draw(self.out, self.found.photographs[i].stem, image, poses))}"
            except (ImageError, OSError) as e:
                self._fail(i, f"{name}: {e if isinstance(e, ImageError) else f'cannot be drawn: {e.strerror or e}'}", progress)
        self.entries.append(photograph(name, image, poses))
        self.done.add(i)
        line = f"{i + 1}/{len(self.found.photographs)} {_shown(name)}: {len(poses)} {'person' if len(poses) == 1 else 'people'}{where}"
        if self.file == STDOUT:
            progress.say(f"toppose: {line}", sys.stderr)
        else:
            progress.say(line, sys.stdout)
        progress.step()

    def _fail(self, i: int, error: str, progress: Progress) -> None:
        self.found.fail(self.found.photographs[i].name, error)
        self.done.add(i)
        progress.say(f"toppose: {_shown(error)}", sys.stderr)

    def _draw(self, out: Path, stem: str, image: Pixels, poses: Poses) -> Path:
        if max(image.shape) > WIDEST:
            raise ImageError(f"cannot be drawn: a JPEG has at most {WIDEST} pixels a side, this has {image.shape[1]}x{image.shape[0]}")
        jpeg = cv2.imencode(".jpg", poses.draw(image, self.joint_threshold, self.draw_boxes))[1]
        target = self._free(out, stem)
        write(target, mark(jpeg.tobytes()))
        return target

    def _free(self, folder: Path, stem: str) -> Path:
        """NAME_poses.jpg, or NAME_2_poses.jpg where this run read or wrote that, or where it is there and no drawing of ours."""
        target, n = folder / f"{stem}{DRAWING}", 2
        while real(target) in self.taken or (target.exists() and not is_drawing(target)):
            target, n = folder / f"{stem}_{n}{DRAWING}", n + 1
        self.taken.add(real(target))
        return target

    def _write_json(self, file: Path, skeleton: Skeleton) -> None:
        rest = [p.name for i, p in enumerate(self.found.photographs) if i not in self.done]
        missing = [{"file": name, "error": "not done: the run was stopped"} for name in rest]
        text = document(skeleton, self.entries, self.found.errors + missing)
        if file == STDOUT:
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            write(file, text.encode())


def real(path: Path) -> Path:
    """Where a path leads; a link that leads to itself, to itself."""
    return Path(os.path.realpath(path))


def write(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all; a device or a pipe is written to as it is. An OSError names the file."""
    with whole(path) as part:
        part.write_bytes(data)


def _shown(text: str | Path) -> str:
    """On one line and without a word to the terminal, whatever a file is called."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))
