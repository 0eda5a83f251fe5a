"""The RealSense SDK's Python module, loaded when it is first needed: the cameras and the filters take it from here."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from facedepth_kit.common.errors import KitError


@lru_cache(maxsize=1)
def realsense_sdk() -> Any:
    """The ``pyrealsense2`` module, with libusb from the ``libusb_package`` wheel where the system has none.

    Raises :class:`KitError` where the SDK has no package for this platform or does not load.
    """
    try:
        return _import_sdk()
    except ModuleNotFoundError as error:
        raise KitError(
            f"RealSense SDK: found no module {error.name}, expected the extra cameras (not every platform has it)"
        ) from None
    except ImportError as error:
        if "libusb" not in str(error):
            raise KitError(f"RealSense SDK: found pyrealsense2 that does not load ({error})") from None
    # A system library wins, it knows the distribution's devices; only a bare system gets here.
    try:
        import ctypes

        import libusb_package

        path = libusb_package.get_library_path()
        if path is not None:
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        return _import_sdk()
    except (ImportError, OSError):
        raise KitError(
            "RealSense SDK: found no libusb-1.0, expected the package libusb-package or the system's libusb-1.0-0"
        ) from None


def _import_sdk() -> Any:
    import pyrealsense2

    return pyrealsense2
