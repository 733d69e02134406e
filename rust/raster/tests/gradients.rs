//! Backward passes against central differences.

mod common;

use common::{bumpy_sphere, frontal_camera};
use maquette_core::{Camera, Plane, random};
use maquette_raster::{
    Edges, GBuffer, NormalViews, Shading, Silhouettes, coverage, face_normals, face_normals_backward, interpolate,
    interpolate_backward, look_up_faces, look_up_faces_backward, rasterize, rasterize_backward, vertex_normals,
    vertex_normals_backward,
};
use rand::RngExt as _;

type Points = Vec<[f32; 3]>;

fn random_points<const C: usize>(count: usize, scale: f32, purpose: &str) -> Vec<[f32; C]> {
    let mut random = random::stream(5, purpose);
    (0..count).map(|_| std::array::from_fn(|_| random.random_range(-scale..scale))).collect()
}

fn inner<const C: usize>(a: &[[f32; C]], b: &[[f32; C]]) -> f64 {
    a.iter().flatten().zip(b.iter().flatten()).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
}

fn moved<const C: usize>(points: &[[f32; C]], direction: &[[f32; C]], step: f32) -> Vec<[f32; C]> {
    points.iter().zip(direction).map(|(p, d)| std::array::from_fn(|k| p[k] + step * d[k])).collect()
}

/// Relative error, over all directions, of `gradient` against central differences of `loss`.
fn relative_error<const C: usize>(
    at: &[[f32; C]],
    gradient: &[[f32; C]],
    directions: &[Vec<[f32; C]>],
    step: f32,
    loss: impl Fn(&[[f32; C]]) -> f64,
) -> f64 {
    let (mut difference, mut size) = (0.0, 0.0);
    for direction in directions {
        let numeric =
            (loss(&moved(at, direction, step)) - loss(&moved(at, direction, -step))) / (2.0 * f64::from(step));
        let analytic = inner(gradient, direction);
        difference += (numeric - analytic).powi(2);
        size += numeric.powi(2);
    }
    assert!(size > 0.0 && difference.is_finite(), "nothing to compare");
    (difference / size).sqrt()
}

/// Every coordinate of the given vertices, one at a time.
fn one_at_a_time<const C: usize>(count: usize, vertices: impl Iterator<Item = usize>) -> Vec<Vec<[f32; C]>> {
    vertices
        .flat_map(|vertex| {
            (0..C).map(move |k| {
                let mut direction = vec![[0.0; C]; count];
                direction[vertex][k] = 1.0;
                direction
            })
        })
        .collect()
}

/// A wavy surface that fills the picture, seen at a slant.
fn wavy_ground() -> (Points, Vec<[u32; 3]>, Camera) {
    let cells = 9u32;
    let mut positions = Vec::new();
    for row in 0..=cells {
        for column in 0..=cells {
            // Off the symmetric lattice, whose edges would run exactly through pixel centres, where gradients jump.
            let (u, v) = (column as f32 / cells as f32 * 2.0 - 1.0, row as f32 / cells as f32 * 2.0 - 1.0);
            let (x, y) = (1.1 * u + 0.031 * (9.0 * v).sin() + 0.013, 1.1 * v + 0.043 * (7.0 * u).cos());
            positions.push([x, y, 0.08 * (3.0 * x).sin() * (2.0 * y).cos() + 0.3 * y]);
        }
    }
    let mut triangles = Vec::new();
    for row in 0..cells {
        for column in 0..cells {
            let a = row * (cells + 1) + column;
            triangles.push([a, a + 1, a + cells + 2]);
            triangles.push([a, a + cells + 2, a + cells + 1]);
        }
    }
    (positions, triangles, frontal_camera(48, 40, 60.0))
}

