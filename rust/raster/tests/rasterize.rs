//! Coverage, depth and barycentrics.

mod common;

use common::{bumpy_sphere, frontal_camera};
use maquette_core::{Camera, random};
use maquette_raster::{GBuffer, rasterize, rasterize_views};
use rand::RngExt as _;

/// How many of the triangles, each drawn alone, cover each pixel.
fn coverage_count(positions: &[[f32; 3]], triangles: &[[u32; 3]], camera: &Camera) -> Vec<u32> {
    let mut count = vec![0; camera.width * camera.height];
    for &triangle in triangles {
        let alone = rasterize(positions, &[triangle], camera);
        for (count, &seen) in count.iter_mut().zip(&alone.triangle) {
            *count += u32::from(seen != GBuffer::EMPTY);
        }
    }
    count
}

#[test]
fn fans_cover_every_pixel_exactly_once() {
    let mut random = random::stream(1, "fans");
    for case in 0..60 {
        let camera = frontal_camera(33, 21, 32.0);
        let corners = random.random_range(4..24);
        // Half of the fans have their hub, and rays from it, exactly on pixel centres.
        let snap = |x: f32| if case % 2 == 0 { (x * 32.0).round() / 32.0 } else { x };
        let mut positions = vec![[snap(random.random_range(-0.4..0.4)), snap(random.random_range(-0.3..0.3)), 0.0]];
        for corner in 0..corners {
            let angle = (corner as f32 + random.random_range(0.0..0.6)) / corners as f32 * std::f32::consts::TAU;
            let radius = random.random_range(3.0..6.0);
            positions.push([snap(radius * angle.cos()), snap(radius * angle.sin()), 0.0]);
        }
        let triangles: Vec<[u32; 3]> = (0..corners)
            .map(|corner| {
                let (a, b) = (corner + 1, (corner + 1) % corners + 1);
                if random.random() { [0, a, b] } else { [b, a, 0] }
            })
            .collect();
        let count = coverage_count(&positions, &triangles, &camera);
        assert!(count.iter().all(|&count| count == 1), "case {case}: {count:?}");
    }
}

/// Cells from a third of a pixel to a hundred pixels: every way of filling a triangle meets every other one.
#[test]
fn grids_of_mixed_sizes_cover_every_pixel_exactly_once() {
    let mut random = random::stream(3, "grids");
    let camera = frontal_camera(150, 131, 100.0);
    for case in 0..4 {
        let mut lines = vec![-1.0f32];
        while lines[lines.len() - 1] < 1.0 {
            let pixels = [0.3, 0.8, 1.7, 3.0, 6.0, 17.0, 40.0, 100.0][random.random_range(0..8)];
            lines.push(lines[lines.len() - 1] + pixels / 100.0);
        }
        let count = lines.len() as u32;
        let mut positions = Vec::new();
        for (row, &y) in lines.iter().enumerate() {
            for (column, &x) in lines.iter().enumerate() {
                // Jittered inside; the border stays out of the picture.
                let gap = |index: usize, lines: &[f32]| match index {
                    0 => 0.0,
                    _ if index + 1 == lines.len() => 0.0,
                    _ => 0.3 * (lines[index + 1] - lines[index]).min(lines[index] - lines[index - 1]),
                };
                let mut jitter = |gap: f32| if gap > 0.0 { random.random_range(-gap..gap) } else { 0.0 };
                positions.push([x + jitter(gap(column, &lines)), y + jitter(gap(row, &lines)), 0.0]);
            }
        }
        let mut triangles = Vec::new();
        for row in 0..count - 1 {
            for column in 0..count - 1 {
                let a = row * count + column;
                triangles.push([a, a + 1, a + count]);
                triangles.push([a + 1, a + count, a + count + 1]);
            }
        }
        let count = coverage_count(&positions, &triangles, &camera);
        assert!(count.iter().all(|&count| count == 1), "case {case}");
    }
}

