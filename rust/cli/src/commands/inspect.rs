use maquette_core::io;
use serde_json::json;

use crate::arguments::Inspect;
use crate::error::Result;
use crate::reporter;

pub(crate) fn inspect(arguments: &Inspect) -> Result<()> {
    let asset = io::read_mesh(&arguments.file)?;
    let (low, high) = asset.mesh.bounds().unwrap_or_default();
    let value = json!({
        "name": asset.name,
        "vertices": asset.mesh.positions.len(),
        "triangles": asset.mesh.triangles.len(),
        "texture_coordinates": asset.mesh.corner_uvs.is_some(),
        "base_color": asset.base_color.as_ref().map(|picture| [picture.width(), picture.height()]),
        "bounds": {"low": low, "high": high},
        "health": maquette_pipeline::health(&asset.mesh)?,
        "provenance": asset.provenance,
    });
    if arguments.json { reporter::print_line(format_args!("{value:#}")) } else { print_indented(&value, 0) }
}

/// Nested values as `key: value` lines.
fn print_indented(value: &serde_json::Value, depth: usize) -> Result<()> {
    for (key, field) in value.as_object().into_iter().flatten() {
        match field {
            serde_json::Value::Object(_) => {
                reporter::print_line(format_args!("{:1$}{key}:", "", depth * 2))?;
                print_indented(field, depth + 1)?;
            }
            other => reporter::print_line(format_args!("{:1$}{key}: {other}", "", depth * 2))?,
        }
    }
    Ok(())
}
