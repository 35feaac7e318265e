// SPDX-License-Identifier: Apache-2.0

use serde_json::Value;
use wasm_encoder as enc;
use wasm_encoder::{EntityType, ExportKind, Instruction, Module, ValType};

use crate::caps::ScanCaps;
use crate::facts::to_json;
use crate::scan::{Refusal, scan};

const HEADER: &[u8] = b"\0asm\x01\0\0\0";

/// Roomy enough that a test meets only the cap that it lowers.
fn roomy() -> ScanCaps {
    const ANY: u64 = u64::MAX;
    ScanCaps {
        module_max_bytes: ANY,
        types_max: ANY,
        params_max: ANY,
        results_max: ANY,
        imports_max: ANY,
        functions_max: ANY,
        tables_max: ANY,
        memories_max: ANY,
        globals_max: ANY,
        exports_max: ANY,
        names_max_bytes: ANY,
        element_segments_max: ANY,
        elements_max: ANY,
        data_segments_max: ANY,
        data_max_bytes: ANY,
        body_max_bytes: ANY,
        locals_max: ANY,
        locals_total_max: ANY,
        br_table_max: ANY,
        br_table_total_max: ANY,
        nesting_max: ANY,
        operand_moves_max: ANY,
        custom_max_bytes: ANY,
        name_section_max_bytes: ANY,
        allow_simd: false,
    }
}

fn facts_with(wasm: &[u8], caps: &ScanCaps) -> Result<Value, Refusal> {
    let (facts, types) = scan(wasm, caps)?;
    Ok(serde_json::from_str(&to_json(&facts, &types)).unwrap())
}

fn facts(wasm: &[u8]) -> Value {
    facts_with(wasm, &roomy()).unwrap()
}

fn refusal_with(wasm: &[u8], caps: &ScanCaps) -> Refusal {
    let refusal = facts_with(wasm, caps).unwrap_err();
    let (Refusal::NotWasm(text) | Refusal::Invalid(text) | Refusal::Feature(text) | Refusal::Cap(text)) =
        &refusal;
    assert!(text.len() < 400 && text.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{text:?}");
    refusal
}

fn refusal(wasm: &[u8]) -> Refusal {
    refusal_with(wasm, &roomy())
}

/// A module of raw sections: id and contents.
fn raw(sections: &[(u8, &[u8])]) -> Vec<u8> {
    let mut module = Module::new();
    for (id, data) in sections {
        module.section(&enc::RawSection { id: *id, data });
    }
    module.finish()
}

/// A module with one function type, and functions of it with these locals and code.
fn functions(params: &[ValType], results: &[ValType], bodies: &[enc::Function]) -> Vec<u8> {
    let mut types = enc::TypeSection::new();
    types.ty().function(params.iter().copied(), results.iter().copied());
    let mut declared = enc::FunctionSection::new();
    let mut code = enc::CodeSection::new();
    for body in bodies {
        declared.function(0);
        code.function(body);
    }
    let mut module = Module::new();
    module.section(&types).section(&declared).section(&code);
    module.finish()
}

fn body(locals: &[(u32, ValType)], code: &[Instruction]) -> enc::Function {
    let mut function = enc::Function::new(locals.iter().copied());
    for instruction in code {
        function.instruction(instruction);
    }
    function.instruction(&Instruction::End);
    function
}

/// One of everything that berth offers.
fn good_module() -> Vec<u8> {
    let mut types = enc::TypeSection::new();
    types.ty().function([ValType::I32, ValType::I64], [ValType::I32]);
    types.ty().function([], []);
    let mut imports = enc::ImportSection::new();
    imports.import("env", "f", EntityType::Function(0));
    imports.import("env", "g", global(ValType::F64, false));
    let mut declared = enc::FunctionSection::new();
    declared.function(1).function(1);
    let mut tables = enc::TableSection::new();
    tables.table(table(enc::RefType::FUNCREF, 2, Some(9)));
    let mut memories = enc::MemorySection::new();
    memories.memory(memory(1, Some(16)));
    let mut globals = enc::GlobalSection::new();
    globals
        .global(global(ValType::I32, true), &enc::ConstExpr::i32_const(7).with_i32_const(1).with_i32_add());
    let mut exports = enc::ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0).export("_start", ExportKind::Func, 1);
    exports.export("table", ExportKind::Table, 0).export("counter", ExportKind::Global, 1);
    let mut elements = enc::ElementSection::new();
    elements.active(None, &enc::ConstExpr::i32_const(0), enc::Elements::Functions([0, 1].as_slice().into()));
    let mut code = enc::CodeSection::new();
    code.function(&body(
        &[(3, ValType::I32), (2, ValType::F64)],
        &[
            Instruction::Block(enc::BlockType::Empty),
            Instruction::Block(enc::BlockType::Empty),
            Instruction::I32Const(1),
            Instruction::BrTable([0, 1].as_slice().into(), 1),
            Instruction::End,
            Instruction::End,
            Instruction::I32Const(5),
            Instruction::I64Const(5),
            Instruction::Call(0),
            Instruction::Drop,
        ],
    ));
    code.function(&body(
        &[],
        &[
            Instruction::I32Const(0),
            Instruction::I32Const(0),
            Instruction::I32Const(1),
            Instruction::MemoryFill(0),
        ],
    ));
    let mut data = enc::DataSection::new();
    data.active(0, &enc::ConstExpr::i32_const(8), *b"hello").passive(*b"!");
    let mut producers = enc::ProducersSection::new();
    producers.field("language", enc::ProducersField::new().value("C11", ""));
    producers.field("processed-by", enc::ProducersField::new().value("clang", "19.1.7"));
    let mut module = Module::new();
    module
        .section(&types)
        .section(&imports)
        .section(&declared)
        .section(&tables)
        .section(&memories)
        .section(&globals);
    module.section(&exports).section(&enc::StartSection { function_index: 2 }).section(&elements);
    module.section(&enc::DataCountSection { count: 2 }).section(&code).section(&data).section(&producers);
    module.section(&enc::CustomSection { name: "name".into(), data: [0, 2, 1, b'm'].as_slice().into() });
    module.section(&enc::CustomSection {
        name: "target_features".into(),
        data: b"\x02+\x08sign-ext-\x03abc".into(),
    });
    module.finish()
}

