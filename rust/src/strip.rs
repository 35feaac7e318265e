// SPDX-License-Identifier: Apache-2.0
//
// Copies a module without its custom sections, except a `name` section that is small enough. Works on the outermost
// layer only: what a section holds is not looked at, and copied byte for byte.

use std::ops::Range;

use wasmparser::BinaryReader;

use crate::recognise::not_a_core_module;
use crate::scan::Refusal;

const HEADER_BYTES: usize = 8;
const CUSTOM_SECTION: u8 = 0;

/// The ranges of `wasm` that stay, in order; together they are the stripped module.
pub fn kept_ranges(wasm: &[u8], name_section_max_bytes: usize) -> Result<Vec<Range<usize>>, Refusal> {
    if let Some(sentence) = not_a_core_module(wasm) {
        return Err(Refusal::NotWasm(sentence));
    }
    let mut kept: Vec<Range<usize>> = vec![Range { start: 0, end: HEADER_BYTES }];
    let mut has_name_section = false;
    let mut reader = BinaryReader::new(&wasm[HEADER_BYTES..], HEADER_BYTES);
    while !reader.eof() {
        let start = reader.original_position();
        let id = reader.read_u8()?;
        let contents = reader.read_reader()?;
        let end = reader.original_position();
        if id == CUSTOM_SECTION {
            let is_kept = !has_name_section && is_small_name_section(contents, name_section_max_bytes)?;
            has_name_section |= is_kept;
            if !is_kept {
                continue;
            }
        }
        match kept.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => kept.push(start..end),
        }
    }
    Ok(kept)
}

fn is_small_name_section(mut contents: BinaryReader, max_bytes: usize) -> Result<bool, Refusal> {
    let name = contents.read_unlimited_string()?;
    Ok(name == "name" && contents.bytes_remaining() <= max_bytes)
}
