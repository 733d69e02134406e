# SPDX-License-Identifier: MIT OR Apache-2.0
"""One cook of the node.

The output depends on the parameters, on the input and on the content of the files they name, never on what the node showed
before: settings without a result are an error until Generate is pressed, or are computed when the node may.
"""

import hou

from . import engine, errors, geometry, parameters, request, results, volume

# Cached user data of a node: kept between cooks, not saved.
GENERATE = "maquette_generate"
CANCELLED = "maquette_cancelled"


def cook(node):
    with errors.on_node():
        settings = parameters.read(node, engine.library().recipe_schema())
        output = node.geometry()
        source = geometry.read(output) if node.inputs() and node.inputs()[0] is not None else None
        wanted = request.make(settings, source)
        result = find_or_compute(node, settings, wanted)
        write(output, settings, wanted, result)
    if result.report.get("warnings"):
        raise hou.NodeWarning(" ".join(result.report["warnings"]))


def find_or_compute(node, settings, wanted):
    name, folder = wanted.arguments["name"], settings.folder
    result = results.find(folder, name, wanted.key)
    if result is not None:
        return result
    # A user interface has someone who can press Generate; elsewhere nothing would ever be computed.
    asked = node.cachedUserData(GENERATE) is not None
    if not asked and hou.isUIAvailable():
        if not settings.autocook:
            raise hou.NodeError("There is no result for these settings yet. Press Generate, or switch Auto Cook on.")
        if node.cachedUserData(CANCELLED) == wanted.key:
            raise hou.NodeError("Cancelled. Press Generate to start again.")
    results.make_folder(folder)
    try:
        job = engine.run(wanted.arguments)
    except hou.OperationInterrupted:
        # With Auto Cook the next redraw would start what Esc has just ended.
        node.setCachedUserData(CANCELLED, wanted.key)
        raise
    # Of the artist's own views there are files already.
    with_views = wanted.kind == "shape" and "views" not in wanted.arguments
    return results.store(folder, name, wanted.key, job, wanted.arguments["recipe"], with_views)


def write(output, settings, wanted, result):
    mesh, name = result.mesh, wanted.arguments["name"]
    with_mesh, with_volume = settings.output != "sdf", settings.output != "mesh"
    # First what can be interrupted or fail, then the geometry.
    field = volume.distances(wanted.key, mesh, settings.sdf_resolution) if with_volume else None
    placement = geometry.Placement(mesh.positions, settings.size, settings.ground, wanted.fit)
    if wanted.kind == "shape" or not with_mesh:
        output.clear()
    if with_mesh and wanted.kind == "shape":
        geometry.write_shape(output, mesh, placement, name)
    elif with_mesh and not geometry.has_uvs(output):
        geometry.write_uvs(output, mesh)
    if with_mesh and settings.material:
        geometry.set_on_all_prims(output, "shop_materialpath", settings.material)
    geometry.write_about(output, name, wanted.arguments.get("picture", ""), result)
    if with_volume:
        volume.write(output, field, settings.sdf_resolution, placement)
