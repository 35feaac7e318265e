// SPDX-License-Identifier: Apache-2.0
//
// What a file is by its first bytes, in words that help the person who passed the wrong one. Runs before anything is
// parsed and looks at 64 bytes at most.

const HEADER: [u8; 8] = *b"\0asm\x01\0\0\0";

/// None for bytes that begin like a core WebAssembly module of version 1; otherwise why berth does not take them.
pub fn not_a_core_module(bytes: &[u8]) -> Option<String> {
    if bytes.starts_with(&HEADER) {
        return None;
    }
    if bytes.is_empty() {
        return Some("the module is empty".to_owned());
    }
    if HEADER.starts_with(bytes) {
        return Some(format!("the module is truncated: it has {} of the 8 bytes of the header", bytes.len()));
    }
    if let Some(version) = bytes.strip_prefix(b"\0asm") {
        return Some(other_version(version));
    }
    Some(other_format(bytes).to_owned())
}

/// `version` is what follows the magic number: 16 bits of version, then 16 bits of layer.
fn other_version(version: &[u8]) -> String {
    let field = |at: usize| version.get(at..at + 2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    match (field(0), field(2)) {
        (_, Some(1)) => {
            "this is a WebAssembly component; berth runs core modules, such as those of the target \
                         wasm32-wasip1"
                .to_owned()
        }
        (Some(number), Some(0)) => format!("this is WebAssembly of version {number}; berth runs version 1"),
        (Some(_), Some(layer)) => {
            format!("this is WebAssembly of the unknown kind {layer}; berth runs core modules")
        }
        _ => "the module is truncated: it ends inside the header".to_owned(),
    }
}

fn other_format(bytes: &[u8]) -> &'static str {
    const FORMATS: [(&[u8], &str); 9] = [
        (b"\x1f\x8b", "this is a gzip archive, not a WebAssembly module: unpack it first"),
        (b"PK\x03\x04", "this is a zip archive, not a WebAssembly module: unpack it first"),
        (b"PK\x05\x06", "this is an empty zip archive, not a WebAssembly module"),
        (b"\x28\xb5\x2f\xfd", "this is a zstd archive, not a WebAssembly module: unpack it first"),
        (b"\xfd7zXZ\0", "this is an xz archive, not a WebAssembly module: unpack it first"),
        (
            b"\x7fELF",
            "this is machine code (ELF, such as a .cwasm file), not WebAssembly; berth compiles modules itself",
        ),
        (b"BC\xc0\xde", "this is LLVM bitcode, not a WebAssembly module: link it with wasm-ld first"),
        (
            b"!<arch>\n",
            "this is a library of object files, not a WebAssembly module: link it with wasm-ld first",
        ),
        (b"#!", "this is a script, not a WebAssembly module"),
    ];
    if let Some((_, sentence)) = FORMATS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return sentence;
    }
    match first_text(bytes) {
        Some('(') => {
            "this is WebAssembly in its text form (.wat): assemble it first, for example with wat2wasm"
        }
        Some(_) => "this is text, not a WebAssembly module",
        None => "this is not a WebAssembly module: it does not begin with the bytes 00 61 73 6d",
    }
}

/// The first character that is not blank, if the beginning reads as text. A `;;` or `(;` comment counts as WAT.
fn first_text(bytes: &[u8]) -> Option<char> {
    let head = &bytes[..bytes.len().min(64)];
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The cut at 64 bytes may split a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let text = text.trim_start_matches('\u{feff}');
    if text.chars().any(|character| character.is_control() && !character.is_ascii_whitespace()) {
        return None;
    }
    let first = text.trim_start().chars().next()?;
    Some(if text.trim_start().starts_with(";;") { '(' } else { first })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(bytes: &[u8]) -> String {
        not_a_core_module(bytes).unwrap()
    }

    #[test]
    fn a_core_module_is_recognised() {
        assert_eq!(not_a_core_module(b"\0asm\x01\0\0\0"), None);
        assert_eq!(not_a_core_module(b"\0asm\x01\0\0\0garbage"), None);
    }

    #[test]
    fn each_wrong_file_has_its_own_sentence() {
        assert_eq!(sentence(b""), "the module is empty");
        assert!(sentence(b"\0").contains("1 of the 8 bytes"));
        assert!(sentence(b"\0asm\x01\0\0").contains("7 of the 8 bytes"));
        assert!(sentence(b"\0asm\x02").contains("ends inside the header"));
        assert!(sentence(b"\0asm\x0d\0\x01\0").contains("component"));
        assert!(sentence(b"\0asm\x02\0\0\0").contains("version 2;"));
        assert!(sentence(b"\0asm\x01\0\x07\0").contains("unknown kind 7"));
        assert!(sentence(b"\x1f\x8b\x08").contains("gzip"));
        assert!(sentence(b"PK\x03\x04").contains("zip archive"));
        assert!(sentence(b"\x7fELF\x02\x01").contains("machine code"));
        assert!(sentence(b"(module)").contains("text form"));
        assert!(sentence(b"\n  ;; comment\n(module)").contains("text form"));
        assert!(sentence(b"hello, world\n").contains("this is text"));
        assert!(sentence(b"\xef\xbb\xbf(module)").contains("text form"));
        assert!(sentence(b"\x01\x02\x03").contains("00 61 73 6d"));
        assert!(sentence(b"\xff\xfe").contains("00 61 73 6d"));
    }

    #[test]
    fn text_whose_sixty_fourth_byte_splits_a_character_is_still_text() {
        let text = format!("{}\u{20ac}\u{20ac}", "a".repeat(62));
        assert!(sentence(text.as_bytes()).contains("this is text"));
    }
}
