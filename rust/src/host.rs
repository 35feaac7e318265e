// SPDX-License-Identifier: Apache-2.0
//
// What compiled code depends on besides the module: the engine's version and this processor.

use std::ffi::{CStr, CString, c_char};
use std::sync::OnceLock;

/// The engine's version, from Cargo.lock by way of build.rs.
const ENGINE_VERSION: &CStr = {
    match CStr::from_bytes_with_nul(concat!(env!("BERTH_NATIVE_ENGINE_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("the engine's version holds a NUL"),
    }
};

#[unsafe(no_mangle)]
pub extern "C" fn berth_native_engine_version() -> *const c_char {
    ENGINE_VERSION.as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn berth_native_cpu_features() -> *const c_char {
    static FEATURES: OnceLock<CString> = OnceLock::new();
    FEATURES.get_or_init(|| CString::new(cpu_features().join(" ")).unwrap_or_default()).as_ptr()
}

/// The names after the architecture are the ones that the engine's code generator looks for (crate cranelift-native).
fn cpu_features() -> Vec<&'static str> {
    let mut names = vec![std::env::consts::ARCH];
    macro_rules! detect {
        ($detected:ident, $($name:tt)*) => {
            $(if std::arch::$detected!($name) { names.push($name); })*
        };
    }
    #[cfg(target_arch = "x86_64")]
    detect!(is_x86_feature_detected, "cmpxchg16b" "sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "avx" "avx2" "fma" "avxvnni"
        "bmi1" "bmi2" "lzcnt" "avx512bitalg" "avx512dq" "avx512f" "avx512vl" "avx512vbmi" "avx512vnni");
    #[cfg(target_arch = "aarch64")]
    detect!(is_aarch64_feature_detected, "lse" "paca" "fp16" "dotprod" "i8mm");
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_version_is_three_numbers() {
        let version = ENGINE_VERSION.to_str().unwrap();
        assert_eq!(version.split('.').filter(|part| part.parse::<u32>().is_ok()).count(), 3, "{version}");
    }

    #[test]
    fn the_processor_is_named_and_every_call_gives_the_same_text() {
        let first = berth_native_cpu_features();
        assert_eq!(first, berth_native_cpu_features());
        let text = unsafe { CStr::from_ptr(first) }.to_str().unwrap();
        assert!(text.starts_with(std::env::consts::ARCH), "{text}");
    }
}
