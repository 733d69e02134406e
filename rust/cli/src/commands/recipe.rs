use super::job::read_recipe;
use crate::arguments::Recipe;
use crate::error::Result;
use crate::reporter;

pub(crate) fn recipe(arguments: &Recipe) -> Result<()> {
    let value = if arguments.schema {
        maquette_core::Recipe::schema()
    } else {
        read_recipe(arguments.recipe.as_deref(), arguments.preset, &arguments.set)?.to_value()
    };
    reporter::print_line(format_args!("{value:#}"))
}
