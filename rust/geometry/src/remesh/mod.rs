//! Isotropic remeshing: edges are split, collapsed and flipped and vertices relaxed along the surface until edges have
//! about a target length.
//!
//! After M. Botsch, L. Kobbelt, "A Remeshing Approach to Multiresolution Modeling", 2004 (split above 4/3, collapse
//! below 4/5, flip towards regular valence, tangential relaxation), made safe for use between the steps of an
//! optimiser: every edit keeps the topology (link condition), no triangle turns over or degenerates, creases are
//! neither flipped nor relaxed away, open borders keep their shape, and places that are not manifold are left alone.

mod collapse;
mod flip;
mod relax;
mod split;
mod topology;

use glam::Vec3;
use maquette_core::Mesh;
use topology::{NONE, Topology};

use crate::{Error, Result};

/// The edge length that remeshing aims at, in the mesh's unit.
#[derive(Clone, Copy, Debug)]
pub enum EdgeLength<'a> {
    /// One length everywhere.
    Uniform(f32),
    /// One length for each vertex; an edge aims at the mean of its ends.
    PerVertex(&'a [f32]),
}

/// Settings of [`remesh`].
#[derive(Clone, Copy, Debug)]
pub struct Remesh<'a> {
    /// Edge length to reach.
    pub edge_length: EdgeLength<'a>,
    /// Rounds of split, collapse, flip and relax. One or two keep up with an optimiser; five reach the target from
    /// an arbitrary mesh.
    pub rounds: u32,
    /// How far vertices move towards the centre of their neighbours along the surface in a round, 0 (not) to 1.
    pub relaxation: f32,
    /// Most vertices of the result; splitting stops there.
    pub max_vertices: usize,
}

impl Remesh<'_> {
    /// One edge length everywhere, with the defaults that suit an optimiser.
    pub fn uniform(edge_length: f32) -> Self {
        Self { edge_length: EdgeLength::Uniform(edge_length), rounds: 1, relaxation: 0.5, max_vertices: 1_000_000 }
    }
}

/// How far edits may go at a vertex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Inside of the surface: anything.
    Free,
    /// On an open border: stays where it is.
    Border,
    /// Not manifold, or on an edge that is not: stays, and so do the edges at it, except that they may be split.
    Pinned,
}

/// The mesh under edit.
struct Surface {
    topology: Topology,
    positions: Vec<Vec3>,
    kinds: Vec<Kind>,
    /// Aimed edge length at each vertex.
    lengths: Vec<f32>,
    attributes: Vec<f32>,
    width: usize,
}

/// Remeshes `mesh` in place. Every vertex carries the same number of `attributes` (an optimiser's state, colours, ...),
/// `[positions.len()][width]` or none, which edits interpolate. Vertices that no triangle uses are dropped, and so are
/// normals and texture coordinates. The result does not depend on threads or machine.
///
/// Fails on meshes that [`Mesh::validate`] refuses, on attribute or length counts that do not fit, and on lengths that
/// are not positive.
pub fn remesh(mesh: &mut Mesh, attributes: &mut Vec<f32>, settings: &Remesh<'_>) -> Result<()> {
    check(mesh, attributes, settings)?;
    let mut surface = Surface::new(mesh, attributes, settings);
    for _ in 0..settings.rounds {
        surface.split_long_edges(settings.max_vertices);
        surface.collapse_short_edges();
        surface.flip_edges();
        if settings.relaxation > 0.0 {
            surface.relax(settings.relaxation);
        }
    }
    surface.write(mesh, attributes);
    Ok(())
}

fn check(mesh: &Mesh, attributes: &[f32], settings: &Remesh<'_>) -> Result<()> {
    mesh.validate()?;
    let count = mesh.positions.len();
    if !attributes.len().is_multiple_of(count.max(1)) {
        return Err(Error::invalid(format!(
            "{} attribute numbers were given for {count} vertices; give the same number for each vertex",
            attributes.len()
        )));
    }
    let good = |length: &f32| length.is_finite() && *length > 0.0;
    match settings.edge_length {
        EdgeLength::Uniform(length) if !good(&length) => {
            Err(Error::invalid(format!("edge length {length} cannot be reached; give a positive one")))
        }
        EdgeLength::PerVertex(lengths) if lengths.len() != count => Err(Error::invalid(format!(
            "{} edge lengths were given for {count} vertices; give one for each",
            lengths.len()
        ))),
        EdgeLength::PerVertex(lengths) => match lengths.iter().position(|length| !good(length)) {
            Some(index) => Err(Error::invalid(format!(
                "edge length {} of vertex {index} cannot be reached; give a positive one",
                lengths[index]
            ))),
            None => Ok(()),
        },
        EdgeLength::Uniform(_) => Ok(()),
    }
}

