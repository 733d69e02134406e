//! The command line `maquette`.

fn main() {}
