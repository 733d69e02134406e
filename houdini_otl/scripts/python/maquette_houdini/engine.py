# SPDX-License-Identifier: MIT OR Apache-2.0
"""The library, loaded once in a session, and jobs under Houdini's interrupt."""

import functools

import hou

from . import native

# How often a job is asked how far it is, and Houdini whether Esc was pressed.
POLL_SECONDS = 0.1
# A job that is told to stop does so within 250 ms.
CANCEL_SECONDS = 2.0


@functools.lru_cache(maxsize=1)
def library():
    return native.Library()


@functools.lru_cache(maxsize=1)
def context():
    return library().context()


def run(request):
    """Runs a job to its end and returns it; Esc ends it, and raises hou.OperationInterrupted."""
    job = context().start(**request)
    try:
        with hou.InterruptableOperation("Image to 3D", request["name"], open_interrupt_dialog=True) as operation:
            while not job.wait(POLL_SECONDS):
                now = job.progress()
                step = min(now.step / now.step_count, 1.0) if now.step_count else 0.0
                operation.updateLongProgress(now.fraction, now.stage_name)
                operation.updateProgress(step)
    except hou.OperationInterrupted:
        job.cancel()
        job.wait(CANCEL_SECONDS)
        job.free()
        raise
    error = job.error()
    if error:
        raise error
    return job
