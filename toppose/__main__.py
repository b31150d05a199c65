"""`python -m toppose`."""

from __future__ import annotations

import sys

from toppose.cli import main

if __name__ == "__main__":
    sys.exit(main())
