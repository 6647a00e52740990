"""Which interpreter this is. Imports nothing compiled of ours: that, once loaded, would be lost to the main one."""


def is_main() -> bool:
    """Whether this is the process's main interpreter, not a sub-interpreter."""
    try:
        import ctypes
    except ModuleNotFoundError:  # a Python without it cannot be asked
        return True
    except ImportError:  # CPython 3.12's refuses sub-interpreters itself
        return False
    state = ctypes.PYFUNCTYPE(ctypes.c_void_p)
    current, main = (state((f"PyInterpreterState_{which}", ctypes.pythonapi)) for which in ("Get", "Main"))
    return bool(current() == main())
