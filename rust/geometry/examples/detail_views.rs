//! Sharpens meshes with folders of six rendered views: `detail_views OUT_FOLDER START_FOLDER|hull OBJECT_FOLDER...`.

use std::path::Path;

use maquette_core::io::{read_mesh, read_picture, read_plane, write_mesh};
use maquette_core::recipe::Symmetry;
use maquette_core::{Asset, Camera, Mesh, Plane, Progress, View, Views};
use maquette_geometry::detail::{DetailSettings, sharpen};
use maquette_geometry::flexicubes::{Field, FlexiCubes, Grid, Mode, Positions};
use maquette_geometry::health::MeshHealth;
use maquette_geometry::hull::hull_field;
use maquette_geometry::intersections::self_intersections;
use maquette_geometry::mirror::find_mirror_plane;
use maquette_geometry::parts::without_small_parts;
use maquette_geometry::silhouette::Silhouette;

type AnyResult<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Coverage from the alpha of `I_albedo.png`, world normals from `I_normal_cam.png`.
fn load(folder: &Path) -> AnyResult<Views> {
    let mut views = Vec::new();
    for index in 0..6 {
        let albedo = read_picture(&folder.join(format!("{index}_albedo.png")))?;
        let (width, height) = (albedo.width() as usize, albedo.height() as usize);
        let camera = Camera::six_views(width)[index].clone();
        let data = albedo.pixels().iter().map(|pixel| [f32::from(pixel[3]) / 255.0]).collect();
        let mask = Plane { width, height, data };
        let normals = read_plane(&folder.join(format!("{index}_normal_cam.png")))?;
        let hits = read_plane(&folder.join(format!("{index}_mask.png")))?;
        let data = normals
            .data
            .iter()
            .enumerate()
            .map(|(pixel, &[r, g, b, _])| {
                if hits.data[pixel][0] < 0.5 {
                    return [0.0; 3];
                }
                let normal = camera.vector_to_world([2.0 * r - 1.0, 2.0 * g - 1.0, 2.0 * b - 1.0]);
                let length = normal.iter().map(|x| x * x).sum::<f32>().sqrt();
                if length < 0.5 { [0.0; 3] } else { normal.map(|x| x / length) }
            })
            .collect();
        views.push(View { camera, mask, color: None, normal: Some(Plane { width, height, data }) });
    }
    Ok(Views { views })
}

/// The surface of the visual hull.
fn hull(views: &Views) -> AnyResult<Mesh> {
    const RESOLUTION: usize = 64;
    let silhouettes = Silhouette::of_views(&views.views)?;
    let cameras: Vec<Camera> = views.views.iter().map(|view| view.camera.clone()).collect();
    let mut field = hull_field(&silhouettes, &cameras, RESOLUTION)?;
    field.close_border(0.001);
    let mut cubes = FlexiCubes::new(Grid::new([RESOLUTION; 3])?);
    let grid = cubes.grid();
    let surface = cubes.extract(Field::new(Positions::unit_cube(&grid), field.values()), Mode::Evaluation)?;
    let mesh = Mesh::new(surface.vertices.to_vec(), surface.faces.to_vec())?;
    Ok(without_small_parts(&mesh, 0.005))
}

fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields.iter().skip(11).take(2).filter_map(|x| x.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn main() -> AnyResult<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let source = std::env::var("SOURCE").unwrap_or("six".into());
    for folder in &arguments[3..] {
        let folder = Path::new(folder);
        let name = folder.file_name().ok_or("folder has no name")?.to_string_lossy().into_owned();
        let views = load(&folder.join(&source))?;
        let start = if arguments[2] == "hull" {
            hull(&views)?
        } else {
            read_mesh(&Path::new(&arguments[2]).join(format!("{name}.glb")))?.mesh
        };
        let (clock, cpu) = (std::time::Instant::now(), cpu_seconds());
        let mut settings = DetailSettings::default();
        if std::env::var("SYMMETRY").is_ok_and(|x| x == "off") {
            settings.symmetry = Symmetry::Off;
        }
        if let Ok(text) = std::env::var("LEVELS") {
            // view size, edge length, iterations, contour weight, fuse resolution; ...
            let one = settings.levels[0];
            settings.levels.clear();
            for level in text.split(';') {
                let v = level.split(',').map(str::parse).collect::<Result<Vec<f32>, _>>()?;
                let [view_size_px, edge_length, iterations, contour, fuse] = v[..] else {
                    return Err("five numbers".into());
                };
                let mut level = one;
                level.view_size_px = view_size_px as usize;
                level.edge_length = edge_length;
                level.iterations = iterations as usize;
                level.weights.contour = contour;
                level.fuse_resolution = fuse as usize;
                settings.levels.push(level);
            }
        }
        println!("{:?}", find_mirror_plane(&views, settings.symmetry, &Progress::new())?);
        let mesh = sharpen(&start, &views, &settings, &Progress::new())?;
        let health = MeshHealth::of(&mesh)?;
        println!(
            "{name}: {:.1} s, {:.1} s of a core; {} vertices, {} parts, genus {:?}, {} border, {} more, {:.2} % intersecting, outward {:.3}",
            clock.elapsed().as_secs_f64(),
            cpu_seconds() - cpu,
            health.vertices,
            health.components,
            health.genus,
            health.boundary_edges,
            health.nonmanifold_edges,
            100.0 * health.self_intersecting_triangles as f64 / health.triangles as f64,
            health.outward_fraction
        );
        if std::env::var("MARKS").is_ok() {
            let pairs = self_intersections(&mesh);
            let text: Vec<String> = pairs.iter().flat_map(|(a, b)| [a.to_string(), b.to_string()]).collect();
            let text = text.join("\n");
            std::fs::write(Path::new(&arguments[1]).join(format!("{name}.marks")), text)?;
        }
        let asset = Asset { mesh, name: name.clone(), ..Asset::default() };
        write_mesh(&Path::new(&arguments[1]).join(format!("{name}.glb")), &asset)?;
    }
    Ok(())
}
