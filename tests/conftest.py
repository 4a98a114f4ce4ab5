"""One thread a test process: two run side by side, and sums then have one order."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
