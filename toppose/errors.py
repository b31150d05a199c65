"""Every exception that toppose raises on purpose.

TopposeError
├── ImageError (ValueError)       an image that cannot be read or is not one
├── SourceError (RuntimeError)    a video, camera, address or folder that cannot be opened or read
├── BoxError (ValueError)         boxes of the wrong shape, count or content
├── OptionError (ValueError)      an option out of range or unknown
├── PoseError (ValueError)        arrays that do not make `Poses`
├── CardError (ValueError)        a model card that is missing, wrong or does not fit its network
├── ModelError (RuntimeError)     a network that is unknown, cannot be loaded or cannot be run
├── EvaluationError (ValueError)  a data set that cannot be evaluated on
├── ResultError (ValueError)      a file of poses that cannot be read back, or frames that a format cannot hold
├── DetectorError (RuntimeError)  a detector that returned what are not boxes
├── DeviceError (RuntimeError)    a device that was asked for and does not really run
│   └── OutOfMemory (MemoryError) its memory is full even for one person
└── MissingDependency (ImportError)  an extra that is not installed
"""

from __future__ import annotations


class TopposeError(Exception):
    """The root of the tree: `except toppose.TopposeError` catches them all."""


class ImageError(TopposeError, ValueError):
    """An image that cannot be read or is not one."""


class SourceError(TopposeError, RuntimeError):
    """A video, camera, address or folder that cannot be opened or read."""


class BoxError(TopposeError, ValueError):
    """Boxes of the wrong shape, count or content."""


class OptionError(TopposeError, ValueError):
    """An option out of range or unknown."""


class PoseError(TopposeError, ValueError):
    """Arrays that do not make `Poses`."""


class CardError(TopposeError, ValueError):
    """A model card that is missing, wrong or does not fit its network."""


class ModelError(TopposeError, RuntimeError):
    """A network that is unknown, cannot be loaded or cannot be run."""


class EvaluationError(TopposeError, ValueError):
    """A data set, or a file of boxes, that cannot be evaluated on."""


class ResultError(TopposeError, ValueError):
    """A file of poses that cannot be read back, or a frame that its format cannot hold."""


class DetectorError(TopposeError, RuntimeError):
    """A detector that returned what are not boxes."""


class DeviceError(TopposeError, RuntimeError):
    """A device that was asked for and does not really run."""


class OutOfMemory(DeviceError, MemoryError):
    """The device has no room left. A batch that does not fit is halved first; this is raised when one row alone does not."""


class MissingDependency(TopposeError, ImportError):
    """An optional package that is not installed; the message has the install command."""
