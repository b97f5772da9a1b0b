"""No test tracks its runs or knows an old cache, in this process or in those it starts, unless it asks for it."""

import os
import tempfile

_cache = tempfile.TemporaryDirectory(prefix="peft-vision-bench-")  # which goes with this process
os.environ["MLFLOW_TRACKING_URI"] = "off"
os.environ["PEFT_BENCH_CACHE"] = _cache.name
