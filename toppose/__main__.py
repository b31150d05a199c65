"""`python -m toppose`."""

from __future__ import annotations

import sys

from toppose.cli import main

sys.exit(main())
