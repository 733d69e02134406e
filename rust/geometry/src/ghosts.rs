//! Ghost parts: pieces that all silhouettes allow, so that carving leaves them, but that no view needs.
//!
//! A part apart from the largest is needed where a silhouette would have a hole without it, and borne out where the
//! normals that a view shows are its own. Parts that are neither are left out, and so are parts that no view sees.

use maquette_core::{Mesh, Progress, View, Views};
use maquette_raster::{GBuffer, rasterize};

use crate::Result;
use crate::parts::{keep_parts, largest, parts};
use crate::vec3::{area_vector, dot, norm};

/// Longer side of the views that are looked at, in pixels.
const VIEW_PX: usize = 160;
/// Pixels of a silhouette that would be left empty, from which a part is needed, as a share of those that show it.
const NEEDED_SHARE: f64 = 0.1;
/// Cosine from which a part's normal is the one that the view shows.
const ALIKE: f32 = 0.7;
/// Share of a part's pixels with a normal that have to be alike for the part to be borne out.
const ALIKE_SHARE: f64 = 0.3;

/// What all views say of one part.
#[derive(Clone, Copy, Default)]
struct Evidence {
    seen: f64,
    needed: f64,
    compared: f64,
    alike: f64,
}

impl Evidence {
    fn is_ghost(&self) -> bool {
        let needed = self.needed > NEEDED_SHARE * self.seen;
        let borne_out = self.alike > ALIKE_SHARE * self.compared || self.seen > 0.0 && self.compared == 0.0;
        !needed && !borne_out
    }

    /// Of one pixel that shows `triangle` of the part; `alone` where nothing else would cover it.
    fn add(&mut self, mesh: &Mesh, view: &View, pixel: usize, triangle: u32, alone: bool) {
        self.seen += 1.0;
        let inside = view.mask.data[pixel][0] >= 0.5;
        self.needed += f64::from(u8::from(alone && inside));
        let Some(normal) = view.normal.as_ref().map(|normal| normal.data[pixel]) else { return };
        if !inside || norm(normal) < 0.5 {
            return;
        }
        let own = area_vector(mesh.triangles[triangle as usize].map(|vertex| mesh.positions[vertex as usize]));
        // Blurred normals at outlines are shorter than 1.
        let is_alike = dot(own, normal) > ALIKE * norm(own) * norm(normal);
        self.compared += 1.0;
        self.alike += f64::from(u8::from(is_alike));
    }
}

/// The mesh without ghost parts. The largest part always stays; views without normals tell by their silhouettes alone.
///
/// # Errors
/// When cancelled.
pub fn without_ghosts(mesh: &Mesh, views: &Views, progress: &Progress) -> Result<Mesh> {
    let found = parts(mesh);
    let body = largest(&found.areas);
    let mut evidence = vec![Evidence::default(); found.areas.len()];
    if evidence.len() < 2 {
        return Ok(mesh.clone());
    }
    for view in &views.views {
        progress.check()?;
        let view = view.at_most(VIEW_PX);
        let whole = rasterize(&mesh.positions, &mesh.triangles, &view.camera);
        for (part, evidence) in evidence.iter_mut().enumerate().filter(|(part, _)| *part != body) {
            let owns = |triangle: u32| {
                triangle != GBuffer::EMPTY && found.part_of_triangle[triangle as usize] as usize == part
            };
            if !whole.triangle.iter().any(|&triangle| owns(triangle)) {
                continue;
            }
            let others: Vec<_> =
                (0..mesh.triangles.len()).filter(|&t| !owns(t as u32)).map(|t| mesh.triangles[t]).collect();
            let without = rasterize(&mesh.positions, &others, &view.camera);
            for (pixel, &triangle) in whole.triangle.iter().enumerate().filter(|(_, triangle)| owns(**triangle)) {
                evidence.add(mesh, &view, pixel, triangle, without.triangle[pixel] == GBuffer::EMPTY);
            }
        }
    }
    Ok(keep_parts(mesh, &found, |part| part == body || !evidence[part].is_ghost()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_meshes::{icosphere, joined, views_of};
    use crate::vec3::add;

    /// `body` and `piece`, moved by `offset`.
    fn with(body: &Mesh, mut piece: Mesh, offset: [f32; 3]) -> Mesh {
        piece.positions.iter_mut().for_each(|p| *p = add(*p, offset));
        joined(&[body.clone(), piece])
    }

    #[test]
    fn what_no_view_shows_goes_and_what_one_shows_stays() {
        let body = icosphere(3, 0.3);
        let satellite = with(&body, icosphere(2, 0.06), [0.0, 0.4, 0.0]);
        let views = views_of(&satellite, 96);
        let progress = Progress::new();
        assert_eq!(without_ghosts(&satellite, &views, &progress).unwrap(), satellite);
        // A piece before the body where the views show the body's own normals, and one inside of it.
        for (radius, offset) in [(0.05, [0.0, 0.0, 0.38]), (0.1, [0.0; 3])] {
            let haunted = with(&satellite, icosphere(2, radius), offset);
            assert_eq!(without_ghosts(&haunted, &views, &progress).unwrap(), satellite, "{offset:?}");
        }
        // Without normals, a piece that is seen may be real.
        let mut silhouettes = views.clone();
        silhouettes.views.iter_mut().for_each(|view| view.normal = None);
        let haunted = with(&satellite, icosphere(2, 0.05), [0.0, 0.0, 0.38]);
        assert_eq!(without_ghosts(&haunted, &silhouettes, &progress).unwrap(), haunted);
        progress.cancel();
        assert!(without_ghosts(&haunted, &views, &progress).is_err());
    }
}
