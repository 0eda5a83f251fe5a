"""Interactive panels: sliders whose observers set pictures, nothing else, so that headless runs never hang."""

from __future__ import annotations

from facedepth_kit.panels.degradation import DegradationPanel, degradation_panel
from facedepth_kit.panels.faces import EXPRESSIONS, FaceChoice

__all__ = ["EXPRESSIONS", "DegradationPanel", "FaceChoice", "degradation_panel"]
