//! Half-edges of a triangle mesh in flat arrays, with the three edits that remeshing needs.
//!
//! Half-edge `3 t + i` runs from corner `i` of triangle `t` to the next corner. Every edge joins at most two half-edges;
//! where the given mesh is not manifold it is cut: fans of triangles that meet in one vertex only get copies of it,
//! and [`Topology::source`] says whose.

use super::Kind;

/// "No half-edge", "no vertex".
pub(super) const NONE: u32 = u32::MAX;

pub(super) struct Topology {
    /// Vertices of each triangle; [`NONE`] in removed ones.
    pub(super) triangles: Vec<[u32; 3]>,
    /// The half-edge on the other side of each edge, or [`NONE`].
    twins: Vec<u32>,
    /// A half-edge that leaves the vertex: on a border the one without twin; [`NONE`] for unused vertices.
    outgoing: Vec<u32>,
    /// The given vertex that this one is, or was cut from; [`NONE`] for vertices made since.
    pub(super) source: Vec<u32>,
    free_triangles: Vec<u32>,
    free_vertices: Vec<u32>,
}

/// The half-edge after `h` in its triangle.
pub(super) fn next(h: u32) -> u32 {
    if h % 3 == 2 { h - 2 } else { h + 1 }
}

/// The half-edge before `h` in its triangle.
pub(super) fn previous(h: u32) -> u32 {
    if h.is_multiple_of(3) { h + 2 } else { h - 1 }
}

impl Topology {
    /// Joins the triangles that share exactly one edge with opposite directions; tells which vertices lie on a border
    /// and which are not manifold. Triangles that name a vertex twice are left out.
    pub(super) fn new(vertex_count: usize, triangles: &[[u32; 3]]) -> (Self, Vec<Kind>) {
        let triangles: Vec<[u32; 3]> =
            triangles.iter().copied().filter(|[a, b, c]| a != b && b != c && c != a).collect();
        let mut kinds = vec![Kind::Free; vertex_count];
        let twins = join(&triangles, &mut kinds);
        let mut topology = Self {
            triangles,
            twins,
            outgoing: vec![NONE; vertex_count],
            source: (0..vertex_count as u32).collect(),
            free_triangles: Vec::new(),
            free_vertices: Vec::new(),
        };
        topology.cut_fans(&mut kinds);
        (topology, kinds)
    }

    /// Gives every fan of triangles a vertex of its own, and every used vertex its outgoing half-edge.
    fn cut_fans(&mut self, kinds: &mut Vec<Kind>) {
        let mut seen = vec![false; self.twins.len()];
        let mut fan = Vec::new();
        for h in 0..self.twins.len() as u32 {
            if seen[h as usize] {
                continue;
            }
            let given = self.from(h);
            self.fan_from(self.first_of_fan(h), &mut fan);
            for &member in &fan {
                seen[member as usize] = true;
            }
            let vertex = if self.outgoing[given as usize] == NONE {
                given
            } else {
                kinds[given as usize] = Kind::Pinned;
                kinds.push(Kind::Pinned);
                self.source.push(given);
                self.outgoing.push(NONE);
                self.outgoing.len() as u32 - 1
            };
            for &member in &fan {
                self.triangles[member as usize / 3][member as usize % 3] = vertex;
            }
            self.outgoing[vertex as usize] = fan[0];
            if self.twins[fan[0] as usize] == NONE && kinds[vertex as usize] == Kind::Free {
                kinds[vertex as usize] = Kind::Border;
            }
        }
    }

    /// Number of vertices, unused ones included.
    pub(super) fn vertex_count(&self) -> usize {
        self.outgoing.len()
    }

    /// Number of vertices in use.
    pub(super) fn live_vertex_count(&self) -> usize {
        self.outgoing.len() - self.free_vertices.len()
    }

    /// True for vertices that some triangle uses.
    pub(super) fn is_live(&self, vertex: u32) -> bool {
        self.outgoing[vertex as usize] != NONE
    }

    pub(super) fn from(&self, h: u32) -> u32 {
        self.triangles[h as usize / 3][h as usize % 3]
    }

    pub(super) fn to(&self, h: u32) -> u32 {
        self.from(next(h))
    }

    /// The vertex of the triangle that does not lie on `h`.
    pub(super) fn apex(&self, h: u32) -> u32 {
        self.from(previous(h))
    }

    pub(super) fn twin(&self, h: u32) -> u32 {
        self.twins[h as usize]
    }

