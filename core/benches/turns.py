"""Turns of `run true` through the Python package.

turns.py ROOT IMAGE

A turn for each line of standard input, answered by a line with its time in milliseconds.
"""

import sys
import time

import sampan

sampan.use_engine(sampan.Engine(root=sys.argv[1]))
for _ in sys.stdin:
    began = time.perf_counter()
    sampan.run(sys.argv[2], ["true"], check=True)
    print(f"{(time.perf_counter() - began) * 1e3:.3f}", flush=True)
