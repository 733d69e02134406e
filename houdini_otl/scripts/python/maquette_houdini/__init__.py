# SPDX-License-Identifier: MIT OR Apache-2.0
"""Maquette in Houdini: what the asset maquette::image_to_3d does.

cook        one cook of the node: what the asset's PythonCook calls
parameters  the node's parameters as settings
recipe      recipe settings and the parameters that stand for them
request     what a job is asked for, and the key of its result
refine      requests for the mesh at the input
results     results, in memory and on disk, under their keys
engine      the library, and a job under Houdini's interrupt
geometry    meshes to and from Houdini
views       the views of a result, to paint over
volume      signed distance fields as volumes
errors      what went wrong, as messages on the node
actions     what the buttons do
shelf       what the shelf tool does
native      the library through ctypes; the same file as in the Blender add-on
"""
