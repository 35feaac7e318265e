// SPDX-License-Identifier: Apache-2.0

use crate::toml::to_json;

fn json(text: &str) -> String {
    to_json(text.as_bytes()).unwrap()
}

fn error(text: impl AsRef<[u8]>) -> String {
    let message = to_json(text.as_ref()).unwrap_err();
    assert!(!message.contains('\n') && !message.ends_with('.') && message.is_ascii(), "{message:?}");
    assert!(message.len() < 400, "{message}");
    message
}

#[test]
fn a_document_keeps_its_order_and_types() {
    let text = "z = 1\na = 'two'\n[m]\nf = 1.5\nt = true\nlist = [1, [2]]\n[[n]]\nx = 1\n[[n]]\nx = 2\n";
    let expected = r#"{"z":1,"a":"two","m":{"f":1.5,"t":true,"list":[1,[2]]},"n":[{"x":1},{"x":2}]}"#;
    assert_eq!(json(text), expected);
    assert_eq!(json(""), "{}");
    assert_eq!(json("\u{feff}a = 1\r\n"), r#"{"a":1}"#);
}

#[test]
fn what_is_new_in_toml_1_1_is_read() {
    assert_eq!(json("a = {\n  x = 1, # why\n  y = 2,\n}\n"), r#"{"a":{"x":1,"y":2}}"#);
    assert_eq!(json(r#"a = "\e[\x41""#), r#"{"a":"\u001b[A"}"#);
    assert_eq!(json("a = 07:32\n"), r#"{"a":"07:32"}"#);
}

#[test]
fn dates_and_times_become_strings() {
    let text = "a = 1979-05-27T07:32:00Z\nb = 1979-05-27\nc = 1979-05-27T07:32:00.5-07:00\n";
    assert_eq!(
        json(text),
        r#"{"a":"1979-05-27T07:32:00Z","b":"1979-05-27","c":"1979-05-27T07:32:00.5-07:00"}"#
    );
}

#[test]
fn integers_have_64_bits_and_no_more() {
    let text =
        "a = -9223372036854775808\nb = 9_223_372_036_854_775_807\nc = 0xff\nd = 0o17\ne = 0b11\nf = +7\n";
    let expected = r#"{"a":-9223372036854775808,"b":9223372036854775807,"c":255,"d":15,"e":3,"f":7}"#;
    assert_eq!(json(text), expected);
    assert_eq!(
        error("a = 1\n  b = 9223372036854775808\n"),
        "line 2, column 7: the integer 9223372036854775808 does not fit into 64 bits"
    );
    error("a = 0xffffffffffffffff");
    error(format!("a = {}", "9".repeat(100_000)));
}

#[test]
fn a_float_that_json_cannot_hold_is_an_error() {
    for text in ["inf", "-inf", "nan", "+nan", "1e400", "-1e400"] {
        let message = error(format!("\n\nkey = {text}"));
        assert!(message.starts_with("line 3, column 7: the float "), "{message}");
        assert!(message.ends_with(" is not a finite number"), "{message}");
    }
    assert_eq!(json("a = 6.02e23\nb = -0.0\n"), r#"{"a":6.02e+23,"b":-0.0}"#);
}

#[test]
fn an_error_names_line_and_column_in_characters() {
    assert!(error("a = 1\na = 2\n").starts_with("line 2, column 1: "));
    assert!(error("s = 'äöü' x\n").starts_with("line 1, column 11: "));
    assert!(error("a = [1,\n2,\n").starts_with("line "));
    assert!(error("a.b = 1\n[a]\n").starts_with("line 2, "));
    for text in [
        "=",
        "a",
        "a =",
        "[a",
        "[[a]",
        "a = \"",
        "a = '''",
        "a = {",
        "a = 1 b = 2",
        "a = 1__0",
        "\0",
        "a = \u{1b}",
    ] {
        assert!(error(text).starts_with("line 1, column "), "{text}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_refused_at_their_place() {
    assert_eq!(error(b"a = 1\nb = '\xff'"), "line 2, column 6: the text is not UTF-8");
    assert_eq!(error(b"a = '\xe2\x82"), "line 1, column 6: the text is not UTF-8");
}

#[test]
fn nesting_of_every_kind_is_bounded() {
    const DEEP: usize = 100_000;
    error(format!("a = {}", "[".repeat(DEEP)));
    error(format!("a = {}1{}", "[".repeat(DEEP), "]".repeat(DEEP)));
    error(format!("a = {}", "{a=".repeat(DEEP)));
    error(format!("{}a = 1", "a.".repeat(DEEP)));
    error(format!("[{}a]", "a.".repeat(DEEP)));
    error(format!("[[{}a]]", "a.".repeat(DEEP)));
    error(format!("x = {{ {}a = 1 }}", "a.".repeat(DEEP)));
    assert!(json(&format!("{}a = 1", "a.".repeat(60))).starts_with(r#"{"a":{"a":"#));
    assert!(error(format!("{}a = 1", "a.".repeat(70))).ends_with("nest too deep"));
}

#[test]
fn a_text_that_is_too_long_is_refused() {
    assert_eq!(error(vec![b'\n'; (16 << 20) + 1]), "line 1, column 1: the text is longer than 16 MiB");
}

#[test]
fn every_prefix_and_every_bit_flip_gives_an_answer() {
    let good = "[limits]\nmemory_mb = 256 # pages\nlist = [\"é\", '''x''', 1979-05-27T07:32:00Z, {a.b = 0x1f}]\n[[m]]\n";
    for end in 0..good.len() {
        let _ = to_json(&good.as_bytes()[..end]);
    }
    for bit in 0..good.len() * 8 {
        let mut bytes = good.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Err(message) = to_json(&bytes) {
            assert!(message.starts_with("line "), "{message}");
        }
    }
}

#[test]
fn depth_beyond_the_limit_costs_no_stack() {
    let key = "a.".repeat(78) + "a";
    let text = format!("[{key}]\n{}a = 1{}", format!("{key}={{").repeat(78), "}".repeat(78));
    let small = std::thread::Builder::new().stack_size(512 << 10);
    let answer = small.spawn(move || error(text)).unwrap().join().unwrap();
    assert_eq!(answer, "line 1, column 130: tables and arrays nest too deep");
}
