"""The people of a folder of photographs (or of a video) as a table: python examples/folder_to_parquet.py folder people.parquet

Needs pip install 'toppose[parquet]'. Reading, networks and writing work side by side."""

import sys

from toppose import Estimator
from toppose.results import open_writer

source, target = sys.argv[1:3]
estimator = Estimator()
people = 0
with estimator.stream(source) as frames, open_writer(target, format="parquet", skeleton=estimator.skeleton) as writer:
    for frame in frames:
        writer.write(frame)
        people += len(frame.poses)
print(f"{people} people, {frames.source.lost} photographs could not be read")
