//! Splitting long edges at their middle, longest first. The surface does not change.

use super::{Kind, Surface, topology::NONE};

/// Edges above this share of the aimed length are split: halves are then nearer to it than the whole.
pub(super) const TOO_LONG: f32 = 4.0 / 3.0;

/// Each sweep halves every edge that is too long.
const SWEEPS: usize = 16;

impl Surface {
    /// Splits edges above 4/3 of the aimed length until none is left or the mesh has `max_vertices`.
    pub(super) fn split_long_edges(&mut self, max_vertices: usize) {
        for _ in 0..SWEEPS {
            let edges = self.edges_by_length(false, |length| length > TOO_LONG);
            let mut any = false;
            for edge in edges {
                if self.topology.live_vertex_count() >= max_vertices {
                    return;
                }
                if self.is_current(&edge) && self.may_split(edge.h) {
                    self.split(edge.h);
                    any = true;
                }
            }
            if !any {
                return;
            }
        }
    }

    /// Edges that were cut open stay, or the copies would no longer fit together; nor may the new vertex be joined to
    /// the same given vertex twice.
    fn may_split(&self, h: u32) -> bool {
        let [a, b, c] = [self.topology.from(h), self.topology.to(h), self.topology.apex(h)];
        let twin = self.topology.twin(h);
        if twin == NONE {
            return self.kind(a) != Kind::Pinned && self.kind(b) != Kind::Pinned;
        }
        let d = self.topology.apex(twin);
        let both_pinned = self.kind(c) == Kind::Pinned && self.kind(d) == Kind::Pinned;
        c != d && !(both_pinned && self.topology.source[c as usize] == self.topology.source[d as usize])
    }

    fn split(&mut self, h: u32) {
        let (a, b) = (self.topology.from(h), self.topology.to(h));
        let on_border = self.topology.twin(h) == NONE;
        let middle = self.topology.split(h);
        let count = self.topology.vertex_count();
        if self.positions.len() < count {
            self.positions.resize(count, glam::Vec3::ZERO);
            self.kinds.resize(count, Kind::Free);
            self.lengths.resize(count, 0.0);
            self.attributes.resize(count * self.width, 0.0);
        }
        self.kinds[middle as usize] = if on_border { Kind::Border } else { Kind::Free };
        self.interpolate(middle, a, b, 0.5);
    }
}
