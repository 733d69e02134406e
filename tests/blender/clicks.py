"""Drives Blender's window with a real mouse and keyboard: python clicks.py PACKAGE.zip FOLDER_FOR_SCREENSHOTS

Made for Blender 3.4 as Debian 12 has it, on a screen of 1400 x 1000; places are in pixels of that screen.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PICTURE = os.path.join(ROOT, "examples", "bird.png")

TAB = (1143, 210)  # "Maquette" beside the sidebar
EDGE = (935, 400)  # of the sidebar, to drag
IMAGE_TO_3D = (1000, 528)
CANCEL = (1063, 585)
DISMISS = (1105, 612)
RETEXTURE = (1000, 651)
RERUN_WITH = (1000, 694)
VIEWPORT = (300, 750)
PATIENCE = 180  # seconds; CI machines are slow


class Window:
    """Blender under Xvfb."""

    def __init__(self, package, shots):
        self.shots, self._folder = shots, tempfile.mkdtemp()
        os.makedirs(shots, exist_ok=True)
        self._state_path = os.path.join(self._folder, "state.json")
        display = next(n for n in range(80, 200) if not os.path.exists("/tmp/.X%d-lock" % n))
        self._env = dict(
            os.environ,
            DISPLAY=":%d" % display,
            HOME=self._folder,
            PATH="/usr/local/bin:/usr/bin:/bin",  # Debian's Blender takes the first python3 for its own
            XDG_CACHE_HOME=os.path.join(self._folder, "cache"),
            BLENDER_USER_RESOURCES=os.path.join(self._folder, "blender"),
            LIBGL_ALWAYS_SOFTWARE="1",
        )
        self._xvfb = subprocess.Popen(
            ["Xvfb", self._env["DISPLAY"], "-screen", "0", "1400x1000x24", "+extension", "GLX"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(2)
        watched = os.path.join(os.path.dirname(os.path.abspath(__file__)), "watched.py")
        self._log = open(os.path.join(shots, "blender.log"), "w+")
        self._blender = subprocess.Popen(
            ["blender", "--factory-startup", "-p", "0", "0", "1400", "1000", "--python", watched]
            + ["--", package, PICTURE, self._state_path],
            env=self._env,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def close(self):
        for process in (self._blender, self._xvfb):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def log(self):
        self._log.flush()
        with open(self._log.name) as file:
            return file.read()

    def state(self):
        try:
            with open(self._state_path) as file:
                return json.load(file)
        except (OSError, ValueError):
            return None

    def fresh(self):
        """The state after everything that was sent until now."""
        old = self.state()
        return self.until(lambda state: state["tick"] >= (old["tick"] if old else 0) + 2, "Blender answers")

    def until(self, condition, what, again=None, every=6.0, patience=PATIENCE):
        """Waits for a state; does `again` from time to time, as a slow window loses clicks."""
        start = last = time.monotonic()
        while True:
            state = self.state()
            if state is not None and condition(state):
                return state
            now = time.monotonic()
            if self._blender.poll() is not None:
                raise AssertionError("Blender ended while waiting until %s" % what)
            if now - start > patience:
                self.shot("failed")
                raise AssertionError("not in %d s: %s; there is %s" % (patience, what, state))
            if again is not None and now - last > every:
                again()
                last = time.monotonic()
            time.sleep(0.1)

    def _xdotool(self, *words):
        subprocess.run(["xdotool", *map(str, words)], env=self._env, check=True, timeout=20)

    def move(self, place):
        self._xdotool("mousemove", *place)
        time.sleep(0.4)

    def click(self, place):
        self.move((place[0] - 4, place[1] - 2))
        self.move(place)
        self._xdotool("click", 1)
        time.sleep(0.4)

    def drag(self, start, end):
        self.move(start)
        self._xdotool("mousedown", 1)
        time.sleep(0.3)
        for k in range(1, 6):
            self.move((start[0] + (end[0] - start[0]) * k // 5, start[1]))
        self._xdotool("mouseup", 1)
        time.sleep(0.4)

    def key(self, name):
        self._xdotool("key", name)
        time.sleep(0.4)

    def shot(self, name):
        """A screenshot, where there is something to take it with."""
        if shutil.which("import"):
            path = os.path.join(self.shots, name + ".png")
            subprocess.run(["import", "-window", "root", path], env=self._env, check=False, timeout=30)


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def walk(window):
    """An artist's first ten minutes."""
    window.until(lambda s: s["picture"] == "bird.png", "the add-on is there and has the picture")
    window.until(lambda s: s["drawn"] > 0, "the sidebar shows Maquette", lambda: window.click(TAB))
    start = window.state()["sidebar"]
    window.until(
        lambda s: s["sidebar"] > start + 50, "the sidebar is wider", lambda: window.drag(EDGE, (860, 400)), every=3
    )
    window.shot("sidebar")

    # Esc stops the job; the scene is as it was.
    before = window.fresh()
    start_job(window)
    window.until(lambda s: s["preview"] and s["fraction"] > 0.15, "the mesh takes shape")
    window.move(VIEWPORT)
    window.shot("working")
    # Blender stays usable: what Esc ends here is the artist's own work, not the job.
    window.key("a")
    window.until(lambda s: s["selected"] == 2, "select all works", lambda: window.key("a"))
    window.key("g")
    window.move((500, 700))
    window.key("Escape")
    state = window.fresh()
    check(state["run"] == "Image to 3D", "Esc out of a transform must not stop the job: %s" % state)
    check(state["camera"] == before["camera"], "the transform was not undone: %s" % state)
    window.move(VIEWPORT)
    asked = time.monotonic()
    window.key("Escape")
    state = window.until(lambda s: s["run"] is None, "Esc stops the job", patience=20)
    print("cancelled within %.1f s" % (time.monotonic() - asked))
    check(not state["meshes"] and not state["problem"], "something was left: %s" % state)

    # The button stops it too.
    start_job(window)
    window.until(lambda s: s["run"] is None, "Cancel stops the job", lambda: window.click(CANCEL), every=1)
    check(not window.fresh()["meshes"], "something was left after Cancel")

    # To the end; one undo step.
    start_job(window)
    state = window.until(lambda s: s["run"] is None and s["meshes"], "the object is there")
    check(list(state["meshes"]) == ["bird"] and not state["problem"], "wrong result: %s" % state)
    window.move(VIEWPORT)
    window.fresh()
    time.sleep(3)
    window.shot("result")
    window.key("ctrl+z")
    window.until(lambda s: not s["meshes"], "one undo step takes it away", patience=20)
    check(window.fresh()["picture"] == "bird.png", "undo took more than the object")
    window.key("ctrl+shift+z")
    window.until(lambda s: list(s["meshes"]) == ["bird"], "redo brings it back", patience=20)

    # Refine in place, and undo that.
    texture = window.fresh()["textures"]
    window.until(lambda s: s["run"] == "Retexture", "Retexture starts", lambda: window.click(RETEXTURE), every=2)
    state = window.until(lambda s: s["run"] is None, "Retexture ends")
    check(state["textures"] != texture and not state["problem"], "no new texture: %s" % state)
    window.move(VIEWPORT)
    window.fresh()
    window.shot("retextured")
    window.key("ctrl+z")
    window.until(lambda s: s["textures"] == texture, "one undo step brings the old texture back", patience=20)

    # The dialog of Rerun with..., taken as it is: everything comes from the cache.
    def rerun():
        window.click(RERUN_WITH)
        time.sleep(2)
        window.key("Return")

    window.until(lambda s: s["textures"] != texture, "Rerun gives new textures", rerun, every=15)
    state = window.until(lambda s: s["run"] is None, "Rerun ends")
    check(list(state["meshes"]) == ["bird"] and not state["problem"], "wrong result: %s" % state)


def start_job(window):
    window.until(
        lambda s: s["run"] == "Image to 3D", "Image to 3D starts", lambda: window.click(IMAGE_TO_3D), every=2
    )


def main():
    window = Window(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]))
    try:
        walk(window)
        check("Traceback" not in window.log(), "errors in Blender's console:\n" + window.log())
        print("clicks: all passed; screenshots in", window.shots)
    except AssertionError as error:
        print("clicks:", error, "\n", window.log()[-3000:], file=sys.stderr)
        sys.exit(1)
    finally:
        window.close()


if __name__ == "__main__":
    main()
