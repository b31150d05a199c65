"""The small networks of models/graphs, which the device backend puts before and behind a user's network, and where models/ lies."""

from __future__ import annotations

from pathlib import Path

from toppose.runtime.session import Network, Session

_PACKAGE = Path(__file__).parents[1]
# in an installed package, and in a checkout
MODELS = next((p for p in (_PACKAGE / "models", _PACKAGE.parent / "models") if p.is_dir()), _PACKAGE / "models")


def graph_files() -> list[Path]:
    """All of them."""
    return sorted((MODELS / "graphs").glob("*.onnx"))


class Graphs:
    """They on the device of `session`, each loaded when it is first asked for."""

    def __init__(self, session: Session) -> None:
        kind, index = session.place
        self._device, self._threads = ("cpu" if kind == "cpu" else f"{kind}:{index}"), session.threads
        self._loaded: dict[str, Network] = {}

    def get(self, name: str) -> Network:
        if name not in self._loaded:
            self._loaded[name] = Network(MODELS / "graphs" / f"{name}.onnx", self._device, self._threads)
        return self._loaded[name]