fn global(val_type: ValType, mutable: bool) -> enc::GlobalType {
    enc::GlobalType { val_type, mutable, shared: false }
}

fn table(element_type: enc::RefType, minimum: u64, maximum: Option<u64>) -> enc::TableType {
    enc::TableType { element_type, table64: false, minimum, maximum, shared: false }
}

fn memory(minimum: u64, maximum: Option<u64>) -> enc::MemoryType {
    enc::MemoryType { minimum, maximum, memory64: false, shared: false, page_size_log2: None }
}

#[test]
fn the_facts_of_a_good_module_are_complete() {
    let wasm = good_module();
    let expected = serde_json::json!({
        "size_bytes": wasm.len(),
        "functions": 2,
        "imports": [
            {"module": "env", "name": "f", "kind": "func", "type": "(i32,i64)->(i32)"},
            {"module": "env", "name": "g", "kind": "global", "type": "f64"},
        ],
        "exports": [
            {"name": "memory", "kind": "memory", "type": "1..16"},
            {"name": "_start", "kind": "func", "type": "()->()"},
            {"name": "table", "kind": "table", "type": "funcref 2..9"},
            {"name": "counter", "kind": "global", "type": "mut i32"},
        ],
        "memory": {"min_pages": 1, "max_pages": 16, "imported": false},
        "tables": [{"min": 2, "max": 9}],
        "globals": 1,
        "data_bytes": 6,
        "element_count": 2,
        "locals_total": 5,
        "largest_body_bytes": 26,
        "br_table_targets": 3,
        "custom_bytes": 63,
        "name_section_bytes": 4,
        "nesting": 3,
        "operand_moves": 6,
        "start": true,
        "uses_simd": false,
        "producers": ["language C11", "processed-by clang 19.1.7"],
        "target_features": ["+sign-ext", "-abc"],
    });
    let found = facts(&wasm);
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&found[key], value, "{key}");
    }
    assert_eq!(found.as_object().unwrap().len(), expected.as_object().unwrap().len());
}

