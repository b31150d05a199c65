"""Where networks run, as the user chose it once for all networks of an `Estimator`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toppose.errors import ModelError
from toppose.runtime.backend import Backend, Look
from toppose.runtime.device import DeviceBackend
from toppose.runtime.host import HostBackend
from toppose.runtime.providers import Precision
from toppose.runtime.reader import Found, Reader
from toppose.runtime.session import Session

Engine = Literal["auto", "host", "device"]


@dataclass(frozen=True)
class Runtime:
    """device: "auto", "cpu", "cuda", "cuda:1" or "tensorrt". engine: the backend, "auto" for the device's where that is a GPU."""

    device: str = "auto"
    engine: Engine = "auto"
    threads: int | None = None
    precision: Precision = "fp32"

    def load(self, path: Path, name: str) -> Session:
        """The network; `name` is what errors call the argument."""
        try:
            return Session(path, self.device, self.threads, self.precision, capture=self.engine != "host")
        except ModelError as e:
            raise ModelError(f"{name}: {e}") from None

    def backend(
        self,
        session: Session,
        look: Look,
        reader: Reader[Found],
        called: str,
        batch_size: int,
        runs: int | None = None,
        flip_test: bool = False,
    ) -> Backend[Found]:
        """The network behind its three steps."""
        on_device = self.engine == "device" or (self.engine == "auto" and not session.on_cpu)
        kind = DeviceBackend if on_device else HostBackend
        return kind(session, look, reader, called, batch_size, runs, flip_test)
