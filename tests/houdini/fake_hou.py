"""A small hou that enforces what Houdini enforces, for the asset's Python.

Geometry can only be changed in the cook of its own node, and parameters only outside of cooks. A cook ends with the node's
errors and warnings as in Houdini. Attributes have a class, a type and a size, and calls with other data fail. The
parameters of a node are those of the asset's dialog script, and its code that of the asset's sections.

Names and rules are those of Houdini's documentation of the module; test_fake_hou.py compares them with the published type
stubs where those are installed.
"""

import array
import contextlib
import os
import sys
import traceback
import types


class _Value:
    def __init__(self, name):
        self._name = name

    def __repr__(self):
        return self._name


def _enumeration(name, *values):
    return types.SimpleNamespace(**{value: _Value(name + "." + value) for value in values})


attribType = _enumeration("attribType", "Point", "Vertex", "Prim", "Global")
attribData = _enumeration("attribData", "Int", "Float", "String")
primType = _enumeration("primType", "Polygon", "Volume", "Sphere")
numericData = _enumeration("numericData", "Float32")
severityType = _enumeration("severityType", "Message", "Warning", "Error")
fileChooserMode = _enumeration("fileChooserMode", "Read", "Write")


class Error(Exception):
    def instanceMessage(self):
        return str(self)


class OperationFailed(Error):
    pass


class PermissionError(OperationFailed):
    pass


class GeometryPermissionError(PermissionError):
    pass


class InvalidInput(OperationFailed):
    pass


class InvalidSize(OperationFailed):
    pass


class NodeError(Error):
    pass


class NodeWarning(Error):
    pass


class OperationInterrupted(Error):
    pass


# ---- The session: what a test arranges ----


class _Session:
    def __init__(self):
        self.reset()

    def reset(self):
        self.has_ui = True
        self.variables = {}
        # Progress reports until Esc is pressed; None: it is not.
        self.interrupt_after = None
        # (operation, kind, fraction, text) of every progress report.
        self.progress = []
        self.status_messages = []
        self.cooking = []
        self.nodes = {}
        self.selected = []
        self.chosen_file = ""


session_state = _Session()


def isUIAvailable():
    return session_state.has_ui


def pwd():
    return session_state.cooking[-1] if session_state.cooking else None


def node(path):
    return session_state.nodes.get(path)


def selectedNodes():
    return tuple(session_state.selected)


class ui:
    @staticmethod
    def setStatusMessage(message, severity=severityType.Message):
        _needs_ui()
        session_state.status_messages.append((message, severity))

    @staticmethod
    def selectFile(title=None, pattern=None, chooser_mode=None):
        _needs_ui()
        return session_state.chosen_file


class undos:
    @staticmethod
    @contextlib.contextmanager
    def group(label):
        yield


def _needs_ui():
    if not session_state.has_ui:
        raise AttributeError("module 'hou' has no attribute 'ui'")
    if session_state.cooking:
        raise AssertionError("a cook must not talk to the user interface")


class InterruptableOperation:
    def __init__(self, operation_name, long_operation_name=None, open_interrupt_dialog=False, timeout_ms=0):
        self.name, self.long_name, self.inside = operation_name, long_operation_name, False

    def __enter__(self):
        self.inside = True
        return self

    def __exit__(self, *_):
        self.inside = False

    def updateProgress(self, percentage=-1.0):
        self._update("step", percentage, None)

    def updateLongProgress(self, percentage=-1.0, long_op_status=None):
        if self.long_name is None:
            raise AssertionError("there is no bar for a long operation without its name")
        self._update("long", percentage, long_op_status)

    def _update(self, kind, fraction, text):
        if not self.inside:
            raise AssertionError("progress is reported inside of a with statement")
        if fraction != -1.0 and not 0.0 <= fraction <= 1.0:
            raise AssertionError("%r is no fraction" % fraction)
        session_state.progress.append((self.name, kind, fraction, text))
        if session_state.interrupt_after is not None and len(session_state.progress) > session_state.interrupt_after:
            raise OperationInterrupted()


# ---- Geometry ----


