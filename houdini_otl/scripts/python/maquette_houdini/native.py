# SPDX-License-Identifier: MIT OR Apache-2.0
"""Maquette in Python: the library of cpp/include/maquette.h through ctypes.

Needs the standard library alone, and knows no host: the Blender add-on and the Houdini asset use this same file.

    library = Library()
    with library.context() as context:
        job = context.start(picture="photo.png", recipe={"preset": "draft", "seed": 7})
        while not job.wait(0.1):
            print(job.progress().stage_name)
        mesh = job.mesh()
        job.save("photo.glb")

The library never calls back into Python: ask a job how far it is from a timer or an operator, on any thread. No call but
`Job.wait` and `Library.mesh_sdf` waits for work, and all release the interpreter lock. Results are copies and stay valid; arrays are flat
memoryviews of 'f' (floats), 'I' (indices) or 'B' (pixels), which numpy.frombuffer and Blender's foreach_set take as they
are. Space: right-handed, +Y up, front +Z, metres; row 0 of a picture on top; texture coordinates from bottom-left.
"""

import atexit
import ctypes
import json
import os
import sys
import weakref

ABI_MAJOR, ABI_MINOR = 1, 0

OK, PENDING = 0, 1
ERROR_INTERNAL = -1
ERROR_INVALID_ARGUMENT = -2
ERROR_INVALID_HANDLE = -3
ERROR_ABI_MISMATCH = -4
ERROR_BUSY = -5
ERROR_CANCELLED = -6
ERROR_OUT_OF_MEMORY = -7
ERROR_NO_DEVICE = -8
ERROR_DEVICE_LOST = -9
ERROR_WEIGHTS = -10
ERROR_IO = -11

DEVICE_CPU, DEVICE_CUDA = 1, 2

STAGE_QUEUED, STAGE_DONE = 0, 10

IMAGE_BASE_COLOR, IMAGE_NORMAL_MAP, IMAGE_CUTOUT = 1, 2, 3

_LONGEST_WAIT = 0xFFFFFFFE  # milliseconds; one more would be for ever


