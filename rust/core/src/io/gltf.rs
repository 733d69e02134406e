//! glTF 2.0, binary and text.

use std::borrow::Cow;
use std::path::Path;

use serde_json::{Value, json};

use super::mesh_file::sibling_name;
use super::{encode_png, write_atomic};
use crate::{Asset, Error, Image, Mesh, Result};

/// glTF component and target codes.
const FLOAT: u32 = 5126;
const UNSIGNED_INT: u32 = 5125;
const ARRAY_BUFFER: u32 = 34962;
const ELEMENT_ARRAY_BUFFER: u32 = 34963;
const LINEAR: u32 = 9729;
const LINEAR_MIPMAP_LINEAR: u32 = 9987;
const CLAMP_TO_EDGE: u32 = 33071;

/// Vertices of a file: glTF allows one texture coordinate a vertex, so positions on a seam are repeated.
pub(super) struct SplitVertices {
    /// Index into the mesh's positions.
    pub(super) position: Vec<u32>,
    /// Texture coordinate; empty without texture coordinates.
    pub(super) uv: Vec<[f32; 2]>,
    pub(super) triangles: Vec<[u32; 3]>,
}

/// Splits vertices at texture seams. Vertices stay in the order of the mesh's positions, so a mesh without seams keeps
/// its vertex order exactly.
pub(super) fn split_at_seams(mesh: &Mesh, corner_uvs: Option<&[[[f32; 2]; 3]]>) -> SplitVertices {
    let Some(corner_uvs) = corner_uvs else {
        return SplitVertices {
            position: (0..mesh.positions.len() as u32).collect(),
            uv: Vec::new(),
            triangles: mesh.triangles.clone(),
        };
    };
    // (position, uv bits, corner) sorted: corners of one file vertex lie together.
    let mut corners: Vec<(u32, [u32; 2], u32)> = mesh
        .triangles
        .iter()
        .zip(corner_uvs)
        .enumerate()
        .flat_map(|(index, (triangle, uvs))| {
            (0..3).map(move |k| (triangle[k], uvs[k].map(f32::to_bits), (index * 3 + k) as u32))
        })
        .collect();
    corners.sort_unstable();
    let mut split = SplitVertices {
        position: Vec::with_capacity(mesh.positions.len()),
        uv: Vec::with_capacity(mesh.positions.len()),
        triangles: vec![[0; 3]; mesh.triangles.len()],
    };
    let mut next = 0;
    for position in 0..mesh.positions.len() as u32 {
        let first = next;
        while next < corners.len() && corners[next].0 == position {
            let (_, uv, corner) = corners[next];
            if next == first || corners[next - 1].1 != uv {
                split.position.push(position);
                split.uv.push(uv.map(f32::from_bits));
            }
            split.triangles[corner as usize / 3][corner as usize % 3] = split.position.len() as u32 - 1;
            next += 1;
        }
        if next == first {
            split.position.push(position);
            split.uv.push([0.0; 2]);
        }
    }
    split
}

/// Where the pictures of a file go.
enum Textures {
    /// Into the binary buffer.
    Embedded,
    /// Beside the file, under these names.
    Beside { base_color: String, normal_map: String },
}

