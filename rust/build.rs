// SPDX-License-Identifier: Apache-2.0
//
// Gathers the C headers of everything in this library into one stable directory, `include` beside `release` in cargo's
// target directory, so that a C build names one path and never a hash. Also says which engine version is linked.
//
// A header that did not change is not written again, so that it rebuilds no C file.

use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=Cargo.lock");
    println!("cargo::rerun-if-changed=include");
    println!("cargo::rustc-env=BERTH_NATIVE_ENGINE_VERSION={}", locked_version("wasmtime")?);
    if std::env::var_os("CARGO_FEATURE_ENGINE").is_none() {
        return Ok(());
    }

    let include = target_dir()?.join("include");
    let engine = from_dependency("DEP_WASMTIME_C_API_INCLUDE")?;
    let crypto = from_dependency("DEP_AWS_LC_0_47_0_INCLUDE")?;
    copy_headers(&engine, &include)?;
    copy_headers(&crypto.join("openssl"), &include.join("openssl"))?;
    copy_headers(Path::new("include"), &include)?;
    Ok(())
}

/// The version that the lock file pins for a crate.
fn locked_version(name: &str) -> Result<String> {
    let lock = fs::read_to_string("Cargo.lock")?;
    let wanted = format!("name = \"{name}\"");
    let mut lines = lock.lines().skip_while(|line| *line != wanted);
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \""));
    let version = version.and_then(|rest| rest.strip_suffix('"'));
    Ok(version.ok_or_else(|| format!("Cargo.lock has no version of {name}"))?.to_owned())
}

/// OUT_DIR is `release/build/PACKAGE/out` below cargo's target directory.
fn target_dir() -> Result<PathBuf> {
    let out_dir = from_dependency("OUT_DIR")?;
    let root = out_dir.ancestors().nth(4);
    Ok(root.ok_or("OUT_DIR is not inside a cargo target directory")?.to_owned())
}

fn from_dependency(name: &str) -> Result<PathBuf> {
    let value = std::env::var_os(name).ok_or_else(|| format!("{name} is not set"))?;
    Ok(PathBuf::from(value))
}

fn copy_headers(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_headers(&entry.path(), &target)?;
        } else if entry.path().extension() == Some(OsStr::new("h")) {
            copy_if_changed(&entry.path(), &target)?;
        }
    }
    Ok(())
}

fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from)?;
    let changed = fs::read(to).map_or(true, |old| old != bytes);
    if changed {
        fs::write(to, bytes)?;
    }
    Ok(())
}