    /// One half-edge for every edge, in order of their numbers.
    pub(super) fn edges(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.twins.len() as u32).filter(|&h| {
            let twin = self.twins[h as usize];
            (twin == NONE || h < twin) && self.triangles[h as usize / 3][0] != NONE
        })
    }

    /// The half-edges that leave `vertex`, counter-clockwise; true where the fan is closed. On a border the last
    /// neighbour has no half-edge here: it is the apex of the last one.
    pub(super) fn fan(&self, vertex: u32, fan: &mut Vec<u32>) -> bool {
        self.fan_from(self.outgoing[vertex as usize], fan)
    }

    fn fan_from(&self, first: u32, fan: &mut Vec<u32>) -> bool {
        fan.clear();
        let mut h = first;
        loop {
            fan.push(h);
            h = self.twins[previous(h) as usize];
            if h == NONE || h == first {
                return h == first;
            }
        }
    }

    /// Turns clockwise around the vertex that `h` leaves until a border or `h` again is met.
    fn first_of_fan(&self, h: u32) -> u32 {
        let mut first = h;
        loop {
            let twin = self.twins[first as usize];
            if twin == NONE {
                return first;
            }
            first = next(twin);
            if first == h {
                return h;
            }
        }
    }

    /// The neighbours of `vertex`, counter-clockwise.
    pub(super) fn neighbours(&self, vertex: u32, neighbours: &mut Vec<u32>) {
        let closed = self.fan(vertex, neighbours);
        let last = *neighbours.last().expect("a live vertex has a triangle");
        for h in neighbours.iter_mut() {
            *h = self.to(*h);
        }
        if !closed {
            neighbours.push(self.apex(last));
        }
    }

    /// Number of edges at `vertex`.
    pub(super) fn valence(&self, vertex: u32) -> usize {
        let first = self.outgoing[vertex as usize];
        let (mut h, mut count) = (first, 0);
        loop {
            count += 1;
            h = self.twins[previous(h) as usize];
            if h == first {
                return count;
            }
            if h == NONE {
                return count + 1;
            }
        }
    }

    /// True where an edge of the fan of `a` leads to `b`.
    pub(super) fn are_joined(&self, a: u32, b: u32) -> bool {
        let first = self.outgoing[a as usize];
        let mut h = first;
        loop {
            if self.to(h) == b || self.apex(h) == b {
                return true;
            }
            h = self.twins[previous(h) as usize];
            if h == first || h == NONE {
                return false;
            }
        }
    }

    /// Puts a new vertex on the edge of `h` and joins it to the one or two apexes. Afterwards `h` leads to it.
    pub(super) fn split(&mut self, h: u32) -> u32 {
        let middle = self.new_vertex();
        let (a, b, c) = (self.from(h), self.to(h), self.apex(h));
        let g = self.twin(h);
        let (h1, beyond) = (next(h), self.twin(next(h)));
        let side = 3 * self.new_triangle([middle, b, c]);
        self.set_to(h, middle);
        self.join(side + 1, beyond);
        self.join(side + 2, h1);
        if self.outgoing[b as usize] == h1 {
            self.outgoing[b as usize] = side + 1;
        }
        if g == NONE {
            self.twins[side as usize] = NONE;
            self.outgoing[middle as usize] = side;
        } else {
            let d = self.apex(g);
            let (g1, beyond) = (next(g), self.twin(next(g)));
            let other = 3 * self.new_triangle([middle, a, d]);
            self.set_to(g, middle);
            self.join(other + 1, beyond);
            self.join(other + 2, g1);
            self.join(g, side);
            self.join(h, other);
            if self.outgoing[a as usize] == g1 {
                self.outgoing[a as usize] = other + 1;
            }
            self.outgoing[middle as usize] = h1;
        }
        middle
    }

    /// Removes the vertex that the inner edge `h` leaves, which must not lie on a border, and the two triangles at `h`;
    /// the others of its fan, `fan`, go to the vertex that `h` leads to.
    pub(super) fn collapse(&mut self, h: u32, fan: &[u32]) {
        let g = self.twin(h);
        let (a, b, c, d) = (self.from(h), self.to(h), self.apex(h), self.apex(g));
        let (x, y) = (self.twin(previous(h)), self.twin(next(h)));
        let (u, w) = (self.twin(next(g)), self.twin(previous(g)));
        for &member in fan {
            self.triangles[member as usize / 3][member as usize % 3] = b;
        }
        for triangle in [h / 3, g / 3] {
            self.triangles[triangle as usize] = [NONE; 3];
            self.free_triangles.push(triangle);
        }
        self.join(x, y);
        self.join(u, w);
        self.outgoing[a as usize] = NONE;
        self.free_vertices.push(a);
        self.outgoing[b as usize] = self.first_of_fan(x);
        self.outgoing[c as usize] = self.first_of_fan(next(x));
        self.outgoing[d as usize] = self.first_of_fan(u);
    }

    /// Turns the inner edge `h` so that it joins the two apexes.
    pub(super) fn flip(&mut self, h: u32) {
        let g = self.twin(h);
        let (a, b, c, d) = (self.from(h), self.to(h), self.apex(h), self.apex(g));
        let (h1, h2, g1, g2) = (next(h), previous(h), next(g), previous(g));
        let [bc, ca, ad, db] = [h1, h2, g1, g2].map(|side| self.twin(side));
        for (half_edge, vertex) in [(h, d), (h1, c), (h2, a), (g, c), (g1, d), (g2, b)] {
            self.triangles[half_edge as usize / 3][half_edge as usize % 3] = vertex;
        }
        self.join(h1, ca);
        self.join(h2, ad);
        self.join(g1, db);
        self.join(g2, bc);
        for (vertex, old, new) in [(a, [h, g1], h2), (b, [g, h1], g2), (c, [h2, h2], h1), (d, [g2, g2], g1)] {
            if old.contains(&self.outgoing[vertex as usize]) {
                self.outgoing[vertex as usize] = new;
            }
        }
    }

    /// Makes two half-edges, either of which may be [`NONE`], each other's twins.
    fn join(&mut self, h: u32, g: u32) {
        if h != NONE {
            self.twins[h as usize] = g;
        }
        if g != NONE {
            self.twins[g as usize] = h;
        }
    }

    fn set_to(&mut self, h: u32, vertex: u32) {
        let corner = next(h) as usize;
        self.triangles[corner / 3][corner % 3] = vertex;
    }

    fn new_vertex(&mut self) -> u32 {
        if let Some(vertex) = self.free_vertices.pop() {
            self.source[vertex as usize] = NONE;
            return vertex;
        }
        self.outgoing.push(NONE);
        self.source.push(NONE);
        self.outgoing.len() as u32 - 1
    }

    fn new_triangle(&mut self, corners: [u32; 3]) -> u32 {
        if let Some(triangle) = self.free_triangles.pop() {
            self.triangles[triangle as usize] = corners;
            return triangle;
        }
        self.triangles.push(corners);
        self.twins.extend([NONE; 3]);
        self.triangles.len() as u32 - 1
    }

    /// Checks every invariant of the structure.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let mut fan = Vec::new();
        let mut corners = 0;
        for h in 0..self.twins.len() as u32 {
            if self.triangles[h as usize / 3][0] == NONE {
                continue;
            }
            corners += 1;
            let twin = self.twin(h);
            if twin != NONE {
                assert_eq!(self.twin(twin), h);
                assert_eq!((self.from(h), self.to(h)), (self.to(twin), self.from(twin)));
            }
        }
        for vertex in 0..self.vertex_count() as u32 {
            if !self.is_live(vertex) {
                continue;
            }
            let closed = self.fan(vertex, &mut fan);
            assert!(closed || self.twin(fan[0]) == NONE);
            assert!(fan.iter().all(|&h| self.from(h) == vertex));
            corners -= fan.len();
        }
        assert_eq!(corners, 0, "some corner belongs to no fan");
    }
}

