//! Which triangles meet at each edge.

/// The edges of a mesh, ordered by their vertices. Any number of triangles may share one.
#[derive(Clone, Debug, Default)]
pub struct Edges {
    /// Lower and higher vertex index.
    vertices: Vec<[u32; 2]>,
    /// Where the sides of each edge start in `sides`; one more entry than edges.
    first_side: Vec<u32>,
    /// Triangle index times 2, plus 1 where the triangle runs from the higher to the lower vertex.
    sides: Vec<u32>,
}

impl Edges {
    /// Edges of `triangles` over `vertex_count` vertices. Triangles that name a vertex twice, or one that does not exist,
    /// have none.
    pub fn new(triangles: &[[u32; 3]], vertex_count: usize) -> Self {
        let usable = |[a, b, c]: [u32; 3]| a != b && b != c && c != a && a.max(b).max(c) < vertex_count as u32;
        // Bucket the half-edges by lower vertex; buckets are so short that sorting them costs next to nothing.
        let mut bucket_end = vec![0u32; vertex_count + 1];
        for &triangle in triangles.iter().filter(|triangle| usable(**triangle)) {
            for (from, to) in half_edges(triangle) {
                bucket_end[from.min(to) as usize + 1] += 1;
            }
        }
        for vertex in 0..vertex_count {
            bucket_end[vertex + 1] += bucket_end[vertex];
        }
        // Higher vertex over side: sorting by it keeps the sides of an edge in the order of their triangles.
        let mut half = vec![0u64; bucket_end[vertex_count] as usize];
        let mut next = bucket_end.clone();
        for (index, &triangle) in triangles.iter().enumerate() {
            if usable(triangle) {
                for (from, to) in half_edges(triangle) {
                    let slot = &mut next[from.min(to) as usize];
                    let side = (index as u64) << 1 | u64::from(from > to);
                    half[*slot as usize] = u64::from(from.max(to)) << 32 | side;
                    *slot += 1;
                }
            }
        }
        let mut edges = Self {
            vertices: Vec::with_capacity(half.len() / 2 + 1),
            first_side: Vec::with_capacity(half.len() / 2 + 2),
            sides: Vec::with_capacity(half.len()),
        };
        for low in 0..vertex_count {
            let bucket = &mut half[bucket_end[low] as usize..bucket_end[low + 1] as usize];
            bucket.sort_unstable();
            let mut last = u32::MAX;
            for &entry in &*bucket {
                let high = (entry >> 32) as u32;
                if high != last {
                    edges.vertices.push([low as u32, high]);
                    edges.first_side.push(edges.sides.len() as u32);
                    last = high;
                }
                edges.sides.push(entry as u32);
            }
        }
        edges.first_side.push(edges.sides.len() as u32);
        edges
    }

    /// Lower and higher vertex of each edge.
    pub fn vertices(&self) -> &[[u32; 2]] {
        &self.vertices
    }

    /// Triangles at edge `index`, each with `true` where it runs from the lower to the higher vertex.
    pub fn triangles(&self, index: usize) -> impl Iterator<Item = (u32, bool)> + '_ {
        self.sides(index).iter().map(|side| (side >> 1, side & 1 == 0))
    }

    /// For each edge seen as an outline: its index, and on which side of lower-to-higher its surface lies. `facing` tells
    /// how each triangle is wound in the picture: 1, -1, or 0 where it is seen from the side.
    pub(crate) fn outlines<'a>(&'a self, facing: &'a [i8]) -> impl Iterator<Item = (usize, i8)> + 'a {
        (0..self.vertices.len()).filter_map(move |index| {
            let (mut left, mut right) = (false, false);
            for side in self.sides(index) {
                let sign = facing[(side >> 1) as usize];
                let sign = if side & 1 == 0 { sign } else { -sign };
                left |= sign > 0;
                right |= sign < 0;
            }
            (left != right).then_some((index, if left { 1 } else { -1 }))
        })
    }

    fn sides(&self, index: usize) -> &[u32] {
        &self.sides[self.first_side[index] as usize..self.first_side[index + 1] as usize]
    }
}

fn half_edges([a, b, c]: [u32; 3]) -> [(u32, u32); 3] {
    [(a, b), (b, c), (c, a)]
}

#[cfg(test)]
mod tests {
    use super::Edges;

    #[test]
    fn sides_of_edges() {
        // Two triangles of a quad, a third on their diagonal, one without area, one out of range.
        let edges = Edges::new(&[[0, 1, 2], [2, 1, 3], [1, 2, 4], [3, 3, 1], [0, 1, 9]], 5);
        let expected = [[0, 1], [0, 2], [1, 2], [1, 3], [1, 4], [2, 3], [2, 4]];
        assert_eq!(edges.vertices(), expected);
        assert_eq!(edges.triangles(2).collect::<Vec<_>>(), [(0, true), (1, false), (2, true)]);
        assert_eq!(edges.triangles(1).collect::<Vec<_>>(), [(0, false)]);
        assert!(Edges::new(&[], 0).vertices().is_empty());
    }

    #[test]
    fn outlines_are_boundaries_and_folds() {
        let edges = Edges::new(&[[0, 1, 2], [2, 1, 3]], 4);
        let outlines = |facing: [i8; 2]| edges.outlines(&facing).collect::<Vec<_>>();
        assert_eq!(outlines([1, 1]), [(0, 1), (1, -1), (3, 1), (4, -1)]);
        assert_eq!(outlines([1, -1]), [(0, 1), (1, -1), (2, 1), (3, -1), (4, 1)]);
        assert_eq!(outlines([0, 0]), []);
    }
}
