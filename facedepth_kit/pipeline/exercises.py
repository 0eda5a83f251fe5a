"""Cells that a reader fills in, and whether what stands there is right."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

OPEN = "No answer yet: fill in the cell above, run it, then run this one again."
RIGHT = "Right."
WRONG = "Not yet: {given!r} is not it. Try again, or unfold the solution."


def check(given: Any, answer: Any, *, tolerance: float = 0.0) -> str:
    """Say whether a reader's answer is right, without telling the right one.

    ``answer`` is a number (within ``tolerance``, relative), a text, or a set of texts in any order. ``given`` None,
    ``...`` or empty means that nobody has answered yet.
    """
    if given is None or given is ... or (isinstance(given, Collection) and not given):
        return OPEN
    return RIGHT if _same(given, answer, tolerance) else WRONG.format(given=given)


def _same(given: Any, answer: Any, tolerance: float) -> bool:
    if isinstance(answer, str):
        return str(given).strip().casefold() == answer.casefold()
    if isinstance(answer, Collection):
        texts = [given] if isinstance(given, str) else given
        return {str(one).strip().casefold() for one in texts} == {str(one).casefold() for one in answer}
    try:
        return math.isclose(float(given), float(answer), rel_tol=tolerance, abs_tol=1e-12)
    except (TypeError, ValueError):
        return False