/// The twin of every half-edge. The ends of edges with more than two triangles, or with two of clashing direction, are
/// pinned, and such edges stay without twins.
fn join(triangles: &[[u32; 3]], kinds: &mut [Kind]) -> Vec<u32> {
    let mut edges: Vec<(u64, u32)> = Vec::with_capacity(3 * triangles.len());
    for (index, triangle) in triangles.iter().enumerate() {
        for corner in 0..3 {
            let (a, b) = (triangle[corner], triangle[(corner + 1) % 3]);
            edges.push(((u64::from(a.min(b)) << 32) | u64::from(a.max(b)), (3 * index + corner) as u32));
        }
    }
    edges.sort_unstable();
    let mut twins = vec![NONE; 3 * triangles.len()];
    for group in edges.chunk_by(|left, right| left.0 == right.0) {
        let start = |h: u32| triangles[h as usize / 3][h as usize % 3];
        match group {
            [_] => {}
            [(_, h), (_, g)] if start(*h) != start(*g) => {
                twins[*h as usize] = *g;
                twins[*g as usize] = *h;
            }
            _ => {
                let ends = [(group[0].0 >> 32) as usize, (group[0].0 & 0xffff_ffff) as usize];
                for end in ends {
                    kinds[end] = Kind::Pinned;
                }
            }
        }
    }
    twins
}