class BoundingBox:
    def __init__(self, xmin=0.0, ymin=0.0, zmin=0.0, xmax=0.0, ymax=0.0, zmax=0.0):
        self.low, self.high = (xmin, ymin, zmin), (xmax, ymax, zmax)
        if not all(a <= b for a, b in zip(self.low, self.high)):
            raise AssertionError("the box is inside out")


class Attrib:
    def __init__(self, geometry, kind, name, default, is_normal):
        self._geometry, self._kind, self._name, self._is_normal = geometry, kind, name, is_normal
        values = default if isinstance(default, tuple) else (default,)
        if not values or len({type(value) for value in values}) != 1:
            raise OperationFailed("%r is no default" % (default,))
        self._data = {int: attribData.Int, float: attribData.Float, str: attribData.String}[type(values[0])]
        self._size, self._default = len(values), "" if isinstance(values[0], str) else default
        if is_normal and (self._data is not attribData.Float or self._size != 3):
            raise OperationFailed("normals are 3 floats")
        self.values = {}

    def name(self):
        return self._name

    def type(self):
        return self._kind

    def dataType(self):
        return self._data

    def size(self):
        return self._size

    def isTransformedAsNormal(self):
        return self._is_normal

    def destroy(self):
        self._geometry._writable()
        del self._geometry._attribs[self._kind][self._name]

    def _get(self, element):
        return self.values.get(element, self._default)

    def _set(self, element, value):
        values = value if isinstance(value, (tuple, list)) else (value,)
        wanted = {attribData.Int: int, attribData.Float: float, attribData.String: str}[self._data]
        if len(values) != self._size or not all(type(one) is wanted for one in values):
            raise OperationFailed("%s does not take %r" % (self._name, value))
        self.values[element] = value


class Point:
    def __init__(self, geometry, number):
        self._geometry, self._number = geometry, number

    def number(self):
        return self._number


class Vertex:
    def __init__(self, prim, index):
        self._prim, self._index = prim, index

    def point(self):
        return Point(self._prim._geometry, self._prim._points[self._index])


class Prim:
    def __init__(self, geometry, points):
        self._geometry, self._points, self._intrinsics = geometry, list(points), {}

    def number(self):
        return self._geometry._prims.index(self)

    def type(self):
        return primType.Sphere

    def vertices(self):
        return tuple(Vertex(self, index) for index in range(len(self._points)))

    def numVertices(self):
        return len(self._points)

    def setAttribValue(self, name, value):
        self._geometry._writable()
        attribute = self._geometry.findPrimAttrib(name)
        if attribute is None:
            raise OperationFailed("there is no attribute %s" % name)
        attribute._set(self.number(), value)

    def attribValue(self, name):
        return self._geometry.findPrimAttrib(name)._get(self.number())

    def intrinsicValue(self, name):
        return self._intrinsics[name]

    def setIntrinsicValue(self, name, value):
        self._geometry._writable()
        if name not in self._intrinsics or type(self._intrinsics[name]) is not type(value):
            raise OperationFailed("%s cannot be set to %r" % (name, value))
        self._intrinsics[name] = value


class Polygon(Prim):
    closed = True

    def type(self):
        return primType.Polygon

    def isClosed(self):
        return self.closed


class Volume(Prim):
    def __init__(self, geometry, point, resolution, box):
        super().__init__(geometry, [point])
        self._resolution, self.box = resolution, box
        self._voxels = array.array("f", bytes(4 * resolution[0] * resolution[1] * resolution[2]))
        self._intrinsics = {"volumevisualmode": "smoke"}

    def type(self):
        return primType.Volume

    def resolution(self):
        return self._resolution

    def setAllVoxelsFromString(self, values):
        self._geometry._writable()
        given = array.array("f")
        given.frombytes(bytes(values))
        if len(given) != len(self._voxels):
            raise OperationFailed("%d values for %d voxels" % (len(given), len(self._voxels)))
        self._voxels = given

    def voxel(self, index):
        x, y, z = index
        return self._voxels[(z * self._resolution[1] + y) * self._resolution[0] + x]

    def indexToPos(self, index):
        return tuple(
            low + (high - low) * (k + 0.5) / count
            for low, high, k, count in zip(self.box.low, self.box.high, index, self._resolution)
        )