/// The JSON and binary parts of `asset`.
fn build(asset: &Asset, textures: &Textures) -> Result<(Value, Vec<u8>)> {
    let mesh = &asset.mesh;
    let corner_uvs = mesh.corner_uvs.as_ref().map(|uvs| top_left_uvs(uvs, asset.gltf_corner_v.as_deref()));
    let split = split_at_seams(mesh, corner_uvs.as_deref());
    let normals = mesh.normals.clone().unwrap_or_else(|| mesh.vertex_normals());
    let mut binary: Vec<u8> = Vec::new();
    let mut views: Vec<Value> = Vec::new();
    let mut push = |bytes: &[u8], target: Option<u32>| {
        let mut view = json!({"buffer": 0, "byteOffset": binary.len(), "byteLength": bytes.len()});
        if let Some(target) = target {
            view["target"] = target.into();
        }
        binary.extend_from_slice(bytes);
        binary.resize(binary.len().next_multiple_of(4), 0);
        views.push(view);
        views.len() - 1
    };
    let floats = |values: &mut dyn Iterator<Item = f32>| values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>();

    let mut json = json!({
        "asset": {"version": "2.0", "generator": concat!("Maquette ", env!("CARGO_PKG_VERSION"))},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": asset.name, "mesh": 0}],
    });
    if let Some(provenance) = &asset.provenance {
        json["asset"]["extras"] = provenance.clone();
    }
    if mesh.triangles.is_empty() {
        return Err(Error::invalid("mesh has no triangles; there is nothing to write"));
    }

    let count = split.position.len();
    let position_view =
        push(&floats(&mut split.position.iter().flat_map(|&index| mesh.positions[index as usize])), Some(ARRAY_BUFFER));
    let normal_view =
        push(&floats(&mut split.position.iter().flat_map(|&index| normals[index as usize])), Some(ARRAY_BUFFER));
    let index_view = push(
        &split.triangles.iter().flatten().flat_map(|index| index.to_le_bytes()).collect::<Vec<u8>>(),
        Some(ELEMENT_ARRAY_BUFFER),
    );
    let (low, high) = mesh.bounds().unwrap_or_default();
    let mut accessors = vec![
        json!({"bufferView": position_view, "componentType": FLOAT, "count": count, "type": "VEC3", "min": low, "max": high}),
        json!({"bufferView": normal_view, "componentType": FLOAT, "count": count, "type": "VEC3"}),
        json!({"bufferView": index_view, "componentType": UNSIGNED_INT, "count": split.triangles.len() * 3, "type": "SCALAR"}),
    ];
    let mut attributes = json!({"POSITION": 0, "NORMAL": 1});
    if !split.uv.is_empty() {
        let uv_view = push(&floats(&mut split.uv.iter().flatten().copied()), Some(ARRAY_BUFFER));
        accessors.push(json!({"bufferView": uv_view, "componentType": FLOAT, "count": count, "type": "VEC2"}));
        attributes["TEXCOORD_0"] = 3.into();
    }

    let mut material = json!({
        "name": asset.name,
        "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9},
    });
    let mut images: Vec<Value> = Vec::new();
    let mut add_picture = |picture: &Image, name: &str, beside: Option<&str>| -> Result<usize> {
        images.push(match beside {
            Some(uri) => json!({"name": name, "uri": uri}),
            None => json!({"name": name, "bufferView": push(&encode_png(picture)?, None), "mimeType": "image/png"}),
        });
        Ok(images.len() - 1)
    };
    let (base_name, normal_name) = match textures {
        Textures::Embedded => (None, None),
        Textures::Beside { base_color, normal_map } => (Some(base_color.as_str()), Some(normal_map.as_str())),
    };
    if let Some(picture) = &asset.base_color {
        let index = add_picture(picture, "base_color", base_name)?;
        material["pbrMetallicRoughness"]["baseColorTexture"] = json!({"index": index});
    }
    if let Some(picture) = &asset.normal_map {
        let index = add_picture(picture, "normal_map", normal_name)?;
        material["normalTexture"] = json!({"index": index});
    }
    if !images.is_empty() {
        json["samplers"] = json!([{"magFilter": LINEAR, "minFilter": LINEAR_MIPMAP_LINEAR, "wrapS": CLAMP_TO_EDGE, "wrapT": CLAMP_TO_EDGE}]);
        json["textures"] = (0..images.len()).map(|source| json!({"source": source, "sampler": 0})).collect();
        json["images"] = images.into();
    }
    json["materials"] = json!([material]);
    json["meshes"] =
        json!([{"name": asset.name, "primitives": [{"attributes": attributes, "indices": 2, "material": 0}]}]);
    json["accessors"] = accessors.into();
    json["bufferViews"] = views.into();
    json["buffers"] = json!([{"byteLength": binary.len()}]);
    Ok((json, binary))
}

