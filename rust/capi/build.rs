//! Link settings of the shared library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        // Hosts unload plug-ins while threads still end; the library then stays mapped.
        Ok("linux") => {
            println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libmaquette.so");
            println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
        }
        Ok("macos") => println!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libmaquette.dylib"),
        _ => {}
    }
}