#[test]
fn imported_memories_and_tables_are_told_apart() {
    let mut imports = enc::ImportSection::new();
    imports.import("a", "m", memory(2, None)).import("a", "t", table(enc::RefType::FUNCREF, 0, None));
    let found = facts(Module::new().section(&imports).as_slice());
    assert_eq!(found["memory"], serde_json::json!({"min_pages": 2, "max_pages": null, "imported": true}));
    assert_eq!(found["imports"][0]["type"], "2..");
    assert_eq!(found["imports"][1]["type"], "funcref 0..");
    assert_eq!(facts(HEADER)["memory"], Value::Null);
}

#[test]
fn every_prefix_of_a_good_module_is_refused_or_ends_a_section() {
    let wasm = good_module();
    for end in 0..wasm.len() {
        if let Ok(found) = facts_with(&wasm[..end], &roomy()) {
            assert_eq!(found["size_bytes"], end);
        } else {
            refusal(&wasm[..end]);
        }
    }
}

#[test]
fn every_bit_flip_of_a_good_module_gives_an_answer_and_strips() {
    let good = good_module();
    for bit in 0..good.len() * 8 {
        let mut wasm = good.clone();
        wasm[bit / 8] ^= 1 << (bit % 8);
        answer(&wasm);
    }
}

#[test]
fn random_bytes_in_a_module_give_an_answer() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let good = good_module();
    for _ in 0..20_000 {
        let mut wasm = good.clone();
        for _ in 0..1 + random() % 4 {
            let at = 8 + random() as usize % (wasm.len() - 8);
            wasm[at] = random() as u8;
        }
        answer(&wasm);
    }
}

/// Any bytes may be refused; what is accepted must still be accepted, and smaller, when it is stripped.
fn answer(wasm: &[u8]) {
    if facts_with(wasm, &roomy()).is_err() {
        refusal(wasm);
        let _ = crate::strip::kept_ranges(wasm, 1);
        return;
    }
    let kept = crate::strip::kept_ranges(wasm, 0).unwrap();
    let stripped: Vec<u8> = kept.into_iter().flat_map(|range| wasm[range].to_vec()).collect();
    assert_eq!(facts(&stripped)["custom_bytes"], 0);
}

#[test]
fn a_count_of_four_billion_is_refused_in_every_section() {
    const COUNT: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0x0f];
    let caps = ScanCaps {
        types_max: 9,
        imports_max: 9,
        functions_max: 9,
        tables_max: 9,
        globals_max: 9,
        exports_max: 9,
        element_segments_max: 9,
        data_segments_max: 9,
        ..roomy()
    };
    for id in [1, 2, 3, 4, 6, 7, 9, 11, 12] {
        let refusal = refusal_with(&raw(&[(id, COUNT)]), &caps);
        assert!(
            matches!(&refusal, Refusal::Cap(text) if text.contains("has 4294967295 ")),
            "{id}: {refusal:?}"
        );
        assert!(matches!(self::refusal(&raw(&[(id, COUNT)])), Refusal::Invalid(_)), "{id}");
    }
    assert!(matches!(refusal(&raw(&[(5, COUNT)])), Refusal::Feature(_)));
    assert!(matches!(refusal(&raw(&[(10, COUNT)])), Refusal::Invalid(_)));
}

#[test]
fn overlong_numbers_and_sections_out_of_order_are_refused() {
    let six_bytes: &[u8] = &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00];
    let too_large: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0x1f];
    let types: (u8, &[u8]) = (1, &[1, 0x60, 0, 0]);
    let memory: (u8, &[u8]) = (5, &[1, 0, 1]);
    let cases = [
        raw(&[(1, six_bytes)]),
        raw(&[(1, too_large)]),
        [HEADER, &[1], six_bytes].concat(),
        [HEADER, &[1], too_large].concat(),
        raw(&[types, types]),
        raw(&[memory, types]),
        raw(&[(1, &[0, 0])]),
        raw(&[(14, &[])]),
        raw(&[(200, &[])]),
        raw(&[(0, &[])]),
        raw(&[(0, &[2, 0xc3, 0x28])]),
        raw(&[(7, &[1, 1, 0xff, 0, 0])]),
    ];
    for case in cases {
        assert!(matches!(refusal(&case), Refusal::Invalid(_)), "{case:?}");
    }
}

