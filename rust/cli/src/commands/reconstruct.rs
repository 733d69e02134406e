use maquette_core::recipe::Task;
use maquette_pipeline::{Request, sources};

use super::job;
use crate::arguments::Reconstruct;
use crate::error::Result;

pub(crate) fn reconstruct(arguments: &Reconstruct) -> Result<()> {
    job::run(&arguments.job, &arguments.views, Task::Reconstruct, |request, progress| {
        Ok(Request { views: Some(sources::load_views(&arguments.views, progress)?), ..request })
    })
}
