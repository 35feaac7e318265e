// SPDX-License-Identifier: Apache-2.0
//
// TOML 1.1 to JSON text, with the place of every error. The document is a person's configuration, but may come from a
// stranger: its length and depth are bounded before anything walks over it.

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

use crate::printable::{NAME_MAX_CHARS, printable, printable_sentence};

const TEXT_MAX_BYTES: usize = 16 << 20;
/// Deep enough for any configuration, and far from the end of a small stack.
const DEPTH_MAX: usize = 64;

pub fn to_json(bytes: &[u8]) -> Result<String, String> {
    if bytes.len() > TEXT_MAX_BYTES {
        return Err(at(bytes, 0, &format!("the text is longer than {} MiB", TEXT_MAX_BYTES >> 20)));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| at(bytes, error.valid_up_to(), "the text is not UTF-8"))?;
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        at(bytes, offset, &printable_sentence(error.message()))
    })?;
    let document = Document { bytes };
    let json = document.table(table.get_ref(), 1).map(|value| value.to_string());
    dismantle(table.into_inner());
    json
}

/// Drops a tree without recursion: dotted keys inside inline tables nest thousands deep, which would take more stack
/// than a small thread has.
fn dismantle(table: DeTable) {
    let mut rest: Vec<DeValue> = table.into_iter().map(|(_, value)| value.into_inner()).collect();
    while let Some(value) = rest.pop() {
        match value {
            DeValue::Table(table) => rest.extend(table.into_iter().map(|(_, value)| value.into_inner())),
            DeValue::Array(array) => rest.extend(array.into_iter().map(Spanned::into_inner)),
            _ => {}
        }
    }
}

/// "line L, column C: problem". Columns count characters.
fn at(bytes: &[u8], offset: usize, problem: &str) -> String {
    let before = &bytes[..offset.min(bytes.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
    format!("line {line}, column {column}: {problem}")
}

struct Document<'a> {
    bytes: &'a [u8],
}

impl Document<'_> {
    fn table(&self, table: &DeTable, depth: usize) -> Result<Value, String> {
        let mut object = Map::new();
        for (key, value) in table {
            object.insert(key.get_ref().clone().into_owned(), self.value(value, depth)?);
        }
        Ok(Value::Object(object))
    }

    fn value(&self, spanned: &Spanned<DeValue>, depth: usize) -> Result<Value, String> {
        let error = |problem: &str| Err(at(self.bytes, spanned.span().start, problem));
        if depth > DEPTH_MAX {
            return error("tables and arrays nest too deep");
        }
        match spanned.get_ref() {
            DeValue::String(text) => Ok(Value::String(text.clone().into_owned())),
            DeValue::Integer(integer) => integer_value(integer).or_else(|problem| error(&problem)),
            DeValue::Float(float) => float_value(float).or_else(|problem| error(&problem)),
            DeValue::Boolean(truth) => Ok(Value::Bool(*truth)),
            DeValue::Datetime(datetime) => Ok(Value::String(datetime.to_string())),
            DeValue::Array(array) => array.iter().map(|item| self.value(item, depth + 1)).collect(),
            DeValue::Table(table) => self.table(table, depth + 1),
        }
    }
}

fn integer_value(integer: &DeInteger) -> Result<Value, String> {
    i64::from_str_radix(integer.as_str(), integer.radix()).map(|number| Value::Number(number.into())).map_err(
        |_| format!("the integer {} does not fit into 64 bits", printable(integer.as_str(), NAME_MAX_CHARS)),
    )
}

fn float_value(float: &DeFloat) -> Result<Value, String> {
    let number: Option<f64> = float.as_str().parse().ok();
    number.and_then(Number::from_f64).map(Value::Number).ok_or_else(|| {
        format!("the float {} is not a finite number", printable(float.as_str(), NAME_MAX_CHARS))
    })
}
