"""Interactive panels: sliders whose observers set pictures, nothing else, so that headless runs never hang."""

from __future__ import annotations

from facedepth_kit.panels.compare import EnhancerPanel, enhancer_panel
from facedepth_kit.panels.degradation import DegradationPanel, degradation_panel
from facedepth_kit.panels.faces import EXPRESSIONS, FaceChoice
from facedepth_kit.panels.pad import PadPanel, landmark_picture, pad_panel
from facedepth_kit.panels.specimens import Specimen, first_of_each, from_file, from_recordings, synthetic

__all__ = [
    "EXPRESSIONS",
    "DegradationPanel",
    "EnhancerPanel",
    "FaceChoice",
    "PadPanel",
    "Specimen",
    "degradation_panel",
    "enhancer_panel",
    "first_of_each",
    "from_file",
    "from_recordings",
    "landmark_picture",
    "pad_panel",
    "synthetic",
]
