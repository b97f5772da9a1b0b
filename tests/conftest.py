"""No test tracks its runs, in this process or in those it starts, unless it asks for it."""

import os

os.environ["MLFLOW_TRACKING_URI"] = "off"