impl Surface {
    fn new(mesh: &Mesh, attributes: &[f32], settings: &Remesh<'_>) -> Self {
        let width = attributes.len() / mesh.positions.len().max(1);
        let (topology, kinds) = Topology::new(mesh.positions.len(), &mesh.triangles);
        let source = |vertex: usize| topology.source[vertex] as usize;
        let count = topology.vertex_count();
        let positions = (0..count).map(|v| Vec3::from(mesh.positions[source(v)])).collect();
        let lengths = match settings.edge_length {
            EdgeLength::Uniform(length) => vec![length; count],
            EdgeLength::PerVertex(lengths) => (0..count).map(|v| lengths[source(v)]).collect(),
        };
        let mut attributes = attributes.to_vec();
        for vertex in mesh.positions.len()..count {
            let start = source(vertex) * width;
            attributes.extend_from_within(start..start + width);
        }
        Self { topology, positions, kinds, lengths, attributes, width }
    }

    /// Writes the living vertices and triangles in order of their numbers; copies of one vertex become one again.
    fn write(&self, mesh: &mut Mesh, attributes: &mut Vec<f32>) {
        let count = self.topology.vertex_count();
        let mut index = vec![NONE; count];
        mesh.positions.clear();
        attributes.clear();
        (mesh.normals, mesh.corner_uvs) = (None, None);
        for vertex in 0..count {
            if !self.topology.is_live(vertex as u32) {
                continue;
            }
            let source = self.topology.source[vertex];
            if self.kinds[vertex] == Kind::Pinned && source as usize != vertex && index[source as usize] != NONE {
                index[vertex] = index[source as usize];
                continue;
            }
            index[vertex] = mesh.positions.len() as u32;
            mesh.positions.push(self.positions[vertex].into());
            attributes.extend_from_slice(&self.attributes[vertex * self.width..(vertex + 1) * self.width]);
        }
        mesh.triangles.clear();
        let live = self.topology.triangles.iter().filter(|triangle| triangle[0] != NONE);
        mesh.triangles.extend(live.map(|triangle| triangle.map(|vertex| index[vertex as usize])));
    }

    fn position(&self, vertex: u32) -> Vec3 {
        self.positions[vertex as usize]
    }

    fn kind(&self, vertex: u32) -> Kind {
        self.kinds[vertex as usize]
    }

    /// Length of an edge over the length it aims at.
    fn relative_length(&self, a: u32, b: u32) -> f32 {
        let aim = 0.5 * (self.lengths[a as usize] + self.lengths[b as usize]);
        (self.position(a) - self.position(b)).length() / aim
    }

    /// Edges for which `pick` gives a length, ordered by it: ascending, or descending.
    fn edges_by_length(&self, ascending: bool, pick: impl Fn(f32) -> bool) -> Vec<Edge> {
        let mut edges: Vec<Edge> = self
            .topology
            .edges()
            .filter_map(|h| {
                let (from, to) = (self.topology.from(h), self.topology.to(h));
                let length = self.relative_length(from, to);
                // Lengths are not negative, so their bits order as they do.
                let key = if ascending { length.to_bits() } else { !length.to_bits() };
                pick(length).then_some(Edge { key, h, from, to })
            })
            .collect();
        edges.sort_unstable_by_key(|edge| (edge.key, edge.h));
        edges
    }

    /// True while the edge is as it was when it was listed.
    fn is_current(&self, edge: &Edge) -> bool {
        self.topology.from(edge.h) == edge.from && self.topology.to(edge.h) == edge.to
    }

    /// Makes `vertex` the point at `weight` between `a` (0) and `b` (1), with everything it carries.
    fn interpolate(&mut self, vertex: u32, a: u32, b: u32, weight: f32) {
        let (vertex, a, b) = (vertex as usize, a as usize, b as usize);
        let mix = |x: f32, y: f32| x + (y - x) * weight;
        self.positions[vertex] = self.positions[a].lerp(self.positions[b], weight);
        self.lengths[vertex] = mix(self.lengths[a], self.lengths[b]);
        for k in 0..self.width {
            self.attributes[vertex * self.width + k] =
                mix(self.attributes[a * self.width + k], self.attributes[b * self.width + k]);
        }
    }
}

struct Edge {
    key: u32,
    h: u32,
    from: u32,
    to: u32,
}

/// Normal with the length of twice the area.
fn area_vector(a: Vec3, b: Vec3, c: Vec3) -> Vec3 {
    (b - a).cross(c - a)
}

/// 1 for an equilateral triangle, 0 for a degenerate one: 2√3 · (twice the area) / (sum of squared sides).
fn shape(a: Vec3, b: Vec3, c: Vec3) -> f32 {
    let sides = (b - a).length_squared() + (c - b).length_squared() + (a - c).length_squared();
    if sides > 0.0 { 3.464_101_6 * area_vector(a, b, c).length() / sides } else { 0.0 }
}

#[cfg(test)]
pub(crate) mod shapes;
#[cfg(test)]
mod tests;
