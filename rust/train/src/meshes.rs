//! Real meshes to learn from: the reader of a folder of training meshes (its README states the format), and their voxels.
//!
//! Inside is where the generalised winding number (Jacobson et al. 2013) reaches one half: closed, overlapping and slightly
//! open meshes alike.

use std::io::Write as _;
use std::path::Path;

use maquette_core::color::LINEAR_FROM_SRGB8;
use maquette_geometry::triangle_bvh::TriangleBvh;
use maquette_prior::shapes::{Content, Dice, Solid, Vec3};
use rayon::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde::Deserialize;

use crate::{Error, Result};

/// Packs whose meshes are never trained on, 40 in all: creatures, vehicles, furniture, buildings of the street, a robot.
pub const HELD_OUT_PACKS: &[&str] = &[
    "easy_enemies_pack",
    "fish_pack",
    "Quaternius Pirate Pack - Oct 2016",
    "Quaternius Farm Animals Animated  - Jun 2018",
    "Quaternius Car Pack - Mar 2016",
    "dinosaurs_pack",
    "street_pack",
    "Quaternius Animated Robot - Oct 2018",
    "Quaternius Furniture Pack Vol.2 - Jul 2016",
];

/// Which meshes to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All but [`HELD_OUT_PACKS`].
    Training,
    /// Only [`HELD_OUT_PACKS`].
    HeldOut,
}

/// One mesh in the canonical frame.
#[derive(Clone, Debug)]
pub struct RealMesh {
    /// Identifier in the index.
    pub id: String,
    /// Name of the file that it came from.
    pub name: String,
    /// Pack that it belongs to.
    pub pack: String,
    /// How often it is drawn, relative to others.
    pub weight: f32,
    /// Vertices.
    pub positions: Vec<Vec3>,
    /// Counter-clockwise seen from outside.
    pub triangles: Vec<[u32; 3]>,
    /// Linear albedo of each corner; empty where the source has none worth having.
    pub corner_colors: Vec<[Vec3; 3]>,
    /// Connected part of each triangle.
    pub component: Vec<u16>,
    /// Unit normals of the vertices, weighted by area.
    pub normals: Vec<Vec3>,
}

/// Signed distances of one mesh on a grid over its bounding box.
#[derive(Clone, Debug)]
pub struct Voxels {
    low: Vec3,
    size: [usize; 3],
    values: Vec<i8>,
}

/// Real meshes with their voxels, ready to be drawn from.
#[derive(Debug)]
pub struct MeshBank {
    /// Which meshes these are.
    pub part: Part,
    /// The meshes.
    pub meshes: Vec<RealMesh>,
    /// Their voxels, in the same order.
    pub voxels: Vec<Voxels>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    shard: String,
    row: usize,
    name: String,
    pack: String,
    coloured: bool,
    #[serde(default)]
    tags: Vec<String>,
}

/// Tags of what pictures are most often of and the packs hold too little of, and how much more often it is drawn: one mesh in
/// ten is a creature or a vehicle, the others are props, buildings, furniture and food.
const FAVOURED: (&[&str], f32) = (&["animal", "character", "vehicle"], 3.0);

impl Entry {
    fn weight(&self) -> f32 {
        let (tags, weight) = FAVOURED;
        if self.tags.iter().any(|tag| tags.contains(&tag.as_str())) { weight } else { 1.0 }
    }
}

impl MeshBank {
    /// The index of a random mesh, by its weight in training; what is measured counts alike.
    pub fn draw(&self, dice: &mut Dice) -> usize {
        match self.part {
            Part::Training => dice.weighted(self.meshes.iter().map(|mesh| mesh.weight)),
            Part::HeldOut => dice.below(self.meshes.len()),
        }
    }

