#!/usr/bin/env python3
"""How near a reconstruction is to those parts of the true surface that none of its six views has seen.

    python tests/unseen_surface.py [--eval ../shared/eval] RESULTS [RESULTS ...]

RESULTS are folders with a NAME.glb for each object of the evaluation set, in the frame of the views. Printed are, an object
a line, the unseen share of the surface that is visible from outside at all, and for each folder the mean distance from there to
the result, in the scorer's unit (half of the object's longest side). Needs the evaluation set and what its scorer needs.
"""

import argparse
import pathlib
import sys

SAMPLES = 60_000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--eval", type=pathlib.Path, default=pathlib.Path(__file__).parents[2] / "shared" / "eval")
    parser.add_argument("results", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.eval))
    import evalkit
    import numpy as np
    import score

    def unseen(mesh):
        """Points of the surface that are visible from outside, but from none of the six cameras; and their share."""
        caster = evalkit.Caster(mesh)
        points, normals, _ = evalkit.sample_surface(mesh, SAMPLES, 4)
        outside = score.visible_mask(caster, points)
        points, normals = points[outside], normals[outside]
        seen = np.zeros(len(points), bool)
        for eye in cameras:
            ray = eye - points
            length = np.linalg.norm(ray, axis=1, keepdims=True)
            faces = ((ray / length) * normals).sum(1) > 0.05
            seen |= faces & ~caster.occluded(points + 1e-4 * ray / length, ray / length)
        return points[~seen], float((~seen).mean())

    angles = zip(evalkit.SIX_AZ, evalkit.SIX_EL)
    cameras = [evalkit.camera(azimuth, elevation)[:3, 3] for azimuth, elevation in angles]
    totals = []
    print("object", "unseen", *arguments.results, sep="\t")
    for folder in sorted((arguments.eval / "objects").iterdir()):
        results = [result / f"{folder.name}.glb" for result in arguments.results]
        if not all(result.exists() for result in results):
            continue
        truth = evalkit.load_mesh(str(folder / "mesh.glb")).drop_degenerate()
        points, share = unseen(truth)
        unit = 2.0 / (truth.v.max(0) - truth.v.min(0)).max()
        row = []
        for result in results:
            mesh = evalkit.load_mesh(str(result)).drop_degenerate()
            row.append(float(evalkit.Surface(mesh).query(points)[0].mean() * unit))
        totals.append([share, *row])
        print(folder.name, f"{share:.3f}", *(f"{distance:.4f}" for distance in row), sep="\t")
    if totals:
        mean = np.mean(totals, axis=0)
        print("mean", f"{mean[0]:.3f}", *(f"{distance:.4f}" for distance in mean[1:]), sep="\t")


if __name__ == "__main__":
    main()
