// SPDX-License-Identifier: Apache-2.0
//
// Bytes chosen by a guest, made safe to show: printable ASCII only, and short. Everything that a message of this
// library quotes from its input passes through here.

/// Longest quotation in a message.
pub const NAME_MAX_CHARS: usize = 64;

/// Escapes everything that is not printable ASCII, and cuts the result to `max_chars`, "..." included.
pub fn printable(text: &str, max_chars: usize) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        let start = shown.len();
        if character == ' ' || character.is_ascii_graphic() {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
        if shown.len() > max_chars {
            shown.truncate(start.min(max_chars.saturating_sub(3)));
            shown.push_str("...");
            break;
        }
    }
    shown
}

/// The same for a sentence that another library wrote: it puts names between back quotes, which may be long.
pub fn printable_sentence(text: &str) -> String {
    const SENTENCE_MAX_CHARS: usize = 240;
    let text = text.trim_end_matches(['.', '\n']).replace('\n', ", ");
    let quoted = text.find('`').zip(text.rfind('`')).filter(|(first, last)| first < last);
    let bounded = match quoted {
        Some((first, last)) => {
            let name = printable(&text[first + 1..last], NAME_MAX_CHARS);
            format!("{}`{name}`{}", &text[..first], &text[last + 1..])
        }
        None => text,
    };
    printable(&bounded, SENTENCE_MAX_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_other_scripts_are_escaped() {
        assert_eq!(printable("a\x1b[31m\n\u{202e}b", 64), "a\\u{1b}[31m\\n\\u{202e}b");
    }

    #[test]
    fn a_long_name_is_cut_and_never_in_the_middle_of_an_escape() {
        assert_eq!(printable(&"x".repeat(64), 64).len(), 64);
        assert_eq!(printable(&"x".repeat(65), 64), format!("{}...", "x".repeat(61)));
        assert_eq!(printable(&"\u{1b}".repeat(65), 64), format!("{}...", "\\u{1b}".repeat(10)));
    }

    #[test]
    fn a_sentence_keeps_its_end_when_its_name_is_long() {
        let sentence = format!("duplicate export name `{}` already defined", "y".repeat(100_000));
        let shown = printable_sentence(&sentence);
        assert!(shown.starts_with("duplicate export name `yyy"));
        assert!(shown.ends_with("...` already defined"));
        assert!(shown.len() < 120);
        assert_eq!(printable_sentence("a ` b"), "a ` b");
        assert_eq!(printable_sentence("``"), "``");
    }
}
