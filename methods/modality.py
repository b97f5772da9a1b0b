"""The two kinds of samples. This file imports nothing, so that records can be read without torch."""

from typing import Literal

Modality = Literal["image", "points"]