/// Texture coordinates with glTF's origin, top-left.
fn top_left_uvs(corner_uvs: &[[[f32; 2]; 3]], from_file: Option<&[[f32; 3]]>) -> Vec<[[f32; 2]; 3]> {
    match from_file {
        Some(v) if v.len() == corner_uvs.len() => {
            corner_uvs.iter().zip(v).map(|(uvs, v)| std::array::from_fn(|k| [uvs[k][0], v[k]])).collect()
        }
        _ => corner_uvs.iter().map(|uvs| uvs.map(|[u, v]| [u, 1.0 - v])).collect(),
    }
}

/// Writes one binary glTF file, whole or not at all.
pub fn write_glb(path: &Path, asset: &Asset) -> Result<()> {
    let (json, binary) = build(asset, &Textures::Embedded)?;
    let mut json = json.to_string().into_bytes();
    // Chunks are multiples of four bytes; JSON is padded with spaces.
    json.resize(json.len().next_multiple_of(4), b' ');
    let length = 12 + 8 + json.len() + 8 + binary.len();
    let glb = gltf::Glb {
        header: gltf::binary::Header { magic: *b"glTF", version: 2, length: length as u32 },
        json: Cow::Owned(json),
        bin: Some(Cow::Owned(binary)),
    };
    let bytes = glb.to_vec().map_err(|error| Error::file(path, format!("cannot be written as glTF: {error}")))?;
    write_atomic(path, &bytes)
}

/// Writes a text glTF file; its buffer and textures go beside it first.
pub fn write_gltf(path: &Path, asset: &Asset) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let base_color = sibling_name(path, "_base_color.png");
    let normal_map = sibling_name(path, "_normal_map.png");
    let (mut json, binary) = build(
        asset,
        &Textures::Beside { base_color: percent_encoded(&base_color), normal_map: percent_encoded(&normal_map) },
    )?;
    let buffer = sibling_name(path, ".bin");
    json["buffers"][0]["uri"] = percent_encoded(&buffer).into();
    write_atomic(&folder.join(&buffer), &binary)?;
    for (picture, name) in [(&asset.base_color, &base_color), (&asset.normal_map, &normal_map)] {
        if let Some(picture) = picture {
            write_atomic(&folder.join(name), &encode_png(picture)?)?;
        }
    }
    write_atomic(path, json.to_string().as_bytes())
}

