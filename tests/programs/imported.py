"""Prints as JSON what the import has found, and what it has done. Any argument: on one core."""

import json
import os
import sys

import numpy as np  # noqa: F401 -- which has threads of its own

from own_threads import threads_of_process

if sys.argv[1:]:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
before = threads_of_process(), dict(os.environ)

import lstm_native  # noqa: E402

print(
    json.dumps(
        {
            "threads": lstm_native.get_num_threads(),
            "flush": lstm_native.get_flush_subnormals(),
            "isa": lstm_native.get_config()["isa"]["in_use"],
            "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
            "torch": "torch" in sys.modules,
            "nothing else": before == (threads_of_process(), dict(os.environ)),
        }
    )
)
