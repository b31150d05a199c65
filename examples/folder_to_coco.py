"""A folder of photographs to COCO keypoint results: python examples/folder_to_coco.py folder results.json

The photographs of eight at a time share batches. A photograph's id is its number in the sorted folder."""

import json
import sys
from pathlib import Path

from toppose import Estimator

photographs = sorted(p for p in Path(sys.argv[1]).iterdir() if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
estimator = Estimator()
results = []
for first in range(0, len(photographs), 8):
    for i, poses in enumerate(estimator.predict(photographs[first : first + 8]), first):
        results += poses.to_coco(image_id=i)
Path(sys.argv[2]).write_text(json.dumps(results))
print(f"{len(results)} people in {len(photographs)} photographs")
