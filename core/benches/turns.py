"""Turns of `run true` through the Python package.

turns.py ROOT IMAGE MEMORY CPUS PIDS

A turn for each line of standard input, answered by a line with its time in milliseconds.
"""

import sys
import time

import sampan

root, image, memory, cpus, pids = sys.argv[1:]
limits = {"memory": int(memory), "cpus": float(cpus), "pids_limit": int(pids)}
sampan.use_engine(sampan.Engine(root=root))
for _ in sys.stdin:
    began = time.perf_counter()
    sampan.run(image, ["true"], check=True, network="none", **limits)
    print(f"{(time.perf_counter() - began) * 1e3:.3f}", flush=True)
