//! The cases of dual marching cubes, derived at compile time.
//!
//! The patches of a case are those of Nielson 2004, "Dual Marching Cubes" (IEEE Visualization). The cases that have to
//! give way to their neighbour are C16 and C19 of the same paper.

/// Corner `c` of a cube lies at offset `(c & 1, c >> 1 & 1, c >> 2 & 1)`. The ends of its edges, in the direction that all
/// cubes around a grid edge agree on: x and z edges point up their axis, y edges down.
pub(super) const EDGES: [[usize; 2]; 12] =
    [[0, 1], [1, 5], [4, 5], [0, 4], [2, 3], [3, 7], [6, 7], [2, 6], [2, 0], [3, 1], [7, 5], [6, 4]];

/// Local edge that a grid edge along the first index has in its cube of rank 0 to 3 (ascending cube id).
pub(super) const EDGE_IN_CUBE: [[u8; 4]; 3] = {
    let mut table = [[0; 4]; 3];
    let mut axis = 0;
    while axis < 3 {
        let (p, q) = other_axes(axis);
        let mut rank = 0;
        while rank < 4 {
            // The lower the cube lies beside the edge, the higher the edge lies in the cube.
            let corner = (1 - (rank >> 1)) << p | (1 - (rank & 1)) << q;
            let mut edge = 0;
            while edge < 12 {
                let [a, b] = EDGES[edge];
                if (a == corner && b == corner | 1 << axis) || (b == corner && a == corner | 1 << axis) {
                    table[axis][rank] = edge as u8;
                }
                edge += 1;
            }
            rank += 1;
        }
        axis += 1;
    }
    table
};

/// The two axes besides `axis`, ascending.
pub(super) const fn other_axes(axis: usize) -> (usize, usize) {
    (if axis == 0 { 1 } else { 0 }, if axis == 2 { 1 } else { 2 })
}

/// Most edges of a patch.
pub(super) const MAX_PATCH_EDGES: usize = 7;

/// Marks an edge without crossing in [`Case::patch_of_edge`], and a case without pair in [`Case::paired_face`].
pub(super) const NONE: u8 = u8::MAX;

/// How the surface passes through a cube whose corner `c` is inside where bit `c` of the case is set.
#[derive(Clone, Copy)]
pub(super) struct Case {
    /// Number of patches, each of which gets one dual vertex.
    pub(super) count: u8,
    /// Bit set of the edges of each patch.
    pub(super) patches: [u16; 4],
    /// Patch of each crossing edge.
    pub(super) patch_of_edge: [u8; 12],
    /// The face `2 * axis + side` all of whose four edges the only patch owns. If the neighbour behind it is such a case
    /// too, the dual edge between both would belong to four quads; both then take their complement, which has two patches.
    pub(super) paired_face: u8,
}

/// All cases.
pub(super) static CASES: [Case; 256] = {
    let mut cases = [Case { count: 0, patches: [0; 4], patch_of_edge: [NONE; 12], paired_face: NONE }; 256];
    let mut case = 0;
    while case < 256 {
        cases[case] = derive(case);
        case += 1;
    }
    cases
};

const fn derive(case: usize) -> Case {
    let crossings = crossing_edges(case);
    let (joined, ambiguous_face, ambiguous_count) = join_over_faces(case, crossings);
    let roots = inside_roots(case);

    // Flood along joined edges: one patch a component. Patches are inserted in the order of their keys.
    let mut patches = [0u16; 4];
    let mut keys = [usize::MAX; 4];
    let mut count = 0;
    let mut rest = crossings;
    while rest != 0 {
        let mut patch = rest & rest.wrapping_neg();
        let mut round = 0;
        while round < 12 {
            let mut edge = 0;
            while edge < 12 {
                if patch >> edge & 1 == 1 {
                    patch |= joined[edge];
                }
                edge += 1;
            }
            round += 1;
        }
        rest &= !patch;
        let key = patch_key(case, patch, &roots);
        let mut place = count;
        while place > 0 && keys[place - 1] > key {
            keys[place] = keys[place - 1];
            patches[place] = patches[place - 1];
            place -= 1;
        }
        keys[place] = key;
        patches[place] = patch;
        count += 1;
    }

    let mut patch_of_edge = [NONE; 12];
    let mut edge = 0;
    while edge < 12 {
        let mut patch = 0;
        while patch < count {
            if patches[patch] >> edge & 1 == 1 {
                patch_of_edge[edge] = patch as u8;
            }
            patch += 1;
        }
        edge += 1;
    }
    let paired_face = if ambiguous_count == 1 && count == 1 { ambiguous_face } else { NONE };
    Case { count: count as u8, patches, patch_of_edge, paired_face }
}

/// Bit set of the edges with one end inside and one outside.
const fn crossing_edges(case: usize) -> u16 {
    let mut crossings = 0;
    let mut edge = 0;
    while edge < 12 {
        let [a, b] = EDGES[edge];
        if (case >> a ^ case >> b) & 1 == 1 {
            crossings |= 1 << edge;
        }
        edge += 1;
    }
    crossings
}

