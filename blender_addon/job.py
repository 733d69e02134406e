# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs at work, and the operators that start them and wait without stopping Blender.

A *plan* is a generator that yields native jobs and is sent each of them back when it is done; what it returns is the
result. A *run* is a plan at work. In the user interface a modal operator asks it how far it is, ten times a second; in
background mode and from scripts the same operator waits for it.
"""

import time

import bpy

from . import native, preview, remedies

_POLL_SECONDS = 0.1

current = None  # the run at work, at most one
last_problem = None  # the exception that the sidebar shows
last_warnings = []  # what the last result's report warns about


class Run:
    """A plan at work."""

    def __init__(self, title, plan, job_count=1):
        self.title, self.job_count = title, max(job_count, 1)
        self.result, self.error, self.done = None, None, False
        self.started = time.monotonic()
        self._plan, self._job, self._index, self._cancelled = plan, None, -1, False
        self._advance(plan.__next__)

    @property
    def seconds(self):
        return time.monotonic() - self.started

    @property
    def stage(self):
        """What it is doing, in words."""
        if self.done or self._job is None:
            return ""
        if self._cancelled:
            return "cancelling"
        progress = self._job.progress()
        text = progress.stage_name
        if self.job_count > 1:
            text = "%d of %d, %s" % (self._index + 1, self.job_count, text)
        return text

    @property
    def fraction(self):
        """0 to 1."""
        if self.done:
            return 1.0
        within = self._job.progress().fraction if self._job else 0.0
        return min((self._index + within) / self.job_count, 1.0)

    def preview(self):
        """(revision, function that copies the preview mesh) of the job at work."""
        if self.done or self._job is None:
            return 0, None
        return (self._index, self._job.progress().preview_revision), self._job.preview

    def poll(self):
        """Goes on if the job at work has ended; True when the whole plan has."""
        if not self.done and self._job.progress().done:
            self._next()
        return self.done

    def wait(self, timeout_seconds):
        """As poll, after waiting up to this long."""
        if not self.done and self._job.wait(timeout_seconds):
            self._next()
        return self.done

    def cancel(self):
        """Asks the job at work to stop; the run ends within 250 ms."""
        self._cancelled = True
        if self._job is not None:
            self._job.cancel()

    def stop(self):
        """Cancels and lets go at once."""
        self.cancel()
        if not self.done:
            self._plan.close()
            self.error = native.Cancelled(native.ERROR_CANCELLED, "cancelled")
            self._end()

    def _next(self):
        job, error = self._job, self._job.error()
        if self._cancelled and error is None:
            error = native.Cancelled(native.ERROR_CANCELLED, "cancelled")
        if error is not None:
            self._advance(lambda: self._plan.throw(error))
        else:
            self._advance(lambda: self._plan.send(job))

    def _advance(self, step):
        try:
            self._job = step()
            self._index += 1
        except StopIteration as end:
            self.result = end.value
            self._end()
        except Exception as error:
            self.error = error
            self._end()

    def _end(self):
        self.done, self._job = True, None


def single(job):
    """The plan of one job."""
    return (yield job)


def stop_all():
    """Ends what is at work, for when the add-on goes."""
    global current
    if current is not None:
        current.stop()
        current = None
    preview.hide()


def clear_problem():
    global last_problem, last_warnings
    last_problem, last_warnings = None, []


def warn(operator, report, name=""):
    """Keeps what a result's report warns about for the sidebar, and says it."""
    for warning in report.get("warnings", ()):
        warning = "%s: %s" % (name, warning) if name else str(warning)
        last_warnings.append(warning)
        operator.report({"WARNING"}, warning)


class JobOperator:
    """Base of operators that run a plan.

    A subclass has `plan(context)`, which checks everything, starts the first job and returns a Run, and
    `finish(context, result)`, which changes the scene. Nothing is changed before `finish`, so a job that failed or was
    cancelled leaves the scene as it was, and one undo step is all there is.
    """

    # No REGISTER: the redo panel would compute everything again at each touch.
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context):
        if current is not None:
            cls.poll_message_set("Another Maquette job is at work; wait for it or cancel it")
            return False
        return True

    def plan(self, context):
        raise NotImplementedError

    def finish(self, context, result):
        raise NotImplementedError

    def preview_matrix(self, context, mesh):
        """Where the viewport shows the preview: engine space to world; None for not at all."""
        return None

    # ---- Waiting: scripts, background mode ----

    def execute(self, context):
        global current
        clear_problem()
        try:
            current = run = self.plan(context)
            while not run.wait(0.1):
                self.between(context)
            if run.error is not None:
                raise run.error
            self.finish(context, run.result)
        except KeyboardInterrupt:
            stop_all()
            raise
        except (native.Error, remedies.Problem) as error:
            return self._failed(error)
        finally:
            current = None
        return {"FINISHED"}

    # ---- Not waiting: the user interface ----

    def invoke(self, context, event):
        global current
        if bpy.app.background:
            return self.execute(context)
        clear_problem()
        try:
            current = self.plan(context)
        except (native.Error, remedies.Problem) as error:
            return self._failed(error)
        self._waits_for_object_mode = False
        manager = context.window_manager
        self._timer = manager.event_timer_add(_POLL_SECONDS, window=context.window)
        manager.modal_handler_add(self)
        preview.show()
        redraw(context)
        return {"RUNNING_MODAL"}

    def modal(self, context, event):
        run = current
        if run is None:  # the add-on was switched off
            self._clean_up(context)
            return {"CANCELLED"}
        if event.type == "ESC" and event.value == "PRESS" and not run.done:
            run.cancel()
            redraw(context)
            return {"RUNNING_MODAL"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        self.between(context)
        if not run.poll():
            self._show_progress(context, run)
            return {"PASS_THROUGH"}
        if run.error is None and context.mode != "OBJECT":
            # Objects cannot be made in the middle of editing; the artist says when.
            if not self._waits_for_object_mode:
                self._waits_for_object_mode = True
                context.workspace.status_text_set("Maquette is done: leave %s to get the result" % mode_name(context))
            return {"PASS_THROUGH"}
        self._clean_up(context)
        if run.error is not None:
            return self._failed(run.error)
        try:
            self.finish(context, run.result)
        except (native.Error, remedies.Problem) as error:
            return self._failed(error)
        return {"FINISHED"}

    def cancel(self, context):
        """Blender ends the operator: another file, or the end."""
        if current is not None:
            current.stop()
        self._clean_up(context)

    def between(self, context):
        """Called while the plan is at work, for results that arrive one by one."""

    def _show_progress(self, context, run):
        revision, fetch = run.preview()
        preview.update(revision, fetch, lambda mesh: self.preview_matrix(context, mesh))
        context.workspace.status_text_set(
            "Maquette: %s, %d %%, %d s      Esc: cancel" % (run.stage, run.fraction * 100, run.seconds)
        )
        redraw(context)

    def _clean_up(self, context):
        global current
        current = None
        if getattr(self, "_timer", None) is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        preview.hide()
        if context.workspace is not None:
            context.workspace.status_text_set(None)
        redraw(context)

    def _failed(self, error):
        global last_problem
        if isinstance(error, native.Cancelled):
            self.report({"INFO"}, "%s cancelled" % self.bl_label)
        else:
            last_problem = error
            self.report({"ERROR"}, str(error))
        return {"CANCELLED"}


def mode_name(context):
    return context.mode.replace("_", " ").title() + (" Mode" if "EDIT" in context.mode else "")


def redraw(context):
    """Draws every 3D viewport again, with its sidebar."""
    manager = context.window_manager
    for window in manager.windows if manager else ():
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()