class Geometry:
    """Held by a node; `_open` while its node cooks."""

    def __init__(self):
        self._open = False
        self._wipe()

    def _wipe(self):
        self._positions, self._prims = [], []
        self._attribs = {kind: {} for kind in vars(attribType).values()}

    def _writable(self):
        if not self._open:
            raise GeometryPermissionError("Geometry is read-only.")

    def _copy_of(self, other):
        self._wipe()
        self._positions = list(other._positions)
        for prim in other._prims:
            copy = object.__new__(type(prim))
            copy.__dict__.update(
                prim.__dict__, _geometry=self, _points=list(prim._points), _intrinsics=dict(prim._intrinsics)
            )
            self._prims.append(copy)
        for kind, attribs in other._attribs.items():
            for name, attribute in attribs.items():
                copy = object.__new__(Attrib)
                copy.__dict__.update(attribute.__dict__, _geometry=self, values=dict(attribute.values))
                self._attribs[kind][name] = copy

    # Elements

    def clear(self):
        self._writable()
        self._wipe()

    def createPoints(self, point_positions):
        self._writable()
        first = len(self._positions)
        for position in point_positions:
            if len(position) != 3 or not all(isinstance(value, float) for value in position):
                raise InvalidSize("%r is no position" % (position,))
            self._positions.append(tuple(position))
        return tuple(Point(self, number) for number in range(first, len(self._positions)))

    def createPolygons(self, points, is_closed=True):
        self._writable()
        made = []
        for corners in points:
            numbers = [corner.number() if isinstance(corner, Point) else corner for corner in corners]
            if len(numbers) < 3:
                raise InvalidSize("a polygon has at least 3 points")
            if not all(type(number) is int and 0 <= number < len(self._positions) for number in numbers):
                raise InvalidInput("%r are no points" % (numbers,))
            polygon = Polygon(self, numbers)
            polygon.closed = is_closed
            made.append(polygon)
        self._prims += made
        return tuple(made)

    def createVolume(self, xres, yres, zres, bounding_box=None):
        self._writable()
        if min(xres, yres, zres) < 1:
            raise OperationFailed("a volume has voxels")
        (point,) = self.createPoints([(0.0, 0.0, 0.0)])
        box = bounding_box or BoundingBox(-1.0, -1.0, -1.0, 1.0, 1.0, 1.0)
        volume = Volume(self, point.number(), (xres, yres, zres), box)
        self._prims.append(volume)
        return volume

    def points(self):
        return tuple(Point(self, number) for number in range(len(self._positions)))

    def prims(self):
        return tuple(self._prims)

    def iterPrims(self):
        return iter(self._prims)

    def intrinsicValue(self, intrinsic_name):
        return {"primitivecount": len(self._prims), "pointcount": len(self._positions)}[intrinsic_name]

    def _count(self, kind):
        counts = {
            attribType.Point: len(self._positions),
            attribType.Vertex: sum(prim.numVertices() for prim in self._prims),
            attribType.Prim: len(self._prims),
        }
        return counts.get(kind, 1)

    # Attributes

    def addAttrib(self, type, name, default_value, transform_as_normal=False, create_local_variable=False):
        self._writable()
        if any(name in attribs for attribs in self._attribs.values()) or name == "P":
            raise OperationFailed("there is an attribute %s already" % name)
        attribute = Attrib(self, type, name, default_value, transform_as_normal)
        self._attribs[type][name] = attribute
        return attribute

    def findPointAttrib(self, name):
        return self._attribs[attribType.Point].get(name)

    def findVertexAttrib(self, name):
        return self._attribs[attribType.Vertex].get(name)

    def findPrimAttrib(self, name):
        return self._attribs[attribType.Prim].get(name)

    def findGlobalAttrib(self, name):
        return self._attribs[attribType.Global].get(name)

    def setGlobalAttribValue(self, name, value):
        self._writable()
        self._there(attribType.Global, name)._set(0, value)

    def stringAttribValue(self, name):
        return self._there(attribType.Global, name)._get(0)

    def setPrimStringAttribValues(self, name, values):
        self._set_all(attribType.Prim, name, list(values))

    def pointFloatAttribValuesAsString(self, name, float_type=numericData.Float32):
        if name == "P":
            return array.array("f", [value for position in self._positions for value in position]).tobytes()
        return self._floats(attribType.Point, name)

    def vertexFloatAttribValuesAsString(self, name, float_type=numericData.Float32):
        return self._floats(attribType.Vertex, name)

    def setPointFloatAttribValuesFromString(self, name, values, float_type=numericData.Float32):
        self._set_floats(attribType.Point, name, values)

    def setVertexFloatAttribValuesFromString(self, name, values, float_type=numericData.Float32):
        self._set_floats(attribType.Vertex, name, values)

    def _there(self, kind, name):
        attribute = self._attribs[kind].get(name)
        if attribute is None:
            raise OperationFailed("there is no attribute %s of the class %s" % (name, kind))
        return attribute

    def _set_all(self, kind, name, values):
        self._writable()
        attribute = self._there(kind, name)
        if len(values) != self._count(kind):
            raise OperationFailed("%d values of %s for %d elements" % (len(values), name, self._count(kind)))
        for element, value in enumerate(values):
            attribute._set(element, value)

    def _floats(self, kind, name):
        attribute = self._there(kind, name)
        values = array.array("f")
        for element in range(self._count(kind)):
            value = attribute._get(element)
            values.extend(value if attribute.size() > 1 else (value,))
        return values.tobytes()

    def _set_floats(self, kind, name, content):
        values = array.array("f")
        values.frombytes(content)
        size = self._there(kind, name).size()
        if len(values) % size:
            raise OperationFailed("%d floats for an attribute of %d" % (len(values), size))
        rows = [tuple(values[k : k + size]) if size > 1 else values[k] for k in range(0, len(values), size)]
        self._set_all(kind, name, rows)


