"""ONNX Runtime behind three steps: cut by matrices, run, read. Comes in: images, matrices and a reader; goes out: what the reader makes of it."""

from toppose.runtime.backend import Backend, Look, Stages
from toppose.runtime.reader import Reader, Reading
from toppose.runtime.runtime import Engine, Runtime
from toppose.runtime.session import Session

__all__ = ["Backend", "Engine", "Look", "Reader", "Reading", "Runtime", "Session", "Stages"]
