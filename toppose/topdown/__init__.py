"""People one by one: comes in images and boxes; go out joints in image pixels and their scores."""

from toppose.topdown.estimate import TopDown
from toppose.topdown.pipeline import Pipeline

__all__ = ["Pipeline", "TopDown"]
