//! Every habit of the project as one command: `cargo xtask test | bench | package | header`.

fn main() {}
