"""A broker of one worker that records the longest steps of its event loop; `benchmarks.growth` starts it.

python -m benchmarks.step_worker serve --workers 1 [--config FILE]
"""

import gc
import time

import uvloop

from benchmarks.step_recorder import StepRecorder, recording_loop
from benchmarks.unsupervised_worker import main
from benchmarks.worker_report import publish

LONG_STEP = 0.010
"""Seconds: the goal is that no step takes longer."""

if __name__ == "__main__":
    recorder = StepRecorder(time.perf_counter, time.thread_time, over=LONG_STEP)
    uvloop.new_event_loop = lambda: recording_loop(recorder)
    gc.callbacks.append(recorder.on_collection)
    publish(recorder.report)
    main()
