use maquette_core::io;
use maquette_core::recipe::Task;
use maquette_pipeline::{Request, sources};

use super::job;
use crate::arguments::Texture;
use crate::error::Result;

pub(crate) fn texture(arguments: &Texture) -> Result<()> {
    job::run(&arguments.job, &arguments.mesh, Task::Texture, |request, progress| {
        let views = sources::load_views(&arguments.views, progress)?;
        Ok(Request { mesh: Some(io::read_mesh(&arguments.mesh)?), views: Some(views), ..request })
    })
}
