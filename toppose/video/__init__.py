"""Many pictures in a row: sources, people who keep their identity, less jitter. Comes in: whatever has frames; go out: `Frame`s."""

from toppose.video.frame import Frame
from toppose.video.opening import open_source
from toppose.video.smooth import OneEuro, smooth_recording
from toppose.video.stream import Stream
from toppose.video.track import Tracker

__all__ = ["Frame", "OneEuro", "Stream", "Tracker", "open_source", "smooth_recording"]
