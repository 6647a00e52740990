"""Which interpreter this is. Imports nothing compiled: once loaded, that would be lost to the main interpreter."""

import ctypes


def is_main() -> bool:
    """Whether this is the process's main interpreter, not a sub-interpreter."""
    state = ctypes.PYFUNCTYPE(ctypes.c_void_p)
    current, main = (state((f"PyInterpreterState_{which}", ctypes.pythonapi)) for which in ("Get", "Main"))
    return bool(current() == main())
