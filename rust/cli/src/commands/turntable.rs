use maquette_core::{Image, io};
use maquette_pipeline::turntable::{self, Look};

use crate::arguments::{self, Turntable};
use crate::error::Result;
use crate::reporter;

pub(crate) fn turntable(arguments: &Turntable) -> Result<()> {
    let asset = io::read_mesh(&arguments.mesh)?;
    let looks: Vec<Look> = arguments
        .look
        .iter()
        .map(|look| match look {
            arguments::Look::Shaded => Look::Shaded,
            arguments::Look::Color => Look::Color,
            arguments::Look::Normal => Look::Normal,
            arguments::Look::Wireframe => Look::Wireframe,
        })
        .collect();
    let sheet: Image = turntable::sheet(
        &asset,
        &turntable::Layout {
            looks,
            columns: arguments.columns as usize,
            elevations_degrees: arguments.elevations.clone(),
            size_px: arguments.size as usize,
        },
    )?;
    io::write_png(&arguments.output, &sheet)?;
    let (output, width, height) = (arguments.output.display(), sheet.width(), sheet.height());
    reporter::print_line(format_args!("{output}: {width}x{height} pixels"))
}