    /// Reads the meshes of `folder`. Voxels come from the file `cache` where it fits, else they are made, which takes
    /// minutes, and written there.
    ///
    /// # Errors
    /// When a file is missing or malformed, or the cache cannot be written.
    pub fn open(folder: &Path, part: Part, cache: Option<&Path>) -> Result<Self> {
        let index = folder.join("meshes.jsonl");
        let text = std::fs::read_to_string(&index).map_err(|source| Error::Io { path: index.clone(), source })?;
        let bad = |path: &Path, reason: String| Error::File { path: path.to_owned(), reason };
        let entries: Vec<Entry> = text
            .lines()
            .map(serde_json::from_str)
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| bad(&index, error.to_string()))?;
        let held_out = |entry: &Entry| HELD_OUT_PACKS.contains(&entry.pack.as_str());
        let entries: Vec<Entry> =
            entries.into_iter().filter(|entry| held_out(entry) == (part == Part::HeldOut)).collect();
        let mut shards: Vec<&str> = entries.iter().map(|entry| entry.shard.as_str()).collect();
        shards.sort_unstable();
        shards.dedup();
        let mut meshes: Vec<Option<RealMesh>> = entries.iter().map(|_| None).collect();
        for shard in shards {
            let path = folder.join(shard);
            let bytes = std::fs::read(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
            let tensors = SafeTensors::deserialize(&bytes).map_err(|error| bad(&path, error.to_string()))?;
            let shard_data =
                Shard::read(&tensors).ok_or_else(|| bad(&path, "tensors are missing or too short".into()))?;
            for (slot, entry) in meshes.iter_mut().zip(&entries).filter(|(_, entry)| entry.shard == shard) {
                let mesh =
                    shard_data.mesh(entry).ok_or_else(|| bad(&path, format!("row {} is malformed", entry.row)))?;
                *slot = Some(mesh);
            }
        }
        let meshes: Vec<RealMesh> = meshes.into_iter().flatten().collect();
        let key = cache_key(&meshes);
        if let Some(voxels) = cache.and_then(|path| read_cache(path, &key, meshes.len())) {
            return Ok(Self { part, meshes, voxels });
        }
        let voxels: Vec<Voxels> = meshes.par_iter().map(Voxels::of).collect();
        if let Some(path) = cache {
            write_cache(path, &key, &voxels)?;
        }
        Ok(Self { part, meshes, voxels })
    }
}

/// The arrays of one file.
struct Shard<'a> {
    points: &'a [u8],
    triangles: &'a [u8],
    colors: &'a [u8],
    offsets: &'a [u8],
}

impl<'a> Shard<'a> {
    fn read(tensors: &SafeTensors<'a>) -> Option<Self> {
        let get = |name: &str, dtype: Dtype| tensors.tensor(name).ok().filter(|t| t.dtype() == dtype).map(|t| t.data());
        Some(Self {
            points: get("points", Dtype::I16)?,
            triangles: get("triangles", Dtype::U16)?,
            colors: get("corner_rgb", Dtype::U8)?,
            offsets: get("offsets", Dtype::U32)?,
        })
    }

    fn mesh(&self, entry: &Entry) -> Option<RealMesh> {
        let offset = |row: usize, column: usize| -> Option<usize> {
            let at = (row * 2 + column) * 4;
            Some(u32::from_le_bytes(self.offsets.get(at..at + 4)?.try_into().ok()?) as usize)
        };
        let vertices = offset(entry.row, 0)?..offset(entry.row + 1, 0)?;
        let faces = offset(entry.row, 1)?..offset(entry.row + 1, 1)?;
        let short = |bytes: &[u8], at: usize| -> Option<[u8; 2]> { bytes.get(2 * at..2 * at + 2)?.try_into().ok() };
        let positions: Vec<Vec3> = vertices
            .map(|vertex| {
                let at =
                    |k: usize| Some(f32::from(i16::from_le_bytes(short(self.points, 3 * vertex + k)?)) / 32767.0 * 0.5);
                Some([at(0)?, at(1)?, at(2)?])
            })
            .collect::<Option<_>>()?;
        let triangles: Vec<[u32; 3]> = faces
            .clone()
            .map(|face| {
                let at = |k: usize| Some(u32::from(u16::from_le_bytes(short(self.triangles, 3 * face + k)?)));
                Some([at(0)?, at(1)?, at(2)?])
            })
            .collect::<Option<_>>()?;
        if triangles.is_empty() || triangles.iter().flatten().any(|&vertex| vertex as usize >= positions.len()) {
            return None;
        }
        let corner_colors = if entry.coloured {
            faces
                .map(|face| {
                    let corner = |c: usize| -> Option<Vec3> {
                        let at = (face * 3 + c) * 3;
                        let rgb = self.colors.get(at..at + 3)?;
                        Some([0, 1, 2].map(|k| LINEAR_FROM_SRGB8[rgb[k] as usize]))
                    };
                    Some([corner(0)?, corner(1)?, corner(2)?])
                })
                .collect::<Option<_>>()?
        } else {
            Vec::new()
        };
        Some(RealMesh {
            id: entry.id.clone(),
            name: entry.name.clone(),
            pack: entry.pack.clone(),
            weight: entry.weight(),
            component: components(positions.len(), &triangles),
            normals: vertex_normals(&positions, &triangles),
            positions,
            triangles,
            corner_colors,
        })
    }
}