/// For every edge the crossing edges that the surface joins it to over a face; then the last ambiguous face, which has
/// four crossings, and how many there are. An ambiguous face separates its inside corners.
const fn join_over_faces(case: usize, crossings: u16) -> ([u16; 12], u8, usize) {
    let mut joined = [0u16; 12];
    let mut ambiguous_face = NONE;
    let mut ambiguous_count = 0;
    let mut face = 0;
    while face < 6 {
        let (axis, side) = (face >> 1, face & 1);
        let mut on_face = 0u16;
        let mut edge = 0;
        while edge < 12 {
            let [a, b] = EDGES[edge];
            if a >> axis & 1 == side && b >> axis & 1 == side {
                on_face |= 1 << edge;
            }
            edge += 1;
        }
        let crossed = on_face & crossings;
        if crossed.count_ones() == 4 {
            ambiguous_face = face as u8;
            ambiguous_count += 1;
            let mut corner = 0;
            while corner < 8 {
                if corner >> axis & 1 == side && case >> corner & 1 == 1 {
                    join(&mut joined, on_face & edges_at(corner));
                }
                corner += 1;
            }
        } else {
            join(&mut joined, crossed);
        }
        face += 1;
    }
    (joined, ambiguous_face, ambiguous_count)
}

const fn join(joined: &mut [u16; 12], edges: u16) {
    let mut edge = 0;
    while edge < 12 {
        if edges >> edge & 1 == 1 {
            joined[edge] |= edges;
        }
        edge += 1;
    }
}

/// Bit set of the three edges at a corner.
const fn edges_at(corner: usize) -> u16 {
    let mut edges = 0;
    let mut edge = 0;
    while edge < 12 {
        if EDGES[edge][0] == corner || EDGES[edge][1] == corner {
            edges |= 1 << edge;
        }
        edge += 1;
    }
    edges
}

/// For every inside corner the smallest corner that inside edges link it to.
const fn inside_roots(case: usize) -> [usize; 8] {
    let mut roots = [0, 1, 2, 3, 4, 5, 6, 7];
    let mut round = 0;
    while round < 8 {
        let mut edge = 0;
        while edge < 12 {
            let [a, b] = EDGES[edge];
            if case >> a & case >> b & 1 == 1 {
                let root = if roots[a] < roots[b] { roots[a] } else { roots[b] };
                roots[a] = root;
                roots[b] = root;
            }
            edge += 1;
        }
        round += 1;
    }
    roots
}

/// Patches of a case are sorted by the smallest root of their inside corners, then by their smallest outside corner.
const fn patch_key(case: usize, patch: u16, roots: &[usize; 8]) -> usize {
    let (mut root, mut outside) = (8, 8);
    let mut edge = 0;
    while edge < 12 {
        if patch >> edge & 1 == 1 {
            let [a, b] = EDGES[edge];
            let (inner, outer) = if case >> a & 1 == 1 { (a, b) } else { (b, a) };
            if roots[inner] < root {
                root = roots[inner];
            }
            if outer < outside {
                outside = outer;
            }
        }
        edge += 1;
    }
    root * 8 + outside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patch_counts_are_the_published_ones() {
        let mut histogram = [0; 5];
        for case in &CASES {
            histogram[case.count as usize] += 1;
        }
        assert_eq!(histogram, [2, 162, 82, 8, 2]);
    }

    #[test]
    fn patches_partition_the_crossing_edges() {
        for (id, case) in CASES.iter().enumerate() {
            let mut union = 0;
            for (rank, &patch) in case.patches.iter().enumerate().take(case.count as usize) {
                assert_eq!(union & patch, 0, "case {id}");
                assert!((3..=MAX_PATCH_EDGES as u32).contains(&patch.count_ones()), "case {id}");
                union |= patch;
                for edge in 0..12 {
                    assert_eq!(patch >> edge & 1 == 1, case.patch_of_edge[edge] == rank as u8, "case {id}");
                }
            }
            assert_eq!(union, crossing_edges(id));
        }
    }

    #[test]
    fn paired_cases_own_a_face_and_their_complement_splits() {
        let paired: Vec<_> = (0..256).filter(|&id| CASES[id].paired_face != NONE).collect();
        assert_eq!(paired.len(), 36);
        assert_eq!(paired.iter().filter(|id| id.count_ones() == 5).count(), 24);
        assert_eq!(paired.iter().filter(|id| id.count_ones() == 6).count(), 12);
        for &id in &paired {
            assert_eq!(CASES[255 - id].count, 2, "case {id}");
        }
        let faces = [61, 62, 91, 103].map(|id: usize| CASES[id].paired_face);
        assert_eq!(faces, [1, 0, 3, 5]);
    }

    #[test]
    fn the_cubes_of_a_grid_edge_name_its_direction() {
        for axis in 0..3 {
            for edge in EDGE_IN_CUBE[axis] {
                let [a, b] = EDGES[edge as usize];
                assert_eq!(a ^ b, 1 << axis);
                assert_eq!(a < b, axis != 1);
            }
        }
    }
}
