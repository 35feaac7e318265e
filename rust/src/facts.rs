// SPDX-License-Identifier: Apache-2.0
//
// The facts of a scanned module as JSON, in the form that berth_native.h documents.

use serde_json::{Value, json};
use wasmparser::types::{CoreTypeId, EntityType, Types};
use wasmparser::{BinaryReader, CompositeInnerType, MemoryType, ProducersSectionReader, TableType};

use crate::printable::printable;
use crate::scan::Facts;

const PRODUCERS_MAX: usize = 16;
const TARGET_FEATURES_MAX: usize = 64;
const HINT_MAX_CHARS: usize = 128;

pub fn to_json(facts: &Facts, types: &Types) -> String {
    let imports = facts.imports.iter().map(|import| {
        let (kind, ty) = kind_and_type(types, types.as_ref().entity_type_from_import(import));
        json!({"module": import.module, "name": import.name, "kind": kind, "type": ty})
    });
    let exports = facts.exports.iter().map(|export| {
        let (kind, ty) = kind_and_type(types, types.as_ref().entity_type_from_export(export));
        json!({"name": export.name, "kind": kind, "type": ty})
    });
    let tables = facts.tables.iter().map(|table| json!({"min": table.initial, "max": table.maximum}));
    let memory = facts.memory.as_ref().map(|(memory, imported)| {
        json!({"min_pages": memory.initial, "max_pages": memory.maximum, "imported": imported})
    });
    json!({
        "size_bytes": facts.size_bytes,
        "functions": facts.functions,
        "imports": imports.collect::<Value>(),
        "exports": exports.collect::<Value>(),
        "memory": memory,
        "tables": tables.collect::<Value>(),
        "globals": facts.globals,
        "data_bytes": facts.data_bytes,
        "element_count": facts.element_count,
        "locals_total": facts.locals_total,
        "largest_body_bytes": facts.largest_body_bytes,
        "br_table_targets": facts.br_table_targets,
        "custom_bytes": facts.custom_bytes,
        "name_section_bytes": facts.name_section_bytes,
        "nesting": facts.nesting,
        "operand_moves": facts.operand_moves,
        "start": facts.start,
        "uses_simd": facts.uses_simd,
        "producers": facts.producers.clone().map_or_else(Vec::new, producers),
        "target_features": facts.target_features.clone().map_or_else(Vec::new, target_features),
    })
    .to_string()
}

fn kind_and_type(types: &Types, entity: Option<EntityType>) -> (&'static str, String) {
    match entity {
        Some(EntityType::Func(id) | EntityType::FuncExact(id)) => ("func", function_type(types, id)),
        Some(EntityType::Table(table)) => ("table", table_type(&table)),
        Some(EntityType::Memory(memory)) => ("memory", memory_type(&memory)),
        Some(EntityType::Global(global)) => {
            let mutable = if global.mutable { "mut " } else { "" };
            ("global", format!("{mutable}{}", global.content_type))
        }
        Some(EntityType::Tag(_)) | None => ("unknown", String::new()),
    }
}

fn function_type(types: &Types, id: CoreTypeId) -> String {
    let ty = types.as_ref().get(id).map(|ty| &ty.composite_type.inner);
    let Some(CompositeInnerType::Func(function)) = ty else {
        return String::new();
    };
    let list = |types: &[wasmparser::ValType]| {
        let names: Vec<String> = types.iter().map(ToString::to_string).collect();
        names.join(",")
    };
    format!("({})->({})", list(function.params()), list(function.results()))
}

fn table_type(table: &TableType) -> String {
    format!("{} {}", wasmparser::ValType::Ref(table.element_type), range(table.initial, table.maximum))
}

fn memory_type(memory: &MemoryType) -> String {
    range(memory.initial, memory.maximum)
}

fn range(minimum: u64, maximum: Option<u64>) -> String {
    let maximum = maximum.map_or_else(String::new, |maximum| maximum.to_string());
    format!("{minimum}..{maximum}")
}

/// Which tools made the module, by their own words (github.com/WebAssembly/tool-conventions, ProducersSection.md). A hint:
/// what is malformed is left out.
fn producers(section: BinaryReader) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(fields) = ProducersSectionReader::new(section) else {
        return found;
    };
    for field in fields.into_iter().map_while(Result::ok) {
        for value in field.values.into_iter().map_while(Result::ok) {
            if found.len() == PRODUCERS_MAX {
                return found;
            }
            let line = format!("{} {} {}", field.name, value.name, value.version);
            found.push(printable(line.trim_end(), HINT_MAX_CHARS));
        }
    }
    found
}

/// Which features the module's makers had on, each with its prefix + or - (tool-conventions, Linking.md). A hint as above.
fn target_features(mut section: BinaryReader) -> Vec<String> {
    let mut found = Vec::new();
    let count = section.read_var_u32().unwrap_or(0);
    for _ in 0..count.min(TARGET_FEATURES_MAX as u32) {
        let (Ok(prefix), Ok(name)) = (section.read_u8(), section.read_string()) else {
            break;
        };
        found.push(printable(&format!("{}{name}", char::from(prefix)), HINT_MAX_CHARS));
    }
    found
}