# ---- Nodes ----


class Parm:
    """A parameter of a node, as its template in the dialog script says."""

    def __init__(self, node, template):
        self._node, self._template = node, template
        kind, default = template.type, template.default
        if kind in ("ordinal", "toggle", "button", "integer"):
            self._value = int(default)
        elif kind == "float":
            self._value = float(default)
        else:
            self._value = default

    def name(self):
        return self._template.name

    def eval(self):
        if isinstance(self._value, str):
            value = self._value
            for variable, text in session_state.variables.items():
                value = value.replace("$" + variable, text)
            return value
        return self._value

    def evalAsString(self):
        if self._template.menu:
            return list(self._template.menu)[self._value]
        return str(self.eval())

    def evalAsNode(self):
        path = self.eval()
        return node(os.path.normpath(os.path.join(self._node.path(), path)).replace(os.sep, "/")) if path else None

    def set(self, value):
        if session_state.cooking:
            raise PermissionError("a node must not set parameters while it cooks")
        if self._template.menu and isinstance(value, str):
            value = list(self._template.menu).index(value)
        if type(value) is not type(self._value) and not (isinstance(self._value, float) and isinstance(value, int)):
            raise TypeError("%s does not take %r" % (self.name(), value))
        if self._template.limits:
            low, high = self._template.limits
            value = type(self._value)(min(max(value, low), high))
        self._value = value
        self._node._dirty = True

    def pressButton(self):
        if self._template.type != "button" or self._template.tags["script_callback_language"] != "python":
            raise OperationFailed("%s is no button" % self.name())
        exec(self._template.callback, {"hou": sys.modules[__name__], "kwargs": {"node": self._node, "parm": self}})


