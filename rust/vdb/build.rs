//! Compiles the bridge to OpenVDB, when the feature asks for it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "openvdb")]
    {
        for file in ["src/bridge.rs", "../../cpp/vdb/sdf.h", "../../cpp/vdb/sdf.cc"] {
            println!("cargo::rerun-if-changed={file}");
        }
        cxx_build::bridge("src/bridge.rs")
            .file("../../cpp/vdb/sdf.cc")
            .include("../../cpp")
            .std("c++17")
            .warnings_into_errors(true)
            // OpenVDB's own headers.
            .flag_if_supported("-Wno-deprecated-declarations")
            .compile("maquette_vdb");
        for library in ["openvdb", "tbb", "Imath"] {
            println!("cargo::rustc-link-lib={library}");
        }
    }
}
