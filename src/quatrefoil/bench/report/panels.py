"""All panels of the page."""

from __future__ import annotations

from quatrefoil.bench.report.panels_consortium import CONSORTIUM
from quatrefoil.bench.report.panels_serving import SERVING
from quatrefoil.bench.report.panels_training import TRAINING

PANELS = (*TRAINING, *CONSORTIUM, *SERVING)
