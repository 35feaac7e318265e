// SPDX-License-Identifier: Apache-2.0

use crate::scan::Refusal;
use crate::strip::kept_ranges;

const HEADER: &[u8] = b"\0asm\x01\0\0\0";

fn section(id: u8, contents: &[u8]) -> Vec<u8> {
    assert!(contents.len() < 128);
    [&[id, contents.len() as u8], contents].concat()
}

fn custom(name: &str, contents: &[u8]) -> Vec<u8> {
    section(0, &[&[name.len() as u8], name.as_bytes(), contents].concat())
}

fn strip(wasm: &[u8], name_section_max_bytes: usize) -> Result<Vec<u8>, Refusal> {
    let kept = kept_ranges(wasm, name_section_max_bytes)?;
    Ok(kept.into_iter().flat_map(|range| wasm[range].to_vec()).collect())
}

#[test]
fn custom_sections_go_and_all_else_stays_in_order() {
    let (types, memory) = (section(1, &[1, 0x60, 0, 0]), section(5, &[1, 0, 1]));
    let debug = custom(".debug_info", b"lies");
    let wasm = [HEADER, &debug, &types, &debug, &debug, &memory, &custom("", b""), &debug].concat();
    assert_eq!(strip(&wasm, 1000).unwrap(), [HEADER, &types, &memory].concat());
    assert_eq!(strip(HEADER, 0).unwrap(), HEADER);
}

#[test]
fn a_small_name_section_stays_and_a_large_or_second_one_goes() {
    let names = custom("name", &[0, 3, 2, b'm', b'e']);
    let wasm = [HEADER, &names, &names].concat();
    assert_eq!(strip(&wasm, 5).unwrap(), [HEADER, &names].concat());
    assert_eq!(strip(&wasm, 4).unwrap(), HEADER);
    assert_eq!(strip(&[HEADER, &custom("name", b"")].concat(), 0).unwrap().len(), HEADER.len() + 7);
}

#[test]
fn a_section_size_of_more_bytes_than_needed_is_copied_as_it_is() {
    let wasm = [HEADER, &[5, 0x83, 0x80, 0x00, 1, 0, 1], &custom("x", b"")].concat();
    assert_eq!(strip(&wasm, 0).unwrap(), &wasm[..15]);
}

#[test]
fn sections_that_do_not_fit_are_refused() {
    let cases: [&[u8]; 7] = [
        &[1],
        &[1, 1],
        &[1, 0xff, 0xff, 0xff, 0xff, 0x0f],
        &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0, 0],
        &[0, 2, 5, b'a'],
        &[0, 2, 1, 0xff],
    ];
    for case in cases {
        let refusal = strip(&[HEADER, case].concat(), 9).unwrap_err();
        assert!(matches!(refusal, Refusal::Invalid(_)), "{case:?}: {refusal:?}");
    }
}

#[test]
fn what_is_no_module_is_refused() {
    for bytes in [b"".as_slice(), b"(module)", b"\0asm", b"\0asm\x0d\0\x01\0", b"\x7fELF"] {
        assert!(matches!(strip(bytes, 9), Err(Refusal::NotWasm(_))), "{bytes:?}");
    }
}
