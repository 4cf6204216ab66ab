//! Tests that the assumptions of `csrc/cuda_graph.cpp`, which uses libtorch's CUDA graphs without its CUDA headers,
//! agree with the headers.

use crate::common;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn output(command: &mut Command) -> String {
    let output = command.output().expect("a C++ compiler with nm, as for the build");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The CUDA headers installed by `tests/requirements.txt`.
fn cuda_headers(root: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(root.join(".venv/lib")).ok()?;
    let folder = |entry: fs::DirEntry| entry.path().join("site-packages/nvidia/cu13/include");
    let mut folders = versions.flatten().map(folder);
    folders.find(|folder| folder.join("crt/host_defines.h").exists())
}

#[test]
fn cuda_graph_symbols_match_the_headers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let libtorch = std::env::var_os("LIBTORCH").map_or(root.join("vendor/libtorch"), PathBuf::from);
    let header = libtorch.join("include/ATen/cuda/CUDAGraph.h");
    let Some(cuda) = cuda_headers(root).filter(|_| header.exists()) else {
        return common::left_out("the headers of CUDA graphs");
    };
    let home = tempfile::tempdir().unwrap();
    let object = home.path().join("cuda_graph.o");
    let mut compiler = Command::new(std::env::var_os("CXX").unwrap_or("c++".into()));
    compiler.args(["-std=c++20", "-w", "-c", "-I"]).arg(libtorch.join("include"));
    compiler.arg("-I").arg(cuda).arg(root.join("tests/fixtures/cuda_graph_symbols.cpp"));
    output(compiler.arg("-o").arg(&object));
    let symbols = output(Command::new("nm").arg("-u").arg(&object));
    let graphs = |name: &&str| name.contains("CUDAGraph");
    let expected: BTreeSet<&str> = symbols.split_whitespace().filter(graphs).collect();
    let source = fs::read_to_string(root.join("csrc/cuda_graph.cpp")).unwrap();
    let found: BTreeSet<&str> = source.split('"').filter(|part| part.starts_with("_Z")).collect();
    assert_eq!(found, expected);
    assert_eq!(expected.len(), 5);
}