#[test]
fn edges_through_pixel_centres_belong_to_one_triangle() {
    // A square whose four sides and diagonal run exactly through pixel centres: 4 x 4 centres inside the half-open box.
    let camera = frontal_camera(8, 8, 8.0);
    let at = |column: f32, row: f32| [(column - 4.0) / 8.0, (4.0 - row) / 8.0, 0.0];
    let positions = [at(1.5, 1.5), at(5.5, 1.5), at(5.5, 5.5), at(1.5, 5.5)];
    let count = coverage_count(&positions, &[[0, 1, 2], [0, 2, 3]], &camera);
    for row in 0..8 {
        for column in 0..8 {
            let inside = (1..5).contains(&row) && (1..5).contains(&column);
            assert_eq!(count[row * 8 + column], u32::from(inside), "row {row} column {column}");
        }
    }
}

#[test]
fn a_ground_plane_behind_the_camera_covers_everything_below_the_horizon_once() {
    let mut random = random::stream(2, "ground");
    for _ in 0..40 {
        let camera = frontal_camera(40, 40, 20.0);
        let corners = 9u32;
        let far = 1e5;
        let mut positions = vec![[random.random_range(-0.5..0.5), -0.3, random.random_range(0.6..1.4)]];
        for corner in 0..corners {
            let angle = (corner as f32 + random.random_range(0.0..0.5)) / corners as f32 * std::f32::consts::TAU;
            positions.push([far * angle.cos(), -0.3, far * angle.sin()]);
        }
        let triangles: Vec<[u32; 3]> = (0..corners).map(|corner| [0, corner + 1, (corner + 1) % corners + 1]).collect();
        let count = coverage_count(&positions, &triangles, &camera);
        for row in 0..40 {
            for column in 0..40 {
                assert_eq!(count[row * 40 + column], u32::from(row >= 20), "row {row} column {column}");
            }
        }
        let gbuffer = rasterize(&positions, &triangles, &camera);
        for row in 20..40 {
            let expected = 0.3 * 20.0 / (row as f32 + 0.5 - 20.0);
            let depth = gbuffer.depth[row * 40 + 7];
            assert!((depth - expected).abs() < 1e-3 * expected, "row {row}: {depth} {expected}");
        }
    }
}