class Error(Exception):
    """A call or a job that failed. The text says what was wrong and what to do."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Cancelled(Error):
    """The job was cancelled."""


# ---- Values ----


class Image:
    """A picture: 8-bit sRGB with straight alpha, row 0 on top. `rgba`: any buffer of height * width * 4 bytes."""

    def __init__(self, width, height, rgba):
        self.width, self.height, self.rgba = int(width), int(height), rgba

    def flipped(self):
        """The same picture with row 0 at the bottom, as Blender and Houdini keep theirs, or back again."""
        row, rows = self.width * 4, memoryview(self.rgba).cast("B")
        turned = b"".join(rows[k * row : (k + 1) * row] for k in reversed(range(self.height)))
        return Image(self.width, self.height, memoryview(turned))


class Mesh:
    """A triangle mesh as flat buffers: 32-bit floats and 32-bit indices.

    positions   x y z of every vertex
    triangles   three vertices of every triangle, counter-clockwise seen from outside
    normals     x y z of every vertex, or None
    corner_uvs  u v of every corner of every triangle, or None
    """

    def __init__(self, positions, triangles, normals=None, corner_uvs=None):
        self.positions, self.triangles, self.normals, self.corner_uvs = positions, triangles, normals, corner_uvs

    @property
    def vertex_count(self):
        return memoryview(self.positions).nbytes // 12

    @property
    def triangle_count(self):
        return memoryview(self.triangles).nbytes // 12


class Camera:
    """A pinhole camera over an image: focal lengths and centre in pixels, 16 numbers camera to world, rows first."""

    def __init__(self, focal_px, center_px, world_from_camera):
        self.focal_px, self.center_px = tuple(focal_px), tuple(center_px)
        self.world_from_camera = tuple(world_from_camera)


class View:
    """A posed picture of the object, whose alpha is the object's mask.

    With a camera the angles are not read; without one the camera is that of the six views: 30 degrees of view from 1.866 m.
    `normal` holds unit normals in world space as rgb = n * 0.5 + 0.5.
    """

    def __init__(self, azimuth_degrees, elevation_degrees, color, normal=None, camera=None):
        self.azimuth_degrees, self.elevation_degrees = azimuth_degrees, elevation_degrees
        self.color, self.normal, self.camera = color, normal, camera


class Progress:
    """How far a job is. `fraction` is 1 when and only when it succeeded; `preview_revision` grows with every preview."""

    def __init__(self, status, stage, stage_name, step, step_count, fraction, preview_revision):
        self.status, self.stage, self.stage_name = status, stage, stage_name
        self.step, self.step_count, self.fraction = step, step_count, fraction
        self.preview_revision = preview_revision

    @property
    def done(self):
        """True when the job has ended, well or not."""
        return self.status != PENDING


class Device:
    """Something that runs jobs. `note` says why it cannot be used, else it is empty."""

    def __init__(self, index, kind, name, memory_bytes, note):
        self.index, self.kind, self.name, self.memory_bytes, self.note = index, kind, name, memory_bytes, note


# ---- maquette.h ----


class _DeviceInfo(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("kind", ctypes.c_uint32),
        ("memory_bytes", ctypes.c_uint64),
        ("name", ctypes.c_char * 128),
        ("note", ctypes.c_char * 256),
    ]


class _ContextConfig(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("device_index", ctypes.c_uint32),
        ("threads", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("cache_dir", ctypes.c_char_p),
    ]


class _Image(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("rgba", ctypes.c_void_p),
    ]


class _Mesh(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("vertex_count", ctypes.c_uint64),
        ("triangle_count", ctypes.c_uint64),
        ("positions", ctypes.c_void_p),
        ("normals", ctypes.c_void_p),
        ("triangles", ctypes.c_void_p),
        ("corner_uvs", ctypes.c_void_p),
    ]


class _Camera(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("focal_px", ctypes.c_float * 2),
        ("center_px", ctypes.c_float * 2),
        ("world_from_camera", ctypes.c_float * 16),
    ]


class _View(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("azimuth_degrees", ctypes.c_float),
        ("elevation_degrees", ctypes.c_float),
        ("color", ctypes.POINTER(_Image)),
        ("normal", ctypes.POINTER(_Image)),
        ("camera", ctypes.POINTER(_Camera)),
    ]


class _Request(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("view_count", ctypes.c_uint32),
        ("picture", ctypes.POINTER(_Image)),
        ("views", ctypes.POINTER(_View)),
        ("mesh", ctypes.POINTER(_Mesh)),
        ("recipe", ctypes.c_char_p),
        ("name", ctypes.c_char_p),
        ("picture_path", ctypes.c_char_p),
        ("views_path", ctypes.c_char_p),
        ("mesh_path", ctypes.c_char_p),
    ]


class _Progress(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("stage", ctypes.c_uint32),
        ("step", ctypes.c_uint32),
        ("step_count", ctypes.c_uint32),
        ("fraction", ctypes.c_float),
        ("preview_revision", ctypes.c_uint32),
    ]


STRUCTS = {
    "maq_device_info": _DeviceInfo,
    "maq_context_config": _ContextConfig,
    "maq_image": _Image,
    "maq_mesh": _Mesh,
    "maq_camera": _Camera,
    "maq_view": _View,
    "maq_request": _Request,
    "maq_progress": _Progress,
}

_u32, _size, _char_p, _status = ctypes.c_uint32, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_int32
_pointer = ctypes.POINTER
# A buffer for text is written to, so it is not a c_char_p.
_buffer = ctypes.c_void_p

FUNCTIONS = {
    "maq_abi": (_u32, []),
    "maq_version": (_char_p, []),
    "maq_status_name": (_char_p, [_status]),
    "maq_stage_name": (_char_p, [_u32]),
    "maq_last_error": (_size, [_buffer, _size]),
    "maq_recipe_resolve": (_size, [_char_p, _buffer, _size]),
    "maq_recipe_schema": (_size, [_buffer, _size]),
    "maq_mesh_sdf": (_status, [_pointer(_Mesh), _u32, ctypes.c_float, ctypes.c_void_p, _size]),
    "maq_device_count": (_status, [_pointer(_u32)]),
    "maq_device_get": (_status, [_u32, _pointer(_DeviceInfo)]),
    "maq_context_config_init": (_status, [_pointer(_ContextConfig), _u32]),
    "maq_context_new": (_status, [_u32, _pointer(_ContextConfig), _pointer(_u32)]),
    "maq_context_free": (None, [_u32]),
    "maq_request_init": (_status, [_pointer(_Request), _u32]),
    "maq_job_start": (_status, [_u32, _pointer(_Request), _pointer(_u32)]),
    "maq_job_poll": (_status, [_u32, _pointer(_Progress)]),
    "maq_job_wait": (_status, [_u32, _u32]),
    "maq_job_cancel": (None, [_u32]),
    "maq_job_error": (_size, [_u32, _buffer, _size]),
    "maq_job_preview": (_status, [_u32, _pointer(_Mesh)]),
    "maq_job_mesh": (_status, [_u32, _pointer(_Mesh)]),
    "maq_job_image": (_status, [_u32, _u32, _pointer(_Image)]),
    "maq_job_view_count": (_status, [_u32, _pointer(_u32)]),
    "maq_job_view": (_status, [_u32, _u32, _pointer(_View)]),
    "maq_job_report": (_size, [_u32, _buffer, _size]),
    "maq_job_save": (_status, [_u32, _char_p]),
    "maq_job_save_image": (_status, [_u32, _u32, _char_p]),
    "maq_job_free": (None, [_u32]),
}


# ---- Library, context, job ----


def find_library():
    """Path of the library: $MAQUETTE_LIBRARY, else beside this file, else in a folder `lib` of one of the folders above."""
    given = os.environ.get("MAQUETTE_LIBRARY")
    if given:
        return given
    name = {"win32": "maquette.dll", "darwin": "libmaquette.dylib"}.get(sys.platform, "libmaquette.so")
    folder = os.path.dirname(os.path.abspath(__file__))
    places = [folder]
    for _ in range(4):
        places.append(os.path.join(folder, "lib"))
        folder = os.path.dirname(folder)
    for place in places:
        path = os.path.join(place, name)
        if os.path.isfile(path):
            return path
    raise Error(
        ERROR_IO,
        "%s is not in %s; install the package for this platform again, or set MAQUETTE_LIBRARY to the file"
        % (name, " or ".join(places)),
    )


class Library:
    """The loaded library."""

    def __init__(self, path=None):
        self.path = path or find_library()
        try:
            self._c = ctypes.CDLL(self.path)
            for name, (result, arguments) in FUNCTIONS.items():
                function = getattr(self._c, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError) as error:
            raise Error(ERROR_IO, "%s cannot be loaded: %s" % (self.path, error)) from error
        found = self._c.maq_abi()
        if found >> 16 != ABI_MAJOR:
            raise Error(
                ERROR_ABI_MISMATCH,
                "%s has ABI %d.%d, but %d is needed; install library and front end of the same version"
                % (self.path, found >> 16, found & 0xFFFF, ABI_MAJOR),
            )
        self.version = self._c.maq_version().decode()
        self._jobs = weakref.WeakSet()
        # The interpreter must not end while a worker is in the middle of something.
        atexit.register(_cancel_all, self._jobs)

    def devices(self):
        """Every device; 0 is the CPU."""
        count = ctypes.c_uint32()
        self._check(self._c.maq_device_count(ctypes.byref(count)))
        devices = []
        for index in range(count.value):
            info = _sized(_DeviceInfo)
            self._check(self._c.maq_device_get(index, ctypes.byref(info)))
            name, note = info.name.decode(), info.note.decode()
            devices.append(Device(index, info.kind, name, info.memory_bytes, note))
        return devices

    def resolve_recipe(self, recipe=None):
        """The whole recipe that a partial one (dict or JSON) stands for; raises when it is wrong."""
        return json.loads(self._text(self._c.maq_recipe_resolve, _recipe_text(recipe)))

    def recipe_schema(self):
        """JSON Schema of the recipe: names, types, ranges, defaults, help."""
        return json.loads(self._text(self._c.maq_recipe_schema))

    def mesh_sdf(self, mesh, resolution, reach=float("inf")):
        """Signed distances in metres over the cube from -0.5 to 0.5: (resolution + 1)^3 values of 'f', x fastest, then y.

        Negative inside. Distances above `reach` are given as `reach`; a few cells are much faster. Waits for the work.
        """
        keep = []
        count = (min(max(resolution, 0), 1023) + 1) ** 3
        values = (ctypes.c_float * count)()
        given = ctypes.byref(_mesh(mesh, keep))
        self._check(self._c.maq_mesh_sdf(given, resolution, reach, ctypes.cast(values, ctypes.c_void_p), count))
        return memoryview(values).cast("B").cast("f")

    def status_name(self, status):
        return self._c.maq_status_name(status).decode()

    def stage_name(self, stage):
        return self._c.maq_stage_name(stage).decode()

    def context(self, device_index=0, threads=0, cache_dir=None):
        """A device and a queue of jobs, which run one after another.

        threads: CPU threads of a job; 0: one for each core. cache_dir: None for the user's cache folder, "" for no cache.
        """
        config = _sized(_ContextConfig)
        config.device_index, config.threads = device_index, threads
        config.cache_dir = None if cache_dir is None else _path(cache_dir)
        handle = ctypes.c_uint32()
        abi = ABI_MAJOR << 16 | ABI_MINOR
        self._check(self._c.maq_context_new(abi, ctypes.byref(config), ctypes.byref(handle)))
        return Context(self, handle.value)

    def _check(self, status):
        if status != OK:
            raise self._error(status)

    def _error(self, status):
        size = self._c.maq_last_error(None, 0)
        text = ctypes.create_string_buffer(size)
        self._c.maq_last_error(text, size)
        return (Cancelled if status == ERROR_CANCELLED else Error)(status, text.value.decode())

    def _text(self, function, *arguments):
        """Text of a function with the two-call protocol."""
        size = 0
        while True:
            text = ctypes.create_string_buffer(size) if size else None
            needed = function(*arguments, text, size)
            if needed == 0:
                raise self._error(ERROR_INVALID_ARGUMENT)
            if needed <= size:
                return text.value.decode()
            size = needed


class Context:
    """A queue of jobs. Closing it lets jobs that were started go on."""

    def __init__(self, library, handle):
        self.library, self._handle = library, handle

    def start(self, picture=None, views=None, mesh=None, recipe=None, name=None):
        """Starts a job and returns it at once.

        picture  path of a file, or Image
        views    path of a folder, or list of View
        mesh     path of a file, or Mesh: with views, or with a picture of its front, it gets a new texture and keeps
                 vertices and texture coordinates
        recipe   dict or JSON, whole or partial
        name     of the object; else the stem of the picture's or mesh's file
        """
        request = _sized(_Request)
        keep = []  # everything the request points to
        if isinstance(picture, Image):
            request.picture = ctypes.pointer(_image(picture, "picture", keep))
        elif picture is not None:
            request.picture_path = _path(picture)
        if isinstance(mesh, Mesh):
            request.mesh = ctypes.pointer(_mesh(mesh, keep))
        elif mesh is not None:
            request.mesh_path = _path(mesh)
        if isinstance(views, (list, tuple)):
            array = (_View * len(views))(*[_view(view, keep) for view in views])
            keep.append(array)
            request.views, request.view_count = array, len(views)
        elif views is not None:
            request.views_path = _path(views)
        request.recipe = _recipe_text(recipe)
        request.name = None if name is None else name.encode()
        handle = ctypes.c_uint32()
        library = self.library
        library._check(library._c.maq_job_start(self._handle, ctypes.byref(request), ctypes.byref(handle)))
        job = Job(library, handle.value)
        library._jobs.add(job)
        return job

    def close(self):
        self.library._c.maq_context_free(self._handle)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()


class Job:
    """A job at work or its result. Results raise while the job is at work, and when it failed."""

    def __init__(self, library, handle):
        self.library, self._handle = library, handle
        self._c = library._c

    def progress(self):
        """How far the job is; never waits."""
        now = _sized(_Progress)
        status = self._c.maq_job_poll(self._handle, ctypes.byref(now))
        if status == ERROR_INVALID_HANDLE:
            raise self.library._error(status)
        name = self.library.stage_name(now.stage)
        return Progress(status, now.stage, name, now.step, now.step_count, now.fraction, now.preview_revision)

    def wait(self, timeout_seconds=None):
        """True when the job has ended, well or not; None waits for that. Keeps the interpreter free."""
        timeout = 200 if timeout_seconds is None else min(max(int(timeout_seconds * 1000), 0), _LONGEST_WAIT)
        status = self._c.maq_job_wait(self._handle, timeout)
        while timeout_seconds is None and status == PENDING:  # in turns, so that Ctrl-C is seen
            status = self._c.maq_job_wait(self._handle, timeout)
        if status == ERROR_INVALID_HANDLE:
            raise self.library._error(status)
        return status != PENDING

    def cancel(self):
        """Asks the job to stop; it does within 250 ms."""
        self._c.maq_job_cancel(self._handle)

    def error(self):
        """What the job failed with, as an exception that was not raised; None while it is at work or when it succeeded."""
        status = self.progress().status
        if status in (OK, PENDING):
            return None
        message = self.library._text(self._c.maq_job_error, self._handle)
        return (Cancelled if status == ERROR_CANCELLED else Error)(status, message)

    def preview(self):
        """The newest coarse mesh, or None while there is none."""
        mesh = _sized(_Mesh)
        status = self._c.maq_job_preview(self._handle, ctypes.byref(mesh))
        if status == PENDING:
            return None
        self.library._check(status)
        return _copied_mesh(mesh)

    def mesh(self):
        """The mesh, with normals and texture coordinates."""
        mesh = _sized(_Mesh)
        self.library._check(self._c.maq_job_mesh(self._handle, ctypes.byref(mesh)))
        return _copied_mesh(mesh)

    def image(self, kind=IMAGE_BASE_COLOR):
        """An image of the result; None when the job was not asked for one of this kind."""
        image = _sized(_Image)
        status = self._c.maq_job_image(self._handle, kind, ctypes.byref(image))
        if status == ERROR_INVALID_ARGUMENT and kind in (IMAGE_BASE_COLOR, IMAGE_NORMAL_MAP, IMAGE_CUTOUT):
            return None
        self.library._check(status)
        return _copied_image(image)

    def views(self):
        """The posed pictures that shape and texture were fitted to, as `Context.start` takes them."""
        count = ctypes.c_uint32()
        self.library._check(self._c.maq_job_view_count(self._handle, ctypes.byref(count)))
        views = []
        for index in range(count.value):
            view = _sized(_View)
            self.library._check(self._c.maq_job_view(self._handle, index, ctypes.byref(view)))
            normal = _copied_image(view.normal.contents) if view.normal else None
            camera = view.camera.contents
            camera = Camera(camera.focal_px, camera.center_px, camera.world_from_camera)
            color = _copied_image(view.color.contents)
            views.append(View(view.azimuth_degrees, view.elevation_degrees, color, normal, camera))
        return views

    def report(self):
        """Health of the mesh, timings, provenance, warnings."""
        return json.loads(self.library._text(self._c.maq_job_report, self._handle))

    def save(self, path):
        """Writes mesh and textures: .glb .gltf .obj .ply, by the extension."""
        self.library._check(self._c.maq_job_save(self._handle, _path(path)))

    def save_image(self, path, kind=IMAGE_BASE_COLOR):
        """Writes one image as PNG."""
        self.library._check(self._c.maq_job_save_image(self._handle, kind, _path(path)))

    def free(self):
        """Cancels the job and gives up its results; returns at once."""
        self._c.maq_job_free(self._handle)

    def __del__(self):
        self.free()


# ---- Between Python and C ----


def _cancel_all(jobs):
    jobs = list(jobs)
    for job in jobs:
        job.cancel()
    for job in jobs:
        job._c.maq_job_wait(job._handle, 2000)


def _sized(struct):
    return struct(struct_size=ctypes.sizeof(struct))


def _path(path):
    return os.fsencode(path) if sys.platform != "win32" else os.fspath(path).encode()


def _recipe_text(recipe):
    if recipe is None:
        return None
    return (recipe if isinstance(recipe, str) else json.dumps(recipe)).encode()


def _copy_in(buffer, formats, item_bytes, what, keep):
    """Address of a copy of a buffer, and its number of items."""
    view = memoryview(buffer)
    wanted = {"f": "32-bit floats ('f')", "I": "32-bit indices ('I')", "B": "bytes ('B')"}[formats[0]]
    if view.format.lstrip("@=<") not in formats or view.itemsize != (1 if formats[0] == "B" else 4):
        message = "%s has items of format '%s' and %d bytes; give %s" % (what, view.format, view.itemsize, wanted)
        raise Error(ERROR_INVALID_ARGUMENT, message)
    if not view.c_contiguous:
        view = memoryview(view.tobytes())
    if view.nbytes % item_bytes:
        message = "%s has %d bytes; that is not a multiple of %d" % (what, view.nbytes, item_bytes)
        raise Error(ERROR_INVALID_ARGUMENT, message)
    copy = (ctypes.c_char * view.nbytes).from_buffer_copy(view.cast("B") if view.nbytes else b"")
    keep.append(copy)
    return ctypes.addressof(copy), view.nbytes // item_bytes


def _image(image, what, keep):
    address, pixels = _copy_in(image.rgba, "Bbc", 4, what, keep)
    if pixels != image.width * image.height:
        message = "%s is %dx%d, but has %d pixels" % (what, image.width, image.height, pixels)
        raise Error(ERROR_INVALID_ARGUMENT, message)
    struct = _sized(_Image)
    struct.width, struct.height, struct.rgba = image.width, image.height, address
    keep.append(struct)
    return struct


def _mesh(mesh, keep):
    struct = _sized(_Mesh)
    struct.positions, struct.vertex_count = _copy_in(mesh.positions, "f", 12, "mesh.positions", keep)
    struct.triangles, struct.triangle_count = _copy_in(mesh.triangles, "IiLl", 12, "mesh.triangles", keep)
    for name, item_bytes, wanted in (("normals", 12, struct.vertex_count), ("corner_uvs", 24, struct.triangle_count)):
        buffer = getattr(mesh, name)
        if buffer is None:
            continue
        address, count = _copy_in(buffer, "f", item_bytes, "mesh." + name, keep)
        if count != wanted:
            raise Error(ERROR_INVALID_ARGUMENT, "mesh.%s has %d items, but must have %d" % (name, count, wanted))
        setattr(struct, name, address)
    return struct


def _view(view, keep):
    struct = _sized(_View)
    struct.azimuth_degrees, struct.elevation_degrees = view.azimuth_degrees, view.elevation_degrees
    struct.color = ctypes.pointer(_image(view.color, "view.color", keep))
    if view.normal is not None:
        struct.normal = ctypes.pointer(_image(view.normal, "view.normal", keep))
    if view.camera is not None:
        camera = _sized(_Camera)
        camera.focal_px[:], camera.center_px[:] = view.camera.focal_px, view.camera.center_px
        camera.world_from_camera[:] = view.camera.world_from_camera
        struct.camera = ctypes.pointer(camera)
    keep.append(struct)
    return struct


def _copied(address, count, letter):
    return memoryview(ctypes.string_at(address, count * (1 if letter == "B" else 4))).cast(letter)


def _copied_image(image):
    return Image(image.width, image.height, _copied(image.rgba, image.width * image.height * 4, "B"))


def _copied_mesh(mesh):
    positions = _copied(mesh.positions, mesh.vertex_count * 3, "f")
    triangles = _copied(mesh.triangles, mesh.triangle_count * 3, "I")
    normals = _copied(mesh.normals, mesh.vertex_count * 3, "f") if mesh.normals else None
    corner_uvs = _copied(mesh.corner_uvs, mesh.triangle_count * 6, "f") if mesh.corner_uvs else None
    return Mesh(positions, triangles, normals, corner_uvs)
