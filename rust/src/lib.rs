// SPDX-License-Identifier: Apache-2.0
//
// berth-native: the Rust libraries that berth links, as one static library. This file is the border to C: it turns
// pointers into slices, results into errno values, and Rust text into memory that berth_native_free() takes back.
// include/berth_native.h documents every function; what is exported here has no other description.
//
// Nothing below the border panics on hostile input. Should it happen nevertheless, the process ends (panic = "abort"):
// unwinding into C would be undefined.

mod caps;
mod facts;
mod host;
#[cfg(feature = "engine")]
mod limiter;
mod printable;
mod recognise;
mod scan;
mod strip;
#[cfg(test)]
mod test_scan;
#[cfg(test)]
mod test_strip;
#[cfg(test)]
mod test_toml;
mod toml;

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use caps::ScanCaps;
use scan::Refusal;

// Named, so that their C functions become part of the static library.
#[cfg(feature = "engine")]
use aws_lc_sys as _;
#[cfg(feature = "engine")]
pub use wasmtime_c_api::*;

// The values of Linux, on every architecture that the engine supports.
const EINVAL: c_int = 22;
const ENOMEM: c_int = 12;

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn free(memory: *mut c_void);
}

/// # Safety
/// `returned` is NULL or came from a function of this file and was not given back before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn berth_native_free(returned: *mut c_void) {
    // SAFETY: everything handed out comes from malloc; the rest is the caller's promise.
    unsafe { free(returned) }
}

/// # Safety
/// `text` has `length` bytes; the outputs can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn berth_native_toml_to_json(
    text: *const c_char,
    length: usize,
    ret_json: *mut *mut c_char,
    reterr_message: *mut *mut c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        ret_json.write(ptr::null_mut());
        reterr_message.write(ptr::null_mut());
        let Some(text) = slice(text.cast(), length) else {
            return hand_out("the text is missing", reterr_message, -EINVAL);
        };
        match toml::to_json(text) {
            Ok(json) => hand_out(&json, ret_json, 0),
            Err(message) => hand_out(&message, reterr_message, -EINVAL),
        }
    }
}

/// # Safety
/// `wasm` has `length` bytes; `caps` is NULL or valid; the outputs can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn berth_native_module_scan(
    wasm: *const u8,
    length: usize,
    caps: *const ScanCaps,
    ret_facts_json: *mut *mut c_char,
    reterr_message: *mut *mut c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        ret_facts_json.write(ptr::null_mut());
        reterr_message.write(ptr::null_mut());
        let (Some(wasm), Some(caps)) = (slice(wasm, length), caps.as_ref()) else {
            return hand_out("the module's bytes or the caps are missing", reterr_message, -EINVAL);
        };
        match scan::scan(wasm, caps) {
            Ok((facts, types)) => hand_out(&facts::to_json(&facts, &types), ret_facts_json, 0),
            Err(refusal) => hand_out(refusal.sentence(), reterr_message, refusal.code()),
        }
    }
}

/// # Safety
/// `wasm` has `length` bytes; the outputs can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn berth_native_module_strip(
    wasm: *const u8,
    length: usize,
    name_section_max_bytes: usize,
    ret_wasm: *mut *mut u8,
    ret_length: *mut usize,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        ret_wasm.write(ptr::null_mut());
        ret_length.write(0);
        let Some(wasm) = slice(wasm, length) else {
            return -EINVAL;
        };
        let kept = match strip::kept_ranges(wasm, name_section_max_bytes) {
            Ok(kept) => kept,
            Err(refusal) => return refusal.code(),
        };
        let parts: Vec<&[u8]> = kept.into_iter().filter_map(|range| wasm.get(range)).collect();
        match copy_out(&parts) {
            Some((copy, length)) => {
                ret_wasm.write(copy);
                ret_length.write(length);
                0
            }
            None => -ENOMEM,
        }
    }
}

impl Refusal {
    /// enum berth_native_refusal.
    fn code(&self) -> c_int {
        match self {
            Refusal::NotWasm(_) => 1,
            Refusal::Invalid(_) => 2,
            Refusal::Feature(_) => 3,
            Refusal::Cap(_) => 4,
        }
    }

    fn sentence(&self) -> &str {
        match self {
            Refusal::NotWasm(text) | Refusal::Invalid(text) | Refusal::Feature(text) | Refusal::Cap(text) => {
                text
            }
        }
    }
}

/// A C pointer and length as a slice; None for NULL with a length, or a length that no object can have.
unsafe fn slice<'a>(bytes: *const u8, length: usize) -> Option<&'a [u8]> {
    if length == 0 {
        return Some(&[]);
    }
    if bytes.is_null() || isize::try_from(length).is_err() {
        return None;
    }
    // SAFETY: the caller promises that so many bytes are there, and they stay for the call.
    Some(unsafe { std::slice::from_raw_parts(bytes, length) })
}

/// Puts a NUL-terminated copy of `text` where the caller wants it, and returns `status`, or -ENOMEM.
unsafe fn hand_out(text: &str, output: *mut *mut c_char, status: c_int) -> c_int {
    match copy_out(&[text.as_bytes(), b"\0"]) {
        Some((copy, _)) => {
            // SAFETY: the caller promises that the output can be written.
            unsafe { output.write(copy.cast()) };
            status
        }
        None => -ENOMEM,
    }
}

/// Joins the parts in memory from malloc; None when there is none.
fn copy_out(parts: &[&[u8]]) -> Option<(*mut u8, usize)> {
    let length = parts.iter().map(|part| part.len()).sum();
    // SAFETY: malloc gives `length` bytes or NULL; the parts add up to `length`.
    unsafe {
        let copy: *mut u8 = malloc(length).cast();
        if copy.is_null() {
            return None;
        }
        let mut end = copy;
        for part in parts {
            ptr::copy_nonoverlapping(part.as_ptr(), end, part.len());
            end = end.add(part.len());
        }
        Some((copy, length))
    }
}
