// SPDX-License-Identifier: Apache-2.0
//
// Prints the lines of /logs/system.log that contain the first argument. Reads the whole file, then splits it.
//
//   /usr/bin/rustc --edition 2021 --target wasm32-wasi -O -C strip=symbols -C linker=wasm-ld-14 -o log_filter.wasm log_filter.rs
//   berth run --dir ./logs::/logs log_filter.wasm CRITICAL
//
// Lines are bytes, because logs are not always UTF-8. Ends as grep does: 0 if there was such a line, 1 if not, 2
// if something went wrong.

use std::io::{self, BufWriter, Write};
use std::{env, fs, process};

const LOG: &str = "/logs/system.log";

fn contains(line: &[u8], word: &[u8]) -> bool {
    word.is_empty() || line.windows(word.len()).any(|part| part == word)
}

fn filter(log: &[u8], word: &[u8]) -> io::Result<bool> {
    let mut output = BufWriter::new(io::stdout().lock());
    let mut found = false;
    let log = log.strip_suffix(b"\n").unwrap_or(log);
    for line in log.split(|byte| *byte == b'\n') {
        if contains(line, word) {
            output.write_all(line)?;
            output.write_all(b"\n")?;
            found = true;
        }
    }
    output.flush()?;
    Ok(found)
}

fn main() {
    let word = match env::args().nth(1) {
        Some(word) => word,
        None => {
            eprintln!("usage: log_filter WORD");
            process::exit(2);
        }
    };
    let found = fs::read(LOG).and_then(|log| if log.is_empty() { Ok(false) } else { filter(&log, word.as_bytes()) });
    match found {
        Ok(true) => {}
        Ok(false) => process::exit(1),
        Err(error) => {
            eprintln!("{}: {}", LOG, error);
            process::exit(2);
        }
    }
}