#[test]
fn eight_kilobytes_that_declare_fifty_million_locals_are_refused() {
    let bodies = vec![body(&[(50_000, ValType::I64)], &[]); 1000];
    let wasm = functions(&[], &[], &bodies);
    assert!(wasm.len() < 16_000);
    let caps = ScanCaps { locals_total_max: 2_000_000, ..roomy() };
    let expected = "the module has 2050000 locals in all its functions; the limit is 2000000";
    assert_eq!(refusal_with(&wasm, &caps), Refusal::Cap(expected.to_owned()));
    let caps = ScanCaps { locals_max: 49_999, ..roomy() };
    let expected = "function 0 has 50000 locals; the limit is 49999";
    assert_eq!(refusal_with(&wasm, &caps), Refusal::Cap(expected.to_owned()));
    let four_billion =
        functions(&[], &[], &[body(&[(u32::MAX, ValType::I32), (u32::MAX, ValType::I32)], &[])]);
    assert!(matches!(refusal_with(&four_billion, &caps), Refusal::Cap(_)));
    assert!(matches!(refusal(&four_billion), Refusal::Invalid(_)));
}

#[test]
fn calls_that_pass_many_operands_are_counted() {
    let mut code = vec![Instruction::I32Const(0); 100];
    code.extend(vec![Instruction::Call(0); 1000]);
    code.push(Instruction::Unreachable);
    let wasm = functions(&[ValType::I32; 100], &[ValType::I32; 100], &[body(&[], &code)]);
    assert_eq!(facts(&wasm)["operand_moves"], 1000 * 200);
    let caps = ScanCaps { operand_moves_max: 5_000, ..roomy() };
    assert!(matches!(refusal_with(&wasm, &caps), Refusal::Cap(text) if text.contains("operands to pass")));
}

#[test]
fn a_br_table_with_many_targets_and_operands_is_refused_before_it_is_walked() {
    let targets = vec![0; 100_000];
    let mut code = vec![Instruction::I32Const(0); 101];
    code.push(Instruction::BrTable(targets.as_slice().into(), 0));
    let wasm = functions(&[], &[ValType::I32; 100], &[body(&[], &code)]);
    let caps = ScanCaps { br_table_max: 20_000, ..roomy() };
    let expected = "function 0 has 100001 br_table targets; the limit is 20000";
    assert_eq!(refusal_with(&wasm, &caps), Refusal::Cap(expected.to_owned()));
    let caps = ScanCaps { operand_moves_max: 10_000_000, ..roomy() };
    assert!(matches!(refusal_with(&wasm, &caps), Refusal::Cap(text) if text.contains("operands to pass")));
    assert_eq!(facts(&wasm)["br_table_targets"], 100_001);
}

#[test]
fn deep_nesting_is_counted_and_costs_no_stack() {
    let mut code = vec![Instruction::Block(enc::BlockType::Empty); 200_000];
    code.extend(vec![Instruction::End; 200_000]);
    let wasm = functions(&[], &[], &[body(&[], &code)]);
    assert_eq!(facts(&wasm)["nesting"], 200_001);
    let caps = ScanCaps { nesting_max: 10_000, ..roomy() };
    let expected = "function 0 has 10001 blocks open at the same time; the limit is 10000";
    assert_eq!(refusal_with(&wasm, &caps), Refusal::Cap(expected.to_owned()));
}

/// What a module has of something, and how to cap it.
type CapRow = (u64, fn(&mut ScanCaps, u64));

