//! Compiles `csrc/` against the libtorch that torch-sys was built with, and passes the linker the path where
//! the binary finds libtorch at run time.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=csrc");
    println!("cargo::rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    println!("cargo::rerun-if-env-changed=LIBTORCH_INCLUDE");
    println!("cargo::rerun-if-env-changed=LIBTORCH_CXX11_ABI");

    // Set by torch-sys's build script, which has checked the version.
    let lib = PathBuf::from(env::var("DEP_TCH_LIBTORCH_LIB").expect(
        "torch-sys names the libtorch folder; run scripts/fetch_libtorch.sh if there is none",
    ));
    let lib = lib.canonicalize().unwrap_or(lib);
    let root = env::var("LIBTORCH_INCLUDE").map_or_else(
        |_| lib.parent().map_or_else(|| lib.clone(), Path::to_path_buf),
        PathBuf::from,
    );
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());

    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .includes([root.join("include"), root.join("include/torch/csrc/api/include")])
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        // libtorch's headers produce hundreds of warnings.
        .warnings(false)
        .file("csrc/all.cpp")
        .compile("seqfit_native");

    let argument = linker_argument(&lib);
    println!("cargo::rustc-link-arg={argument}");
    // Cargo does not pass a linker argument on to other crates. A crate that depends on this one reads it as
    // DEP_SEQFIT_LINK_ARG in its build script (README, "Use it as a library").
    println!("cargo::metadata=link_arg={argument}");
    println!("cargo::metadata=libtorch_lib={}", lib.display());
}

/// Returns the single argument with which a program finds libtorch at run time, even outside cargo.
fn linker_argument(lib: &Path) -> String {
    let rpath = format!("-rpath,{}", lib.display());
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return format!("-Wl,{rpath}");
    }
    // RUNPATH, not RPATH, so that LD_LIBRARY_PATH can still select another libtorch of the same version, such
    // as the one inside a PyTorch with CUDA. Functions are resolved at their first call, so that a libtorch
    // of another version is caught by our own check (native/loaded_libtorch.rs), not by a loader that misses a
    // mangled name.
    format!("-Wl,--enable-new-dtags,-z,lazy,{rpath}")
}
