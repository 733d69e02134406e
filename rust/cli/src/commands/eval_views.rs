use maquette_core::io;
use maquette_pipeline::{BeforeAfter, agreement, sources};
use serde_json::json;

use super::job::read_recipe;
use crate::arguments::EvalViews;
use crate::error::Result;
use crate::reporter;

pub(crate) fn eval_views(arguments: &EvalViews) -> Result<()> {
    let recipe = read_recipe(None, None, &arguments.set)?;
    let progress = reporter::cancellable()?;
    let asset = io::read_mesh(&arguments.mesh)?;
    let views = sources::load_views(&arguments.views, &progress)?;
    let picture = arguments.picture.as_ref().map(|picture| io::read_picture(picture)).transpose()?;
    let measured = agreement(&asset.mesh, &views, picture.as_ref(), &recipe, &progress)?;
    for warning in progress.warnings() {
        eprintln!("note: {warning}");
    }
    if arguments.json {
        return reporter::print_line(format_args!("{:#}", json!(measured)));
    }
    print_measures("views", &measured.views)?;
    if let Some(input) = measured.input_view {
        print_measures(&format!("input view at {:.1} degrees", input.elevation_degrees), &input.measures)?;
    }
    Ok(())
}

fn print_measures(name: &str, measured: &BeforeAfter) -> Result<()> {
    let BeforeAfter { before, after } = measured;
    reporter::print_line(format_args!("{name}, {} pixels:", after.pixels))?;
    let line = |name: &str, before: f64, after: f64| {
        let change = if before > 0.0 { format!(" ({:+.1} %)", 100.0 * (after / before - 1.0)) } else { String::new() };
        reporter::print_line(format_args!("  {name}: {before:.6} before, {after:.6} after shifting{change}"))
    };
    line("re-projection MSE", before.reprojection_mse, after.reprojection_mse)?;
    line("flow error in pixels", before.flow_error_px, after.flow_error_px)
}