/// A module exactly at a cap passes, and one more is refused with both numbers in the sentence.
#[test]
fn every_cap_holds_exactly() {
    let wasm = good_module();
    let size_bytes = wasm.len() as u64;
    let rows: [CapRow; 24] = [
        (size_bytes, |caps, max| caps.module_max_bytes = max),
        (2, |caps, max| caps.types_max = max),
        (2, |caps, max| caps.params_max = max),
        (1, |caps, max| caps.results_max = max),
        (2, |caps, max| caps.imports_max = max),
        (2, |caps, max| caps.functions_max = max),
        (1, |caps, max| caps.tables_max = max),
        (1, |caps, max| caps.memories_max = max),
        (1, |caps, max| caps.globals_max = max),
        (4, |caps, max| caps.exports_max = max),
        (32, |caps, max| caps.names_max_bytes = max),
        (1, |caps, max| caps.element_segments_max = max),
        (2, |caps, max| caps.elements_max = max),
        (2, |caps, max| caps.data_segments_max = max),
        (6, |caps, max| caps.data_max_bytes = max),
        (26, |caps, max| caps.body_max_bytes = max),
        (5, |caps, max| caps.locals_max = max),
        (5, |caps, max| caps.locals_total_max = max),
        (3, |caps, max| caps.br_table_max = max),
        (3, |caps, max| caps.br_table_total_max = max),
        (3, |caps, max| caps.nesting_max = max),
        (6, |caps, max| caps.operand_moves_max = max),
        (63, |caps, max| caps.custom_max_bytes = max),
        (4, |caps, max| caps.name_section_max_bytes = max),
    ];
    for (index, (observed, set)) in rows.into_iter().enumerate() {
        let mut caps = roomy();
        set(&mut caps, observed);
        assert!(facts_with(&wasm, &caps).is_ok(), "row {index}");
        set(&mut caps, observed - 1);
        let allowed = format!("; the limit is {}", observed - 1);
        let refusal = refusal_with(&wasm, &caps);
        assert!(
            matches!(&refusal, Refusal::Cap(text) if text.ends_with(&allowed)),
            "row {index}: {refusal:?}"
        );
    }
}

/// Each proposal that berth does not offer, by the smallest module that needs it.
#[test]
fn every_feature_that_is_off_is_named() {
    let void: (u8, &[u8]) = (1, &[1, 0x60, 0, 0]);
    let one: (u8, &[u8]) = (3, &[1, 0]);
    let memory: (u8, &[u8]) = (5, &[1, 0, 1]);
    let code = |body: &[u8]| {
        let contents = [&[1, body.len() as u8 + 2, 0], body, &[0x0b]].concat();
        raw(&[void, one, memory, (10, &contents)])
    };
    let rows: [(&str, Vec<u8>); 19] = [
        ("threads", raw(&[(5, &[1, 3, 1, 1])])),
        ("threads", code(&[0xfe, 0x03, 0x00])),
        ("memory64", raw(&[(5, &[1, 4, 1])])),
        ("memory64", raw(&[(4, &[1, 0x70, 4, 1])])),
        ("multi-memory", raw(&[(5, &[2, 0, 1, 0, 1])])),
        ("multi-memory", raw(&[(2, &[2, 1, b'a', 1, b'b', 2, 0, 1, 1, b'a', 1, b'c', 2, 0, 1])])),
        ("multi-memory", raw(&[(2, &[1, 1, b'a', 1, b'b', 2, 0, 1]), memory])),
        ("custom-page-sizes", raw(&[(5, &[1, 8, 1, 0])])),
        ("tail-call", code(&[0x12, 0])),
        ("exception-handling", raw(&[void, (13, &[1, 0, 0])])),
        ("exception-handling", code(&[0x08, 0])),
        ("gc", raw(&[(1, &[1, 0x5f, 0])])),
        ("function-references", raw(&[(1, &[2, 0x60, 0, 0, 0x60, 1, 0x63, 0, 0])])),
        ("function-references", code(&[0x14, 0])),
        ("externref or gc", raw(&[(4, &[1, 0x6f, 0, 1])])),
        ("stack-switching", code(&[0xe2, 0])),
        ("wide-arithmetic", code(&[0x42, 0, 0x42, 0, 0x42, 0, 0x42, 0, 0xfc, 0x13, 0x1a, 0x1a])),
        ("simd", code(&[0x41, 0, 0xfd, 0x0f, 0x1a])),
        ("relaxed-simd", code(&[0xfd, 0x80, 0x02])),
    ];
    for (feature, wasm) in rows {
        let refusal = refusal(&wasm);
        let start = format!("the module needs the feature {feature}, which ");
        assert!(
            matches!(&refusal, Refusal::Feature(text) if text.starts_with(&start)),
            "{feature}: {refusal:?}"
        );
    }
}

