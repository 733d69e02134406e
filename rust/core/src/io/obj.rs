//! Wavefront OBJ.

use std::fmt::Write as _;
use std::path::Path;

use super::mesh_file::sibling_name;
use super::{encode_png, write_atomic};
use crate::{Asset, Error, Mesh, Result};

/// Reads the triangles and texture coordinates of an OBJ file; polygons are fanned. Material files are not read, but for
/// the base colour picture when one material names it.
pub fn read_obj(path: &Path) -> Result<Asset> {
    let options = tobj::LoadOptions { triangulate: true, single_index: false, ..Default::default() };
    let bytes = std::fs::read(path).map_err(|source| Error::io("reading", path, source))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    // A missing material file is no reason to refuse the geometry.
    let (models, materials) = tobj::load_obj_buf(&mut &bytes[..], &options, |name| tobj::load_mtl(folder.join(name)))
        .map_err(|error| Error::file(path, format!("cannot be read as OBJ: {error}")))?;
    let materials = materials.unwrap_or_default();
    let mut mesh = Mesh::default();
    let mut corner_uvs = Vec::new();
    for model in &models {
        let source = &model.mesh;
        let first = mesh.positions.len() as u32;
        mesh.positions.extend_from_slice(source.positions.as_chunks::<3>().0);
        mesh.triangles.extend(source.indices.as_chunks::<3>().0.iter().map(|t| t.map(|index| index + first)));
        let uvs = source.texcoords.as_chunks::<2>().0;
        for corner in source.texcoord_indices.as_chunks::<3>().0 {
            if let [Some(a), Some(b), Some(c)] = corner.map(|index| uvs.get(index as usize)) {
                corner_uvs.push([*a, *b, *c]);
            }
        }
    }
    if !mesh.triangles.is_empty() && corner_uvs.len() == mesh.triangles.len() {
        mesh.corner_uvs = Some(corner_uvs);
    }
    let base_color = match materials.as_slice() {
        [tobj::Material { diffuse_texture: Some(name), .. }] if mesh.corner_uvs.is_some() => {
            super::read_picture(&folder.join(name)).ok()
        }
        _ => None,
    };
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Asset { mesh, base_color, name, ..Asset::default() })
}

/// Writes an OBJ file; its material file and textures go beside it first.
pub fn write_obj(path: &Path, asset: &Asset) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mesh = &asset.mesh;
    // File names go in unquoted, as every reader expects them; OBJ itself has no escape.
    let (material, base_color, normal_map) =
        (sibling_name(path, ".mtl"), sibling_name(path, "_base_color.png"), sibling_name(path, "_normal_map.png"));
    let mut mtl = String::from("newmtl maquette\nKd 1 1 1\nKs 0 0 0\n");
    if let Some(picture) = &asset.base_color {
        write_atomic(&folder.join(&base_color), &encode_png(picture)?)?;
        let _ = writeln!(mtl, "map_Kd {base_color}");
    }
    if let Some(picture) = &asset.normal_map {
        write_atomic(&folder.join(&normal_map), &encode_png(picture)?)?;
        let _ = writeln!(mtl, "norm {normal_map}");
    }
    let mut text = format!("# Maquette {}\nmtllib {material}\nusemtl maquette\n", env!("CARGO_PKG_VERSION"));
    for [x, y, z] in &mesh.positions {
        let _ = writeln!(text, "v {x} {y} {z}");
    }
    let normals = mesh.normals.clone().unwrap_or_else(|| mesh.vertex_normals());
    for [x, y, z] in &normals {
        let _ = writeln!(text, "vn {x} {y} {z}");
    }
    if let Some(corner_uvs) = &mesh.corner_uvs {
        for [u, v] in corner_uvs.iter().flatten() {
            let _ = writeln!(text, "vt {u} {v}");
        }
    }
    for (index, triangle) in mesh.triangles.iter().enumerate() {
        text.push('f');
        for (k, vertex) in triangle.iter().enumerate() {
            let vertex = vertex + 1;
            let _ = match mesh.corner_uvs {
                Some(_) => write!(text, " {vertex}/{}/{vertex}", index * 3 + k + 1),
                None => write!(text, " {vertex}//{vertex}"),
            };
        }
        text.push('\n');
    }
    write_atomic(&folder.join(&material), mtl.as_bytes())?;
    write_atomic(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;

    #[test]
    fn round_trip_keeps_vertices_and_texture_coordinates() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.obj");
        let mut mesh = Mesh::new(vec![[0.0, 0.1, 0.2], [1.0, 0.0, 0.0], [0.3, 1.0, 0.0]], vec![[0, 1, 2]]).unwrap();
        mesh.corner_uvs = Some(vec![[[0.0, 0.0], [0.25, 0.0], [0.5, 0.75]]]);
        let base_color = Some(Image::filled(2, 2, [9, 8, 7, 255]).unwrap());
        write_obj(&path, &Asset { mesh: mesh.clone(), base_color: base_color.clone(), ..Asset::default() }).unwrap();
        let read = read_obj(&path).unwrap();
        assert_eq!(read.mesh, mesh);
        assert_eq!(read.base_color, base_color);
    }

    #[test]
    fn broken_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.obj");
        for text in ["f 1 2 3\n", "v 0 0 zero\n", "v 0 0 0\nf 1 1 9\n", ""] {
            std::fs::write(&path, text).unwrap();
            assert!(super::super::read_mesh(&path).is_err(), "{text}");
        }
    }
}