/// Connected part of each triangle, numbered in the order of their first triangles.
fn components(vertices: usize, triangles: &[[u32; 3]]) -> Vec<u16> {
    fn root(parent: &mut [u32], mut at: u32) -> u32 {
        while parent[at as usize] != at {
            parent[at as usize] = parent[parent[at as usize] as usize];
            at = parent[at as usize];
        }
        at
    }
    let mut parent: Vec<u32> = (0..vertices as u32).collect();
    for triangle in triangles {
        let first = root(&mut parent, triangle[0]);
        for &vertex in &triangle[1..] {
            let other = root(&mut parent, vertex);
            parent[other as usize] = first;
        }
    }
    let mut numbers = vec![u16::MAX; vertices];
    let mut next = 0;
    triangles
        .iter()
        .map(|triangle| {
            let number = &mut numbers[root(&mut parent, triangle[0]) as usize];
            if *number == u16::MAX {
                *number = next;
                next += 1;
            }
            *number
        })
        .collect()
}

fn vertex_normals(positions: &[Vec3], triangles: &[[u32; 3]]) -> Vec<Vec3> {
    let mut normals = vec![[0.0f32; 3]; positions.len()];
    for triangle in triangles {
        let n = face_normal(triangle.map(|vertex| positions[vertex as usize]));
        for &vertex in triangle {
            for k in 0..3 {
                normals[vertex as usize][k] += n[k];
            }
        }
    }
    for n in &mut normals {
        let length = (n[0] * n[0] + n[1] * n[1] + n[2] * n[2]).sqrt().max(1e-12);
        *n = n.map(|x| x / length);
    }
    normals
}