#[test]
fn interpolation_inside() {
    let (positions, triangles, camera) = wavy_ground();
    let attributes: Vec<[f32; 4]> = random_points(positions.len(), 1.0, "attributes");
    let weight = smooth_weight::<4>(&camera).data;
    let gbuffer = rasterize(&positions, &triangles, &camera);
    assert!(!gbuffer.triangle.contains(&GBuffer::EMPTY));

    let gradient = Plane { width: camera.width, height: camera.height, data: weight.clone() };
    let mut to_attributes = vec![[0.0; 4]; attributes.len()];
    let mut to_barycentrics = vec![[0.0; 2]; weight.len()];
    let mut to_positions = vec![[0.0; 3]; positions.len()];
    interpolate_backward(&gbuffer, &triangles, &attributes, &gradient, &mut to_attributes, &mut to_barycentrics);
    rasterize_backward(&gbuffer, &positions, &triangles, &camera, &to_barycentrics, &[], &mut to_positions);

    let all: Vec<Vec<[f32; 4]>> = (0..8).map(|k| random_points(attributes.len(), 1.0, &format!("a{k}"))).collect();
    let error = relative_error(&attributes, &to_attributes, &all, 1e-2, |attributes| {
        inner(&interpolate(&gbuffer, &triangles, attributes).data, &weight)
    });
    assert!(error < 1e-4, "attributes: {error}");

    let each = one_at_a_time(positions.len(), (0..positions.len()).step_by(3));
    let error = relative_error(&positions, &to_positions, &each, 2e-4, |positions| {
        let gbuffer = rasterize(positions, &triangles, &camera);
        inner(&interpolate(&gbuffer, &triangles, &attributes).data, &weight)
    });
    assert!(error < 1e-2, "positions: {error}");
}

#[test]
fn depth_inside() {
    let (positions, triangles, camera) = wavy_ground();
    let weight = random_points::<1>(camera.width * camera.height, 1.0, "weight");
    let gbuffer = rasterize(&positions, &triangles, &camera);
    let mut to_positions = vec![[0.0; 3]; positions.len()];
    let flat: Vec<f32> = weight.iter().map(|w| w[0]).collect();
    let none = vec![[0.0; 2]; flat.len()];
    rasterize_backward(&gbuffer, &positions, &triangles, &camera, &none, &flat, &mut to_positions);
    let each = one_at_a_time(positions.len(), (0..positions.len()).step_by(3));
    let error = relative_error(&positions, &to_positions, &each, 2e-4, |positions| {
        let depth: Vec<[f32; 1]> =
            rasterize(positions, &triangles, &camera).depth.iter().map(|&depth| [depth]).collect();
        inner(&depth, &weight)
    });
    assert!(error < 1e-2, "{error}");
}

#[test]
fn normals_of_faces_and_vertices() {
    let (positions, triangles) = bumpy_sphere(8, 12, 0.3);
    let each = one_at_a_time(positions.len(), (0..positions.len()).step_by(5));

    let weight = random_points::<3>(triangles.len(), 1.0, "faces");
    let mut gradient = vec![[0.0; 3]; positions.len()];
    face_normals_backward(&positions, &triangles, &weight, &mut gradient);
    let error = relative_error(&positions, &gradient, &each, 1e-3, |p| inner(&face_normals(p, &triangles), &weight));
    assert!(error < 1e-2, "faces: {error}");

    let weight = random_points::<3>(positions.len(), 1.0, "vertices");
    let mut gradient = vec![[0.0; 3]; positions.len()];
    vertex_normals_backward(&positions, &triangles, &weight, &mut gradient);
    let error = relative_error(&positions, &gradient, &each, 1e-3, |p| inner(&vertex_normals(p, &triangles), &weight));
    assert!(error < 1e-2, "vertices: {error}");
}

