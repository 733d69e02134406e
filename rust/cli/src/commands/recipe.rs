use crate::arguments::Recipe;
use crate::error::Result;

pub(crate) fn recipe(_: &Recipe) -> Result<()> {
    println!("{:#}", maquette_core::Recipe::schema());
    Ok(())
}
