"""Many pictures in a row: sources, people who keep their identity, less jitter. Comes in: whatever has frames; go out: `Frame`s."""

from toppose.video.frame import Frame

__all__ = ["Frame"]