#[test]
fn face_values_reach_the_faces_seen() {
    let (positions, triangles) = bumpy_sphere(8, 12, 0.3);
    let camera = Camera::rig(40.0, 10.0, 64);
    let gbuffer = rasterize(&positions, &triangles, &camera);
    let weight = random_points::<2>(64 * 64, 1.0, "weight");
    let values = random_points::<2>(triangles.len(), 1.0, "values");
    let mut gradient = vec![[0.0; 2]; triangles.len()];
    let plane = Plane { width: 64, height: 64, data: weight.clone() };
    look_up_faces_backward(&gbuffer, &plane, &mut gradient);
    let directions = [random_points(triangles.len(), 1.0, "direction")];
    let error = relative_error(&values, &gradient, &directions, 1e-1, |values| {
        inner(&look_up_faces(&gbuffer, values).data, &weight)
    });
    assert!(error < 1e-4, "{error}");
}

/// Smooth deformations: moving, growing and waves in several directions.
fn smooth_directions(positions: &[[f32; 3]]) -> Vec<Points> {
    let mut directions: Vec<Points> =
        (0..3).map(|axis| positions.iter().map(|_| std::array::from_fn(|k| f32::from(k == axis))).collect()).collect();
    directions.push(positions.to_vec());
    for (index, wave) in random_points::<3>(8, 6.0, "waves").into_iter().enumerate() {
        let phase = |p: &[f32; 3]| (wave[0] * p[0] + wave[1] * p[1] + wave[2] * p[2] + index as f32).sin();
        let axis = index % 3;
        directions.push(positions.iter().map(|p| std::array::from_fn(|k| f32::from(k == axis) * phase(p))).collect());
    }
    directions
}

/// A smooth picture of weights.
fn smooth_weight<const C: usize>(camera: &Camera) -> Plane<C> {
    let mut plane = Plane::filled(camera.width, camera.height, [0.0; C]);
    for row in 0..camera.height {
        for column in 0..camera.width {
            let x = (column as f32 + 0.5) / camera.width as f32;
            let y = (row as f32 + 0.5) / camera.height as f32;
            *plane.at_mut(row, column) =
                std::array::from_fn(|k| (5.0 * x + k as f32).sin() + (4.0 * y - 2.0 * x + 2.0 * k as f32).cos());
        }
    }
    plane
}

#[test]
fn silhouettes_of_a_smooth_scene() {
    // Coarse and fine: triangles of several pixels, and smaller than one.
    // (A notch between two outlines that is narrower than a pixel is not seen; at 96 pixels the deeper bumps have one.)
    for (rings, sectors, bump, size) in [(20, 28, 0.2, 96), (90, 120, 0.1, 96), (90, 120, 0.2, 160)] {
        let (positions, triangles) = bumpy_sphere(rings, sectors, bump);
        let edges = Edges::new(&triangles, positions.len());
        let camera = Camera::rig(25.0, 20.0, size);
        let weight = smooth_weight::<1>(&camera);
        let render = |positions: &[[f32; 3]]| {
            let gbuffer = rasterize(positions, &triangles, &camera);
            let silhouettes = Silhouettes::new(&gbuffer, positions, &triangles, &edges, &camera);
            (coverage(&gbuffer), silhouettes)
        };
        let (hard, silhouettes) = render(&positions);
        let mut to_plane = Plane::filled(size, size, [0.0]);
        let mut to_positions = vec![[0.0; 3]; positions.len()];
        silhouettes.antialias_backward(&hard, &weight, &positions, &camera, &mut to_plane, &mut to_positions);

        let directions = smooth_directions(&positions);
        let soft_error = relative_error(&positions, &to_positions, &directions, 2e-3, |positions| {
            let (hard, silhouettes) = render(positions);
            inner(&silhouettes.antialias(&hard).data, &weight.data)
        });
        // What it stands for: the exact area under the weights, here by many samples.
        let fine_camera = Camera::rig(25.0, 20.0, 1024);
        let fine_weight = smooth_weight::<1>(&fine_camera);
        let exact_error = relative_error(&positions, &to_positions, &directions, 4e-3, |positions| {
            let fine = coverage(&rasterize(positions, &triangles, &fine_camera));
            inner(&fine.data, &fine_weight.data) * (size as f64 / 1024.0).powi(2)
        });
        println!("{rings} rings at {size}: {soft_error} to the soft mask, {exact_error} to the exact one");
        assert!(soft_error < 1e-2 && exact_error < 1e-2, "{rings} rings: {soft_error} {exact_error}");
    }
}

