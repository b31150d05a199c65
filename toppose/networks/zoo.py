"""Networks by name or path: the ones that ship, and the user's own with their cards."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from toppose.errors import CardError, ModelError, OptionError
from toppose.networks.card import ModelCard
from toppose.runtime.graphs import MODELS

Task = Literal["pose", "detect"]


def shipped(task: Task | None = None) -> list[ModelCard]:
    """The cards of the networks that came with toppose."""
    cards = [ModelCard.load(p) for p in sorted(MODELS.glob("*.json"))]
    return [c for c in cards if task is None or c.task == task]


def find(model: str | os.PathLike[str] | ModelCard, task: Task, name: str) -> tuple[Path, ModelCard | None]:
    """A shipped name, a path to an .onnx file or a card -> the file and its card (None where no card lies beside it).

    `name` is what errors call the argument."""
    if isinstance(model, ModelCard):
        card: ModelCard | None = model
    elif not isinstance(model, (str, os.PathLike)):
        raise OptionError(f"{name}: expected a shipped name, a path to an .onnx file or a ModelCard; got {type(model).__name__}")
    else:
        card = _by_name(str(model))
        if card is None:
            path = Path(model)
            if path.suffix == ".json":
                raise OptionError(f"{name}: expected the .onnx file, not its card; got {str(model)!r}")
            if not _is_file(path):
                names = ", ".join(c.name for c in shipped(task)) or "none"
                raise ModelError(f"{name}: expected a shipped network ({names}) or a path to an .onnx file; got {str(model)!r}, no such file")
            card = ModelCard.load(path.with_suffix(".json")) if path.with_suffix(".json").is_file() else None
            if card is None or not _is_file(card.path) or not card.path.samefile(path):
                if card is not None:
                    raise CardError(f"{name}: the card beside {str(path)!r} describes another file, {card.file!r}")
                return path, None
    assert card is not None
    if card.task != task:
        raise CardError(f"{name}: expected a network of task {task!r}, the card of {card.name!r} says {card.task!r}")
    if not _is_file(card.path):
        raise ModelError(f"{name}: the card of {card.name!r} names {str(card.path)!r}, and there is no such file")
    card.verify()
    return card.path, card


def _by_name(name: str) -> ModelCard | None:
    path = MODELS / f"{name}.json"
    if os.sep in name or not _is_file(path):
        return None
    return ModelCard.load(path)


def _is_file(path: Path) -> bool:
    """Nor is what no file system would take for a name."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