/// Normal of a triangle, as long as twice its area.
pub(crate) fn face_normal([a, b, c]: [Vec3; 3]) -> Vec3 {
    let (u, v): (Vec3, Vec3) = (std::array::from_fn(|k| b[k] - a[k]), std::array::from_fn(|k| c[k] - a[k]));
    [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
}

impl Voxels {
    /// Cells a unit of length.
    const PER_UNIT: f32 = 72.0;
    /// Largest distance that is told apart.
    pub const REACH: f32 = 1.0 / 16.0;

    /// Of a mesh in the canonical frame.
    pub fn of(mesh: &RealMesh) -> Self {
        let cell = 1.0 / Self::PER_UNIT;
        let (mut low, mut high) = ([f32::MAX; 3], [f32::MIN; 3]);
        for p in &mesh.positions {
            for k in 0..3 {
                low[k] = low[k].min(p[k]);
                high[k] = high[k].max(p[k]);
            }
        }
        let low = low.map(|x| x - 1.5 * cell);
        let size: [usize; 3] = std::array::from_fn(|k| ((high[k] - low[k]) / cell + 2.5).ceil() as usize);
        let bvh = TriangleBvh::new(&mesh.positions, &mesh.triangles);
        let mut values = Vec::with_capacity(size[0] * size[1] * size[2]);
        for z in 0..size[2] {
            for y in 0..size[1] {
                let (mut within, mut inside) = (Self::REACH, false);
                // Far from the surface the sign of the cell before holds.
                let mut clear = 0.0f32;
                for x in 0..size[0] {
                    let p = [x, y, z];
                    let p: Vec3 = std::array::from_fn(|k| low[k] + p[k] as f32 * cell);
                    let distance = bvh.closest_point(p, within).map_or(within, |closest| closest.distance);
                    within = Self::REACH.min((distance + cell) * 1.001);
                    clear -= cell;
                    if clear <= 0.0 {
                        inside = bvh.winding_number(p) >= 0.5;
                        // No further than a few cells, for the sake of holes.
                        clear = distance.min(3.0 * cell);
                    }
                    let signed = if inside { -distance } else { distance };
                    values.push((signed / Self::REACH * 127.0).round() as i8);
                }
            }
        }
        Self { low, size, values }
    }

    /// Signed distance in the mesh's frame, negative inside, at most [`Voxels::REACH`]; trilinear.
    pub fn sample(&self, p: Vec3) -> f32 {
        let u: Vec3 = std::array::from_fn(|k| (p[k] - self.low[k]) * Self::PER_UNIT);
        let mut cell = [0usize; 3];
        let mut f = [0.0f32; 3];
        for k in 0..3 {
            // Also catches NaN.
            if !(u[k] >= 0.0 && u[k] < (self.size[k] - 1) as f32) {
                return Self::REACH;
            }
            cell[k] = u[k] as usize;
            f[k] = u[k] - cell[k] as f32;
        }
        let at = (cell[2] * self.size[1] + cell[1]) * self.size[0] + cell[0];
        let row = |at: usize| {
            let (a, b) = (f32::from(self.values[at]), f32::from(self.values[at + 1]));
            a + f[0] * (b - a)
        };
        let plane = |at: usize| {
            let (a, b) = (row(at), row(at + self.size[0]));
            a + f[1] * (b - a)
        };
        let (a, b) = (plane(at), plane(at + self.size[0] * self.size[1]));
        (a + f[2] * (b - a)) * (Self::REACH / 127.0)
    }
}

impl Solid for Voxels {
    fn all_parts(&self) -> Vec<u16> {
        Vec::new()
    }

    fn prune(&self, center: Vec3, radius: f32, _: &[u16], active: &mut Vec<u16>) -> Content {
        active.clear();
        let near = Self::REACH * 0.99;
        let distance = self.sample(center);
        if radius >= near || distance.abs() <= radius {
            // A ball that large may hold anything, unless the grid is beyond it.
            let far = (0..3).any(|k| {
                let high = self.low[k] + (self.size[k] - 1) as f32 / Self::PER_UNIT;
                center[k] + radius < self.low[k] || center[k] - radius > high
            });
            return if far { Content::Empty } else { Content::Mixed };
        }
        if distance > 0.0 { Content::Empty } else { Content::Full }
    }

    fn distance(&self, p: Vec3, _: &[u16]) -> f32 {
        self.sample(p)
    }

    fn half_extent(&self) -> f32 {
        (0..3)
            .map(|k| self.low[k].abs().max((self.low[k] + self.size[k] as f32 / Self::PER_UNIT).abs()))
            .fold(0.0, f32::max)
    }
}

/// What the cache was made from.
fn cache_key(meshes: &[RealMesh]) -> String {
    let mut sum = 0xcbf2_9ce4_8422_2325u64;
    let mut take = |value: u64| sum = (sum ^ value).wrapping_mul(0x0100_0000_01b3);
    take(Voxels::PER_UNIT.to_bits().into());
    for mesh in meshes {
        take(mesh.triangles.len() as u64);
        for p in &mesh.positions {
            for x in p {
                take(x.to_bits().into());
            }
        }
    }
    format!("voxels 1 {sum:016x}")
}

fn read_cache(path: &Path, key: &str, meshes: usize) -> Option<Vec<Voxels>> {
    let bytes = std::fs::read(path).ok()?;
    let (_, header) = SafeTensors::read_metadata(&bytes).ok()?;
    if header.metadata().as_ref()?.get("key")? != key {
        return None;
    }
    let tensors = SafeTensors::deserialize(&bytes).ok()?;
    let (boxes, values) = (tensors.tensor("boxes").ok()?.data(), tensors.tensor("values").ok()?.data());
    let mut start = 0usize;
    let voxels: Vec<Voxels> = (0..meshes)
        .map(|index| {
            let word = |k: usize| -> Option<[u8; 4]> {
                let at = (index * 6 + k) * 4;
                boxes.get(at..at + 4)?.try_into().ok()
            };
            let low = [f32::from_le_bytes(word(0)?), f32::from_le_bytes(word(1)?), f32::from_le_bytes(word(2)?)];
            let side = |k: usize| Some(f32::from_le_bytes(word(k)?) as usize);
            let size = [side(3)?, side(4)?, side(5)?];
            let count = size[0].checked_mul(size[1])?.checked_mul(size[2])?;
            let values = values.get(start..start.checked_add(count)?)?.iter().map(|byte| byte.cast_signed()).collect();
            start += count;
            Some(Voxels { low, size, values })
        })
        .collect::<Option<_>>()?;
    Some(voxels)
}

fn write_cache(path: &Path, key: &str, voxels: &[Voxels]) -> Result<()> {
    let io = |source: std::io::Error| Error::Io { path: path.to_owned(), source };
    let boxes: Vec<u8> = voxels
        .iter()
        .flat_map(|v| v.low.into_iter().chain(v.size.map(|side| side as f32)))
        .flat_map(f32::to_le_bytes)
        .collect();
    let values: Vec<u8> = voxels.iter().flat_map(|v| v.values.iter().map(|value| value.cast_unsigned())).collect();
    let view = |dtype, shape, data| TensorView::new(dtype, shape, data);
    let tensors = [
        ("boxes", view(Dtype::F32, vec![voxels.len(), 6], &boxes)),
        ("values", view(Dtype::I8, vec![values.len()], &values)),
    ];
    let mut whole = Vec::new();
    for (name, tensor) in tensors {
        whole.push((name, tensor.map_err(|error| io(std::io::Error::other(error)))?));
    }
    let metadata = std::collections::HashMap::from([("key".to_owned(), key.to_owned())]);
    let bytes = serialize(whole, Some(metadata)).map_err(|error| io(std::io::Error::other(error)))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(parent).map_err(io)?;
    file.write_all(&bytes).map_err(io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    Ok(())
}