/// URI form of a file name: everything but unreserved characters is percent-encoded.
fn percent_encoded(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Reads the triangles of every mesh in the default scene, node transforms applied; unindexed and strip primitives too.
///
/// Texture coordinates and the base colour picture are kept when all primitives share one picture (or none has one).
pub fn read_gltf(path: &Path) -> Result<Asset> {
    let fail = |error: gltf::Error| Error::file(path, format!("cannot be read as glTF: {error}"));
    let bytes = std::fs::read(path).map_err(|source| Error::io("reading", path, source))?;
    let document = gltf::Gltf::from_slice(&bytes).map_err(fail)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let buffers = gltf::import_buffers(&document.document, Some(folder), document.blob.clone()).map_err(fail)?;

    let mut mesh = Mesh::default();
    let mut normals: Vec<[f32; 3]> = Vec::new();
    let mut corner_uvs: Vec<[[f32; 2]; 3]> = Vec::new();
    let (mut all_normals, mut all_uvs) = (true, true);
    let mut pictures: Vec<Option<usize>> = Vec::new();
    let mut name = String::new();
    let scene = document.default_scene().or_else(|| document.scenes().next());
    let mut stack: Vec<(gltf::Node, nalgebra::Matrix4<f32>, usize)> = match scene {
        Some(scene) => scene.nodes().map(|node| (node, nalgebra::Matrix4::identity(), 0)).collect(),
        None => return Err(Error::file(path, "has no scene; export the mesh again")),
    };
    stack.reverse();
    while let Some((node, parent, depth)) = stack.pop() {
        if depth > 256 {
            return Err(Error::file(path, "nests nodes more than 256 deep; flatten it first"));
        }
        let local = nalgebra::Matrix4::from_fn(|row, column| node.transform().matrix()[column][row]);
        let transform = parent * local;
        let mut children: Vec<_> = node.children().map(|child| (child, transform, depth + 1)).collect();
        children.reverse();
        stack.extend(children);
        let Some(node_mesh) = node.mesh() else { continue };
        if name.is_empty() {
            name = node.name().or(node_mesh.name()).map(str::to_owned).unwrap_or_default();
        }
        let moved = transform != nalgebra::Matrix4::identity();
        for primitive in node_mesh.primitives() {
            let reader = primitive.reader(|buffer| buffers.get(buffer.index()).map(|data| &data.0[..]));
            let Some(positions) = reader.read_positions() else { continue };
            let first = mesh.positions.len() as u32;
            let positions: Vec<[f32; 3]> = positions.collect();
            let count = positions.len() as u32;
            let indices: Vec<u32> = match reader.read_indices() {
                Some(indices) => indices.into_u32().collect(),
                None => (0..count).collect(),
            };
            if let Some(bad) = indices.iter().find(|&&index| index >= count) {
                return Err(Error::file(path, format!("names vertex {bad}, but there are only {count}")));
            }
            let mut triangles = triangulated(primitive.mode(), &indices);
            if transform.fixed_view::<3, 3>(0, 0).determinant() < 0.0 {
                // A mirroring transform turns the winding round.
                for triangle in &mut triangles {
                    triangle.swap(1, 2);
                }
            }
            let texture = primitive.material().pbr_metallic_roughness().base_color_texture();
            let set = texture.as_ref().map_or(0, gltf::texture::Info::tex_coord);
            let uvs: Option<Vec<[f32; 2]>> = reader.read_tex_coords(set).map(|uvs| uvs.into_f32().collect());
            match uvs {
                Some(uvs) if uvs.len() == count as usize => {
                    corner_uvs.extend(triangles.iter().map(|t| t.map(|index| uvs[index as usize])));
                }
                _ => all_uvs = false,
            }
            match reader.read_normals() {
                Some(read) if !moved => normals.extend(read),
                _ => all_normals = false,
            }
            pictures.push(texture.map(|info| info.texture().source().index()));
            mesh.positions.extend(
                positions.into_iter().map(|p| {
                    if moved { transform.transform_point(&nalgebra::Point3::from(p)).coords.into() } else { p }
                }),
            );
            mesh.triangles.extend(triangles.into_iter().map(|t| t.map(|index| index + first)));
        }
    }
    let shared = pictures.first().copied().flatten().filter(|first| pictures.iter().all(|p| *p == Some(*first)));
    let untextured = pictures.iter().all(Option::is_none);
    let mut gltf_corner_v = None;
    if all_uvs && (shared.is_some() || untextured) && corner_uvs.len() == mesh.triangles.len() {
        gltf_corner_v = Some(corner_uvs.iter().map(|uvs| uvs.map(|uv| uv[1])).collect());
        mesh.corner_uvs = Some(corner_uvs.iter().map(|uvs| uvs.map(|[u, v]| [u, 1.0 - v])).collect());
    }
    if all_normals && normals.len() == mesh.positions.len() {
        mesh.normals = Some(normals);
    }
    let base_color = match shared {
        Some(index) if mesh.corner_uvs.is_some() => {
            document.images().nth(index).map(|picture| read_embedded(path, folder, &picture, &buffers)).transpose()?
        }
        _ => None,
    };
    let provenance =
        document.as_json().asset.extras.as_ref().and_then(|extras| serde_json::from_str(extras.get()).ok());
    Ok(Asset { mesh, base_color, normal_map: None, name, provenance, gltf_corner_v })
}

fn read_embedded(path: &Path, folder: &Path, picture: &gltf::Image, buffers: &[gltf::buffer::Data]) -> Result<Image> {
    match picture.source() {
        gltf::image::Source::View { view, .. } => {
            let bytes = buffers
                .get(view.buffer().index())
                .and_then(|data| data.0.get(view.offset()..view.offset() + view.length()))
                .ok_or_else(|| Error::file(path, "names a texture outside of its buffer; export it again"))?;
            super::decode_picture(bytes).map_err(|error| Error::file(path, format!("texture {error}")))
        }
        gltf::image::Source::Uri { uri, .. } if !uri.starts_with("data:") => {
            let decoded = urlencoded(uri);
            if Path::new(&decoded).is_absolute() || decoded.split(['/', '\\']).any(|part| part == "..") {
                return Err(Error::file(
                    path,
                    format!("names a texture outside of its folder ({decoded}); move it beside the file"),
                ));
            }
            super::read_picture(&folder.join(decoded))
        }
        gltf::image::Source::Uri { .. } => {
            Err(Error::file(path, "has its texture as a data URI; save it as .glb or with separate textures"))
        }
    }
}

/// Percent-decoding of a URI's file name.
fn urlencoded(uri: &str) -> String {
    let bytes = uri.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let code = (bytes[index] == b'%')
            .then(|| uri.get(index + 1..index + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok()))
            .flatten();
        out.push(code.unwrap_or(bytes[index]));
        index += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Triangles of lists, strips and fans; points and lines have none.
fn triangulated(mode: gltf::mesh::Mode, indices: &[u32]) -> Vec<[u32; 3]> {
    match mode {
        gltf::mesh::Mode::Triangles => indices.as_chunks::<3>().0.to_vec(),
        gltf::mesh::Mode::TriangleStrip => indices
            .windows(3)
            .enumerate()
            .map(|(index, w)| if index % 2 == 0 { [w[0], w[1], w[2]] } else { [w[1], w[0], w[2]] })
            .collect(),
        gltf::mesh::Mode::TriangleFan => match indices {
            [centre, rim @ ..] => rim.windows(2).map(|pair| [*centre, pair[0], pair[1]]).collect(),
            [] => Vec::new(),
        },
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square() -> Asset {
        let mut mesh = Mesh::new(
            vec![[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]],
            vec![[0, 1, 2], [0, 2, 3]],
        )
        .unwrap();
        mesh.corner_uvs = Some(vec![[[0.0, 0.0], [0.5, 0.0], [0.5, 0.5]], [[0.1, 0.25], [0.5, 0.75], [0.0, 0.9]]]);
        Asset {
            mesh,
            base_color: Some(Image::filled(4, 4, [200, 100, 50, 255]).unwrap()),
            normal_map: Some(Image::filled(4, 4, [128, 128, 255, 255]).unwrap()),
            name: "a b".to_owned(),
            provenance: Some(json!({"recipe": {"seed": 1}})),
            gltf_corner_v: Some(vec![[1.0, 1.0, 0.5], [0.1, 0.3, 1e-9]]),
        }
    }

    #[test]
    fn glb_and_gltf_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["square.glb", "squ are.gltf"] {
            let path = folder.path().join(name);
            let asset = square();
            super::super::write_mesh(&path, &asset).unwrap();
            let read = super::super::read_mesh(&path).unwrap();
            assert_eq!(read.mesh.triangles.len(), 2);
            // Two corners lie on the seam and are repeated.
            assert_eq!(read.mesh.positions.len(), 6);
            assert_eq!(read.gltf_corner_v, asset.gltf_corner_v);
            assert_eq!(read.base_color, asset.base_color);
            assert_eq!(read.provenance, asset.provenance);
            // A second trip changes nothing: vertices and their order are kept.
            let again = folder.path().join("again.glb");
            write_glb(&again, &read).unwrap();
            assert_eq!(read_gltf(&again).unwrap(), Asset { normal_map: None, ..read });
        }
    }

    #[test]
    fn broken_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("square.glb");
        write_glb(&path, &square()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for length in [0, 3, 12, 40, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(super::super::read_mesh(&path).is_err(), "{length}");
        }
        assert!(read_gltf(&folder.path().join("none.glb")).unwrap_err().to_string().contains("none.glb"));
        assert!(write_glb(&path, &Asset::default()).is_err());
    }
}
