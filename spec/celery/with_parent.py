"""Runs `celery` with the given arguments, and takes its whole process group down when its input ends: with the spec."""
import os
import signal
import sys
import threading

from celery.bin.celery import main


def watch():
    """Blocks until the spec's end of the pipe is closed."""
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=watch, daemon=True).start()
    sys.argv = ["celery", *sys.argv[1:]]
    sys.exit(main())
