use maquette_core::io;
use maquette_core::recipe::Task;
use maquette_pipeline::{Request, sources};

use super::job;
use crate::arguments::Texture;
use crate::error::Result;

pub(crate) fn texture(arguments: &Texture) -> Result<()> {
    job::run(&arguments.job, &arguments.mesh, Task::Texture, |request, progress| {
        let mesh = io::read_mesh(&arguments.mesh)?;
        Ok(Request { mesh: Some(mesh), views: Some(sources::load_views(&arguments.views, progress)?), ..request })
    })
}