#[test]
fn soft_masks_have_the_area_of_the_outline() {
    let (positions, triangles) = bumpy_sphere(60, 90, 0.2);
    let edges = Edges::new(&triangles, positions.len());
    let fine = coverage(&rasterize(&positions, &triangles, &Camera::rig(25.0, 20.0, 2048))).resized(64, 64);
    let camera = Camera::rig(25.0, 20.0, 64);
    let gbuffer = rasterize(&positions, &triangles, &camera);
    let soft = Silhouettes::new(&gbuffer, &positions, &triangles, &edges, &camera).antialias(&coverage(&gbuffer));
    let worst =
        |plane: &Plane<1>| plane.data.iter().zip(&fine.data).map(|(a, b)| (a[0] - b[0]).abs()).fold(0.0, f32::max);
    let (hard_error, soft_error) = (worst(&coverage(&gbuffer)), worst(&soft));
    println!("largest difference to exact coverage: hard {hard_error}, soft {soft_error}");
    assert!(hard_error > 0.4 && soft_error < 0.16, "{hard_error} {soft_error}");
    let area = |plane: &Plane<1>| plane.data.iter().map(|pixel| f64::from(pixel[0])).sum::<f64>();
    let error = (area(&soft) / area(&fine) - 1.0).abs();
    println!("area: {error}");
    assert!(error < 1e-3, "{error}");
}

/// Smooth weights, zero within two pixels of outlines: the normal turns so fast there that neighbours have little in
/// common, so that blending them is no smooth function of the mesh. (What blending itself does, masks test.)
fn weights_off_outlines(views: &NormalViews, cameras: &[Camera]) -> Vec<Plane<3>> {
    let mut weights: Vec<Plane<3>> = cameras.iter().map(smooth_weight).collect();
    for (weight, view) in weights.iter_mut().zip(&views.views) {
        for pixel in view.silhouettes.crossings.iter().flat_map(|crossing| [crossing.near, crossing.far]) {
            let (row, column) = (pixel as usize / weight.width, pixel as usize % weight.width);
            for near_row in row.saturating_sub(2)..(row + 3).min(weight.height) {
                for near_column in column.saturating_sub(2)..(column + 3).min(weight.width) {
                    *weight.at_mut(near_row, near_column) = [0.0; 3];
                }
            }
        }
    }
    weights
}

#[test]
fn smooth_normals_and_masks_of_several_views() {
    let (positions, triangles) = bumpy_sphere(26, 36, 0.2);
    let cameras = [Camera::rig(0.0, 0.0, 72), Camera::rig(90.0, 20.0, 56)];
    let mask_weights: Vec<Plane<1>> = cameras.iter().map(smooth_weight).collect();
    let render = |positions: &[[f32; 3]]| {
        let mut views = NormalViews::new(&cameras, Shading::Smooth);
        views.render(positions, &triangles);
        views
    };
    let mut views = render(&positions);
    let normal_weights = weights_off_outlines(&views, &cameras);
    let gradient = views.backward(&positions, &triangles, &normal_weights, &mask_weights);
    let error = relative_error(&positions, &gradient, &smooth_directions(&positions), 2e-3, |positions| {
        let views = render(positions);
        let of_view = |view: usize| {
            inner(&views.views[view].normals.data, &normal_weights[view].data)
                + inner(&views.views[view].mask.data, &mask_weights[view].data)
        };
        (0..cameras.len()).map(of_view).sum()
    });
    println!("{error}");
    assert!(error < 1e-2, "{error}");
}

