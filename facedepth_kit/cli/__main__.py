"""``python -m facedepth_kit.cli`` is the ``facedepth`` command."""

from __future__ import annotations

import sys

from facedepth_kit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