class SopNode:
    """A node of an asset (hda.Library), or one that holds the geometry that `build` makes."""

    counter = 0

    def __init__(self, path, asset=None, build=None):
        self._path, self._asset, self._build = path, asset, build
        self._parms = {name: Parm(self, one) for name, one in asset.dialog().parms.items()} if asset else {}
        self._inputs, self._outputs, self._geometry, self._dirty = [], [], Geometry(), True
        self._errors, self._warnings, self._cached, self.cooks = [], [], {}, 0
        self.flags = {}
        SopNode.counter += 1
        self._id = SopNode.counter
        session_state.nodes[path] = self

    def name(self):
        return self._path.rsplit("/", 1)[-1]

    def path(self):
        return self._path

    def sessionId(self):
        return self._id

    def parm(self, name):
        return self._parms.get(name)

    def evalParm(self, name):
        if name not in self._parms:
            raise OperationFailed("there is no parameter %s" % name)
        return self._parms[name].eval()

    def setInput(self, index, node):
        if session_state.cooking:
            raise PermissionError("a node must not be wired while it cooks")
        self._inputs = [node]
        self._dirty = True

    def inputs(self):
        return tuple(self._inputs)

    def hdaModule(self):
        module = types.ModuleType("hdaModule")
        exec(compile(self._asset.text("PythonModule"), "PythonModule", "exec"), module.__dict__)
        return module

    def setCachedUserData(self, name, value):
        self._cached[name] = value

    def cachedUserData(self, name):
        return self._cached.get(name)

    def destroyCachedUserData(self, name, must_exist=True):
        if name not in self._cached and must_exist:
            raise OperationFailed("there is no user data %s" % name)
        self._cached.pop(name, None)

    def errors(self):
        return tuple(self._errors)

    def warnings(self):
        return tuple(self._warnings)

    def geometry(self):
        """The geometry; cooks the node when something has changed, and raises where that fails."""
        if self not in session_state.cooking:
            self.cook()
        return self._geometry

    def cook(self, force=False):
        if not (force or self._dirty or any(node and node._dirty for node in self._inputs)):
            if self._errors:
                raise OperationFailed("; ".join(self._errors))
            return
        for node in self._inputs:
            if node:
                node.cook()
        self._errors, self._warnings, self._dirty = [], [], False
        self.cooks += 1
        self._geometry = Geometry()
        if self._inputs and self._inputs[0]:
            self._geometry._copy_of(self._inputs[0]._geometry)
        self._geometry._open = True
        session_state.cooking.append(self)
        try:
            if self._build:
                self._build(self._geometry)
            else:
                exec(compile(self._asset.text("PythonCook"), "PythonCook", "exec"), {"hou": sys.modules[__name__]})
        except NodeError as error:
            self._errors.append(str(error))
        except NodeWarning as warning:
            self._warnings.append(str(warning))
        except OperationInterrupted:
            self._errors.append("Cooking was interrupted")
        except Exception:
            self._errors.append("Python error: " + traceback.format_exc())
        finally:
            session_state.cooking.pop()
            self._geometry._open = False
        if self._errors:
            self._dirty = True
            self._geometry._wipe()
            raise OperationFailed("; ".join(self._errors))

    # What the shelf tool does to a new node

    def parent(self):
        return session_state.nodes[self._path.rsplit("/", 1)[0]]

    def moveToGoodPosition(self):
        pass

    def setDisplayFlag(self, on):
        self.flags["display"] = on

    def setRenderFlag(self, on):
        self.flags["render"] = on

    def setCurrent(self, on, clear_all_selected=False):
        self.flags["current"] = on


class Network:
    """Anything that nodes are made in."""

    def __init__(self, path, assets=()):
        self._path, self._assets = path, {asset.index["Operator"]: asset for asset in assets}
        self.made = []
        session_state.nodes[path] = self

    def name(self):
        return self._path.rsplit("/", 1)[-1]

    def path(self):
        return self._path

    def createNode(self, node_type_name, node_name=None):
        if session_state.cooking:
            raise PermissionError("a node must not make nodes while it cooks")
        path = "%s/%s" % (self._path, node_name or node_type_name.split("::")[1 if "::" in node_type_name else 0])
        if node_type_name in self._assets:
            node = SopNode(path, self._assets[node_type_name])
        else:
            node = Network(path, self._assets.values())
            node.kind, node.settings = node_type_name, {}
        self.made.append(node)
        return node

    def setParms(self, parm_dict):
        self.settings.update(parm_dict)


def use_hip(folder):
    session_state.variables["HIP"] = os.fspath(folder)
