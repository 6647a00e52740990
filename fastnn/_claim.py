"""One thread at a time: for what is written by a fit, and by the passes of the reference engine."""

import os
import threading


class Claim:
    """Held by one thread, which may take it again; another one is refused, not kept waiting.

    Examples
    --------
    >>> claim = Claim()
    >>> with claim, claim:
    ...     pass
    """

    def __init__(self) -> None:
        self._lock, self._process = threading.RLock(), os.getpid()

    def __enter__(self) -> None:
        if self._process != os.getpid():  # the thread that held it is not in the child of a fork
            self._lock, self._process = threading.RLock(), os.getpid()
        if not self._lock.acquire(blocking=False):
            raise RuntimeError("this network is being trained or evaluated by another thread; use one network a thread")

    def __exit__(self, *_: object) -> None:
        self._lock.release()
