use maquette_core::io;
use maquette_core::recipe::Task;
use maquette_pipeline::{Request, sources};

use super::job;
use crate::arguments::Refine;
use crate::error::Result;

pub(crate) fn refine(arguments: &Refine) -> Result<()> {
    job::run(&arguments.job, &arguments.mesh, Task::Refine, |request, progress| {
        let mesh = io::read_mesh(&arguments.mesh)?;
        let views = arguments.views.as_ref().map(|views| sources::load_views(views, progress)).transpose()?;
        let picture = arguments.picture.as_ref().map(|picture| io::read_picture(picture)).transpose()?;
        Ok(Request { mesh: Some(mesh), views, picture, ..request })
    })
}
