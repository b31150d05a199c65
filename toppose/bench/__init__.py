"""How fast it is here, as ratios within one run: one call against the bare networks, a stream against a plain loop."""

from toppose.bench.calls import describe, measure
from toppose.bench.streams import describe_stream, measure_stream

__all__ = ["describe", "describe_stream", "measure", "measure_stream"]
