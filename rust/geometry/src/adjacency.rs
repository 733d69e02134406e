//! Which vertices of a mesh share an edge.

/// The neighbours of every vertex, ascending, in one flat list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Adjacency {
    starts: Vec<u32>,
    neighbours: Vec<u32>,
}

impl Adjacency {
    /// Neighbours in a mesh of `vertex_count` vertices, all of which `triangles` may name.
    pub(crate) fn new(vertex_count: usize, triangles: &[[u32; 3]]) -> Self {
        let directed = || {
            let sides = triangles.iter().flat_map(|&[a, b, c]| [(a, b), (b, c), (c, a)]);
            sides.filter(|(a, b)| a != b).flat_map(|(a, b)| [(a, b), (b, a)])
        };
        let mut starts = vec![0u32; vertex_count + 1];
        for (from, _) in directed() {
            starts[from as usize + 1] += 1;
        }
        for vertex in 0..vertex_count {
            starts[vertex + 1] += starts[vertex];
        }
        let mut next = starts.clone();
        let mut all = vec![0u32; starts[vertex_count] as usize];
        for (from, to) in directed() {
            let slot = &mut next[from as usize];
            all[*slot as usize] = to;
            *slot += 1;
        }
        // Every inner edge came twice.
        let mut neighbours = Vec::with_capacity(all.len() / 2);
        let mut start = 0;
        for vertex in 0..vertex_count {
            let end = starts[vertex + 1] as usize;
            let row = &mut all[start..end];
            row.sort_unstable();
            starts[vertex] = neighbours.len() as u32;
            neighbours.extend(row.chunk_by(|a, b| a == b).map(|group| group[0]));
            start = end;
        }
        starts[vertex_count] = neighbours.len() as u32;
        Self { starts, neighbours }
    }

    /// Number of vertices.
    pub(crate) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Vertices that share an edge with `vertex`.
    pub(crate) fn of(&self, vertex: usize) -> &[u32] {
        &self.neighbours[self.starts[vertex] as usize..self.starts[vertex + 1] as usize]
    }
}