/// Nearest hit of the ray through a pixel centre, in double precision: (triangle, u, v, depth), and how near the hit is to
/// an edge of its triangle, as a barycentric coordinate.
fn cast(
    positions: &[[f32; 3]],
    triangles: &[[u32; 3]],
    camera: &Camera,
    column: usize,
    row: usize,
) -> Option<(u32, [f64; 4])> {
    let origin = [camera.position.x, camera.position.y, camera.position.z].map(f64::from);
    let far = camera.unproject(column as f32 + 0.5, row as f32 + 0.5, 1.0).map(f64::from);
    let sub = |a: [f64; 3], b: [f64; 3]| [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let cross =
        |a: [f64; 3], b: [f64; 3]| [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    let direction = sub(far, origin);
    let mut nearest: Option<(u32, [f64; 4])> = None;
    for (index, triangle) in triangles.iter().enumerate() {
        let [a, b, c] = triangle.map(|vertex| positions[vertex as usize].map(f64::from));
        let (e1, e2) = (sub(b, a), sub(c, a));
        let p = cross(direction, e2);
        let determinant = dot(e1, p);
        if determinant == 0.0 {
            continue;
        }
        let t = sub(origin, a);
        let u = dot(t, p) / determinant;
        let q = cross(t, e1);
        let v = dot(direction, q) / determinant;
        let depth = dot(e2, q) / determinant;
        let margin = u.min(v).min(1.0 - u - v);
        if margin >= 0.0 && depth > 0.0 && nearest.is_none_or(|(_, found)| depth < found[2]) {
            nearest = Some((index as u32, [u, v, depth, margin]));
        }
    }
    nearest
}

#[test]
fn triangles_barycentrics_and_depth_match_ray_casting() {
    let (positions, triangles) = bumpy_sphere(24, 32, 0.3);
    for camera in [Camera::rig(20.0, 15.0, 64), Camera::orbit(200.0, -40.0, 0.9, 50.0, 48)] {
        let gbuffer = rasterize(&positions, &triangles, &camera);
        let (mut compared, mut differ) = (0, 0);
        for row in 0..camera.height {
            for column in 0..camera.width {
                let index = row * camera.width + column;
                let hit = cast(&positions, &triangles, &camera, column, row);
                match hit {
                    Some((triangle, [u, v, depth, margin])) if gbuffer.triangle[index] == triangle => {
                        compared += 1;
                        let [gu, gv] = gbuffer.barycentric[index].map(f64::from);
                        // Thin triangles near the limb amplify rounding: allow what their margin shows.
                        let tolerance = 2e-3 + if margin < 1e-3 { 2e-2 } else { 0.0 };
                        assert!((gu - u).abs() < tolerance && (gv - v).abs() < tolerance, "{gu} {u} {gv} {v}");
                        assert!((f64::from(gbuffer.depth[index]) - depth).abs() < 2e-4);
                    }
                    None if gbuffer.triangle[index] == GBuffer::EMPTY => {}
                    _ => differ += 1,
                }
            }
        }
        assert!(compared > 1000, "{compared}");
        // Only pixel centres within rounding of an edge may fall to the neighbour.
        assert!(differ <= 3, "{differ} of {compared} pixels see another triangle");
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let (positions, triangles) = bumpy_sphere(60, 90, 0.25);
    let cameras = Camera::six_views(200);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| rasterize_views(&positions, &triangles, &cameras))
    };
    let one = run(1);
    assert!(one == run(2) && one == run(7));
    assert!(one.iter().all(|view| view.triangle.iter().any(|&triangle| triangle != GBuffer::EMPTY)));
}

#[test]
fn of_equal_triangles_the_lowest_index_wins() {
    let camera = frontal_camera(16, 16, 16.0);
    let positions = [[-0.4, -0.4, 0.0], [0.4, -0.4, 0.0], [0.0, 0.4, 0.0]];
    let gbuffer = rasterize(&positions, &[[0, 1, 1], [0, 1, 2], [0, 1, 2]], &camera);
    assert!(gbuffer.triangle.iter().all(|&triangle| triangle == 1 || triangle == GBuffer::EMPTY));
    assert!(gbuffer.triangle.contains(&1));
}

#[test]
fn hostile_input_is_survived() {
    let nan = f32::NAN;
    let positions = [
        [-0.4, -0.4, 0.0],
        [0.4, -0.4, 0.0],
        [0.0, 0.4, 0.0],
        [nan, 0.0, 0.0],
        [f32::INFINITY, 0.0, 0.0],
        [3e38, 3e38, -3e38],
        [-3e38, 1e30, -3e38],
        [1e-40, -1e-40, 1.0],
    ];
    let mut triangles = vec![[0, 1, 2]];
    for a in 0..9u32 {
        for b in 0..9 {
            triangles.push([a, b, (a * 7 + b * 3 + 1) % 9]);
        }
    }
    triangles.push([u32::MAX, 0, 1]);
    for (width, height) in [(0, 0), (0, 5), (5, 0), (1, 1), (3, 1), (1, 200), (200_000, 1), (1, 200_000), (65, 31)] {
        let camera = frontal_camera(width, height, 16.0);
        for count in [0, 1, triangles.len()] {
            let gbuffer = rasterize(&positions, &triangles[..count], &camera);
            assert_eq!(gbuffer.triangle.len(), width * height);
            for index in 0..width * height {
                if gbuffer.triangle[index] == GBuffer::EMPTY {
                    assert_eq!(gbuffer.depth[index], 0.0);
                    continue;
                }
                assert!(
                    triangles[gbuffer.triangle[index] as usize]
                        .iter()
                        .all(|&vertex| vertex < 8 && vertex != 3 && vertex != 4)
                );
                assert!(gbuffer.depth[index] > 0.0 && gbuffer.depth[index].is_finite());
                let weights = gbuffer.weights(index);
                assert!(weights.iter().all(|weight| (-1e-6..=1.0).contains(weight)), "{weights:?}");
            }
        }
    }
    let mut camera = frontal_camera(8, 8, nan);
    assert!(rasterize(&positions, &triangles, &camera).triangle.iter().all(|&seen| seen == GBuffer::EMPTY));
    camera.focal_px = [1e38; 2];
    let _ = rasterize(&positions, &triangles, &camera);
}