/// Flat normals jump where inner edges move over pixels, which has no gradient: the triangle seen is held fixed.
#[test]
fn flat_normals_of_several_views() {
    let (positions, triangles) = bumpy_sphere(26, 36, 0.2);
    let cameras = [Camera::rig(0.0, 0.0, 72), Camera::rig(90.0, 20.0, 56)];
    let mut views = NormalViews::new(&cameras, Shading::Flat);
    // Rendering again leaves nothing of what was there before.
    views.render(&positions, &triangles[..40]);
    views.render(&positions, &triangles);
    let weights = weights_off_outlines(&views, &cameras);
    let no_mask: Vec<Plane<1>> = cameras.iter().map(|c| Plane::filled(c.width, c.height, [0.0])).collect();
    let gradient = views.backward(&positions, &triangles, &weights, &no_mask);
    let error = relative_error(&positions, &gradient, &smooth_directions(&positions)[3..], 1e-3, |positions| {
        let normals = face_normals(positions, &triangles);
        let seen = |view: usize| inner(&look_up_faces(&views.views[view].gbuffer, &normals).data, &weights[view].data);
        (0..cameras.len()).map(seen).sum()
    });
    assert!(error < 1e-2, "{error}");
}

#[test]
fn threads_do_not_change_a_bit_of_the_gradients() {
    // More pixels than one task of the backward pass adds up.
    let (positions, triangles) = bumpy_sphere(60, 90, 0.25);
    let cameras = [Camera::rig(10.0, 5.0, 500), Camera::rig(100.0, 5.0, 70)];
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut views = NormalViews::new(&cameras, Shading::Smooth);
            views.render(&positions, &triangles);
            let masks: Vec<Plane<1>> = cameras.iter().map(smooth_weight).collect();
            let normals: Vec<Plane<3>> = views.views.iter().map(|view| view.normals.clone()).collect();
            let gradient = views.backward(&positions, &triangles, &normals, &masks);
            (normals, views.views.into_iter().map(|view| view.mask).collect::<Vec<_>>(), gradient)
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(5));
    assert!(one.2.iter().flatten().all(|x| x.is_finite()));
}

#[test]
fn hostile_meshes_have_finite_gradients() {
    let nan = f32::NAN;
    let positions = vec![
        [0.0, 0.0, 0.0],
        [0.3, 0.0, 0.0],
        [0.0, 0.3, 0.0],
        [0.3, 0.3, 0.0],
        [nan, 0.0, 0.0],
        [0.0, 0.0, 50.0],
        [3e38, 3e38, -3e38],
    ];
    let triangles = [[0, 1, 2], [1, 3, 2], [0, 1, 1], [0, 1, 3], [0, 4, 1], [2, 5, 1], [0, 2, 6], [3, 2, 9], [1, 3, 2]];
    for (width, height) in [(0, 0), (1, 1), (1, 40), (40, 1), (33, 57)] {
        let camera = frontal_camera(width, height, 30.0);
        let edges = Edges::new(&triangles, positions.len());
        let gbuffer = rasterize(&positions, &triangles, &camera);
        let silhouettes = Silhouettes::new(&gbuffer, &positions, &triangles, &edges, &camera);
        let soft = silhouettes.antialias(&coverage(&gbuffer));
        assert!(soft.is_finite());
        let mut to_plane = Plane::filled(width, height, [0.0]);
        let mut gradient = vec![[0.0; 3]; positions.len()];
        silhouettes.antialias_backward(&coverage(&gbuffer), &soft, &positions, &camera, &mut to_plane, &mut gradient);
        let ones = vec![[1.0; 2]; width * height];
        rasterize_backward(&gbuffer, &positions, &triangles, &camera, &ones, &[], &mut gradient);
        assert!(gradient.iter().flatten().all(|x| x.is_finite()), "{width}x{height}: {gradient:?}");
    }
}