#[test]
fn simd_is_taken_when_it_is_allowed_and_seen_wherever_it_hides() {
    let caps = ScanCaps { allow_simd: true, ..roomy() };
    let plain = functions(&[], &[], &[body(&[], &[])]);
    assert_eq!(facts_with(&plain, &caps).unwrap()["uses_simd"], false);
    let mut globals = enc::GlobalSection::new();
    globals.global(global(ValType::V128, false), &enc::ConstExpr::v128_const(1));
    let mut imports = enc::ImportSection::new();
    imports.import("a", "g", global(ValType::V128, false));
    let with_simd = [
        functions(&[ValType::V128], &[], &[]),
        functions(&[], &[], &[body(&[(1, ValType::V128)], &[])]),
        functions(&[], &[], &[body(&[], &[Instruction::V128Const(5), Instruction::Drop])]),
        Module::new().section(&globals).as_slice().to_vec(),
        Module::new().section(&imports).as_slice().to_vec(),
    ];
    for wasm in with_simd {
        assert_eq!(facts_with(&wasm, &caps).unwrap()["uses_simd"], true);
        assert!(matches!(refusal(&wasm), Refusal::Feature(_)));
    }
    let relaxed = functions(&[], &[], &[body(&[], &[Instruction::I8x16RelaxedSwizzle])]);
    assert!(matches!(refusal_with(&relaxed, &caps), Refusal::Feature(text) if text.contains("relaxed-simd")));
}

#[test]
fn names_of_the_guest_are_escaped_and_cut_in_messages() {
    let name = "\u{1b}[31m\u{202e}`".repeat(1000);
    let mut exports = enc::ExportSection::new();
    exports.export(&name, ExportKind::Memory, 0).export(&name, ExportKind::Memory, 0);
    let mut memories = enc::MemorySection::new();
    memories.memory(memory(1, None));
    let refusal = refusal(Module::new().section(&memories).section(&exports).as_slice());
    let Refusal::Invalid(text) = refusal else { panic!("{refusal:?}") };
    assert!(
        text.contains("duplicate export name `\\u{1b}[31m") && text.contains("already defined"),
        "{text}"
    );
    assert!(text.len() < 200);
}

#[test]
fn hints_of_tools_are_bounded_and_malformed_ones_left_out() {
    let long = "x".repeat(100_000);
    let mut many = enc::ProducersSection::new();
    let mut field = enc::ProducersField::new();
    field.value(&long, "\u{7}");
    for index in 0..100 {
        field.value(&format!("tool {index}"), "1");
    }
    many.field("sdk", &field);
    let wasm = Module::new().section(&many).as_slice().to_vec();
    let found = facts(&wasm);
    let producers = found["producers"].as_array().unwrap();
    assert_eq!(producers.len(), 16);
    assert_eq!(producers[0].as_str().unwrap().len(), 128);
    assert_eq!(producers[1], "sdk tool 0 1");

    for garbage in [
        b"".as_slice(),
        b"\xff\xff\xff\xff\x0f",
        b"\xff\xff\xff\xff\xff\xff",
        b"\x01\x05\xffabcd",
        b"\x02+\x02ab",
    ] {
        let custom = |name: &'static str| enc::CustomSection { name: name.into(), data: garbage.into() };
        let wasm = Module::new()
            .section(&custom("producers"))
            .section(&custom("target_features"))
            .as_slice()
            .to_vec();
        assert_eq!(facts(&wasm)["producers"], serde_json::json!([]));
    }
}
