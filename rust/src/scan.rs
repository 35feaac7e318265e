// SPDX-License-Identifier: Apache-2.0
//
// Measures and validates a module in one pass, before an engine sees a byte of it.
//
// Invariants: each section is measured before it is validated, so a count that only hostile modules have is refused
// before anything is allocated or looped over for it. Every loop consumes input bytes; where a byte can stand for much
// work (locals, calls with many operands, br_table), that work is counted and capped too.

use std::fmt;

use wasmparser::types::Types;
use wasmparser::{
    BinaryReader, CompositeInnerType, CustomSectionReader, ElementItems, ElementSectionReader, Export,
    FuncToValidate, FuncValidator, FuncValidatorAllocations, FunctionBody, Import, ImportSectionReader,
    MemoryType, Operator, Parser, Payload, TableType, TypeRef, TypeSectionReader, ValType, ValidPayload,
    Validator, ValidatorResources, WasmFeatures,
};

use crate::caps::ScanCaps;
use crate::printable::printable_sentence;
use crate::recognise::not_a_core_module;

/// Why berth does not take a module; the sentence is safe to show.
#[derive(Debug, PartialEq)]
pub enum Refusal {
    NotWasm(String),
    Invalid(String),
    Feature(String),
    Cap(String),
}

type Result<T> = std::result::Result<T, Refusal>;

/// What a scan found. Lists hold what the bytes hold; their lengths are capped.
#[derive(Default)]
pub struct Facts<'a> {
    pub size_bytes: u64,
    pub functions: u64,
    pub imports: Vec<Import<'a>>,
    pub exports: Vec<Export<'a>>,
    /// The memory's type, and whether it is imported.
    pub memory: Option<(MemoryType, bool)>,
    pub tables: Vec<TableType>,
    pub globals: u64,
    pub data_bytes: u64,
    pub element_count: u64,
    pub locals_total: u64,
    pub largest_body_bytes: u64,
    pub br_table_targets: u64,
    pub custom_bytes: u64,
    pub name_section_bytes: u64,
    pub nesting: u64,
    pub operand_moves: u64,
    pub start: bool,
    pub uses_simd: bool,
    pub producers: Option<BinaryReader<'a>>,
    pub target_features: Option<BinaryReader<'a>>,
}

pub fn scan<'a>(wasm: &'a [u8], caps: &ScanCaps) -> Result<(Facts<'a>, Types)> {
    if let Some(sentence) = not_a_core_module(wasm) {
        return Err(Refusal::NotWasm(sentence));
    }
    at_most("bytes", "the module", wasm.len() as u64, caps.module_max_bytes)?;

    let features = offered_features(caps.allow_simd);
    let mut parser = Parser::new(0);
    parser.set_features(features);
    let mut validator = Validator::new_with_features(features);
    let mut meter = Meter::new(wasm, caps);
    for payload in parser.parse_all(wasm) {
        let payload = payload?;
        meter.section(&payload)?;
        match validator.payload(&payload)? {
            ValidPayload::Func(function, body) => meter.function(function, &body)?,
            ValidPayload::End(types) => return Ok((meter.facts, types)),
            _ => {}
        }
    }
    Err(Refusal::Invalid("the module is truncated: it has no end".to_owned()))
}

fn offered_features(allow_simd: bool) -> WasmFeatures {
    let mut features = WasmFeatures::empty();
    features.insert(WasmFeatures::FLOATS);
    features.insert(WasmFeatures::MUTABLE_GLOBAL);
    features.insert(WasmFeatures::SIGN_EXTENSION);
    features.insert(WasmFeatures::SATURATING_FLOAT_TO_INT);
    features.insert(WasmFeatures::MULTI_VALUE);
    features.insert(WasmFeatures::BULK_MEMORY);
    features.insert(WasmFeatures::REFERENCE_TYPES);
    features.insert(WasmFeatures::EXTENDED_CONST);
    features.set(WasmFeatures::SIMD, allow_simd);
    features
}

/// The names that the proposals have at github.com/WebAssembly/proposals.
const FEATURE_NAMES: [(WasmFeatures, &str); 18] = [
    (WasmFeatures::THREADS, "threads"),
    (WasmFeatures::SHARED_EVERYTHING_THREADS, "shared-everything-threads"),
    (WasmFeatures::TAIL_CALL, "tail-call"),
    (WasmFeatures::MULTI_MEMORY, "multi-memory"),
    (WasmFeatures::MEMORY64, "memory64"),
    (WasmFeatures::EXCEPTIONS, "exception-handling"),
    (WasmFeatures::LEGACY_EXCEPTIONS, "legacy exception-handling"),
    (WasmFeatures::FUNCTION_REFERENCES, "function-references"),
    (WasmFeatures::GC, "gc"),
    (WasmFeatures::GC_TYPES, "externref or gc"),
    (WasmFeatures::RELAXED_SIMD, "relaxed-simd"),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "custom-page-sizes"),
    (WasmFeatures::STACK_SWITCHING, "stack-switching"),
    (WasmFeatures::WIDE_ARITHMETIC, "wide-arithmetic"),
    (WasmFeatures::MEMORY_CONTROL, "memory-control"),
    (WasmFeatures::CUSTOM_DESCRIPTORS, "custom-descriptors"),
    (WasmFeatures::COMPACT_IMPORTS, "compact-import-section"),
    (WasmFeatures::COMPONENT_MODEL, "component-model"),
];

fn feature_refusal(feature: WasmFeatures, place: &str) -> Refusal {
    if feature.contains(WasmFeatures::SIMD) {
        return Refusal::Feature(format!(
            "the module needs the feature simd, which its contract does not allow{place}"
        ));
    }
    let known = FEATURE_NAMES.iter().find(|(bit, _)| feature.contains(*bit));
    let name = known.map_or("that is unknown here", |(_, name)| name);
    Refusal::Feature(format!("the module needs the feature {name}, which berth does not offer{place}"))
}

impl From<wasmparser::Error> for Refusal {
    fn from(error: wasmparser::Error) -> Self {
        let place = format!(" (at byte {})", error.offset());
        match error.missing_wasm_feature() {
            Some(feature) => feature_refusal(feature, &place),
            None => {
                let message = printable_sentence(error.message());
                Refusal::Invalid(format!("the module is not valid WebAssembly: {message}{place}"))
            }
        }
    }
}

/// The one form of sentence for every cap: who has how many of what, and how many it may have.
fn at_most(what: &str, who: impl fmt::Display, observed: u64, allowed: u64) -> Result<()> {
    if observed <= allowed {
        return Ok(());
    }
    Err(Refusal::Cap(format!("{who} has {observed} {what}; the limit is {allowed}")))
}

/// Counts what goes by, and refuses what is too much.
struct Meter<'a, 'c> {
    wasm: &'a [u8],
    caps: &'c ScanCaps,
    facts: Facts<'a>,
    memories: u64,
    names_bytes: u64,
    /// Reused from function to function.
    allocations: FuncValidatorAllocations,
}

impl<'a, 'c> Meter<'a, 'c> {
    fn new(wasm: &'a [u8], caps: &'c ScanCaps) -> Self {
        let facts = Facts { size_bytes: wasm.len() as u64, ..Facts::default() };
        Meter {
            wasm,
            caps,
            facts,
            memories: 0,
            names_bytes: 0,
            allocations: FuncValidatorAllocations::default(),
        }
    }

    fn section(&mut self, payload: &Payload<'a>) -> Result<()> {
        let caps = self.caps;
        match payload {
            Payload::TypeSection(reader) => self.types(reader),
            Payload::ImportSection(reader) => self.imports(reader),
            Payload::FunctionSection(reader) => {
                self.facts.functions = u64::from(reader.count());
                at_most("functions", MODULE, self.facts.functions, caps.functions_max)
            }
            Payload::TableSection(reader) => {
                at_most("tables", MODULE, u64::from(reader.count()), caps.tables_max)?;
                reader.clone().into_iter().try_for_each(|table| self.table(table?.ty))
            }
            Payload::MemorySection(reader) => {
                self.memories_declared(u64::from(reader.count()))?;
                reader.clone().into_iter().try_for_each(|memory| self.memory(memory?, false))
            }
            Payload::GlobalSection(reader) => {
                self.facts.globals = u64::from(reader.count());
                at_most("globals", MODULE, self.facts.globals, caps.globals_max)?;
                reader.clone().into_iter().try_for_each(|global| {
                    self.facts.uses_simd |= global?.ty.content_type == ValType::V128;
                    Ok(())
                })
            }
            Payload::ExportSection(reader) => {
                at_most("exports", MODULE, u64::from(reader.count()), caps.exports_max)?;
                reader.clone().into_iter().try_for_each(|export| {
                    let export = export?;
                    self.facts.exports.push(export);
                    self.name(export.name)
                })
            }
            Payload::StartSection { .. } => {
                self.facts.start = true;
                Ok(())
            }
            Payload::ElementSection(reader) => self.elements(reader),
            Payload::DataCountSection { count, .. } => {
                at_most("data segments", MODULE, u64::from(*count), caps.data_segments_max)
            }
            Payload::DataSection(reader) => {
                at_most("data segments", MODULE, u64::from(reader.count()), caps.data_segments_max)?;
                reader.clone().into_iter().try_for_each(|segment| {
                    self.facts.data_bytes += segment?.data.len() as u64;
                    at_most("bytes in its data segments", MODULE, self.facts.data_bytes, caps.data_max_bytes)
                })
            }
            Payload::CustomSection(reader) => self.custom(reader),
            _ => Ok(()),
        }
    }

    fn types(&mut self, reader: &TypeSectionReader<'a>) -> Result<()> {
        at_most("types", MODULE, u64::from(reader.count()), self.caps.types_max)?;
        for (index, group) in reader.clone().into_iter().enumerate() {
            for ty in group?.types() {
                let CompositeInnerType::Func(function) = &ty.composite_type.inner else {
                    continue;
                };
                let (params, results) = (function.params(), function.results());
                let who = format_args!("type {index}");
                at_most("parameters", who, params.len() as u64, self.caps.params_max)?;
                at_most("results", who, results.len() as u64, self.caps.results_max)?;
                self.facts.uses_simd |= params.iter().chain(results).any(|ty| *ty == ValType::V128);
            }
        }
        Ok(())
    }

    fn imports(&mut self, reader: &ImportSectionReader<'a>) -> Result<()> {
        at_most("imports", MODULE, u64::from(reader.count()), self.caps.imports_max)?;
        for import in reader.clone().into_imports() {
            let import = import?;
            self.name(import.module)?;
            self.name(import.name)?;
            match import.ty {
                TypeRef::Table(table) => self.table(table)?,
                TypeRef::Memory(memory) => {
                    self.memories_declared(1)?;
                    self.memory(memory, true)?;
                }
                TypeRef::Global(global) => self.facts.uses_simd |= global.content_type == ValType::V128,
                TypeRef::Func(_) | TypeRef::FuncExact(_) | TypeRef::Tag(_) => {}
            }
            self.facts.imports.push(import);
        }
        Ok(())
    }

    fn name(&mut self, name: &str) -> Result<()> {
        self.names_bytes += name.len() as u64;
        let what = "bytes in the names of its imports and exports";
        at_most(what, MODULE, self.names_bytes, self.caps.names_max_bytes)
    }

    fn table(&mut self, table: TableType) -> Result<()> {
        self.facts.tables.push(table);
        at_most("tables", MODULE, self.facts.tables.len() as u64, self.caps.tables_max)
    }

    fn memories_declared(&mut self, count: u64) -> Result<()> {
        self.memories += count;
        if self.memories > 1 {
            return Err(feature_refusal(WasmFeatures::MULTI_MEMORY, ""));
        }
        at_most("memories", MODULE, self.memories, self.caps.memories_max)
    }

    fn memory(&mut self, memory: MemoryType, imported: bool) -> Result<()> {
        self.facts.memory = Some((memory, imported));
        Ok(())
    }

    fn elements(&mut self, reader: &ElementSectionReader<'a>) -> Result<()> {
        at_most("element segments", MODULE, u64::from(reader.count()), self.caps.element_segments_max)?;
        for segment in reader.clone() {
            let count = match segment?.items {
                ElementItems::Functions(items) => items.count(),
                ElementItems::Expressions(_, items) => items.count(),
            };
            self.facts.element_count += u64::from(count);
            at_most(
                "entries in its element segments",
                MODULE,
                self.facts.element_count,
                self.caps.elements_max,
            )?;
        }
        Ok(())
    }

    fn custom(&mut self, reader: &CustomSectionReader<'a>) -> Result<()> {
        let size_bytes = reader.data().len() as u64;
        self.facts.custom_bytes += size_bytes;
        match reader.name() {
            "name" => self.facts.name_section_bytes += size_bytes,
            "producers" => self.facts.producers = Some(reader.data_reader()),
            "target_features" => self.facts.target_features = Some(reader.data_reader()),
            _ => {}
        }
        let (caps, facts) = (self.caps, &self.facts);
        at_most("bytes in its name section", MODULE, facts.name_section_bytes, caps.name_section_max_bytes)?;
        at_most("bytes in its custom sections", MODULE, facts.custom_bytes, caps.custom_max_bytes)
    }

    fn function(
        &mut self,
        function: FuncToValidate<ValidatorResources>,
        body: &FunctionBody<'a>,
    ) -> Result<()> {
        let who = Who(function.index);
        let size_bytes = body.as_bytes().len() as u64;
        self.facts.largest_body_bytes = self.facts.largest_body_bytes.max(size_bytes);
        at_most("bytes of code", &who, size_bytes, self.caps.body_max_bytes)?;
        self.locals(&who, body)?;

        let features = function.features;
        let mut validator = function.into_validator(std::mem::take(&mut self.allocations));
        let mut reader = body.get_binary_reader();
        validator.read_locals(&mut reader)?;
        reader.set_features(features);
        self.operators(&who, &mut validator, &mut reader)?;
        reader.finish_expression(&validator.visitor(reader.original_position()))?;
        self.allocations = validator.into_allocations();
        Ok(())
    }

    fn locals(&mut self, who: &Who, body: &FunctionBody<'a>) -> Result<()> {
        let mut locals = 0;
        for declaration in body.get_locals_reader()? {
            let (count, ty) = declaration?;
            locals += u64::from(count);
            self.facts.uses_simd |= ty == ValType::V128;
            at_most("locals", who, locals, self.caps.locals_max)?;
        }
        self.facts.locals_total += locals;
        let allowed = self.caps.locals_total_max;
        at_most("locals in all its functions", MODULE, self.facts.locals_total, allowed)
    }

    fn operators(
        &mut self,
        who: &Who,
        validator: &mut FuncValidator<ValidatorResources>,
        reader: &mut BinaryReader<'a>,
    ) -> Result<()> {
        let mut br_table_targets = 0;
        while !reader.eof() {
            let offset = reader.original_position();
            match self.wasm.get(offset..).unwrap_or_default() {
                // block, loop or if without a type index, which is nearly all of them: one result at most.
                [0x02..=0x04, 0x40..=0x7f, ..] => {}
                // Blocks, branches and calls: a type says how many operands they pass. An end or else passes what its
                // block has been counted for.
                [0x02..=0x04 | 0x0c..=0x11, ..] => {
                    let targets = self.operand_moves(validator, reader)?;
                    br_table_targets += targets;
                    self.facts.br_table_targets += targets;
                    at_most("br_table targets", who, br_table_targets, self.caps.br_table_max)?;
                }
                [0xfd, ..] => self.facts.uses_simd = true,
                _ => {}
            }
            reader.visit_operator(&mut validator.visitor(offset))??;
            let nesting = u64::from(validator.control_stack_height());
            self.facts.nesting = self.facts.nesting.max(nesting);
            at_most("blocks open at the same time", who, nesting, self.caps.nesting_max)?;
        }
        let allowed = self.caps.br_table_total_max;
        at_most("br_table targets in all its functions", MODULE, self.facts.br_table_targets, allowed)
    }

    /// Counts the operands that the next operator passes, before the validator walks over each of them. Returns the
    /// number of its br_table targets.
    fn operand_moves(
        &mut self,
        validator: &mut FuncValidator<ValidatorResources>,
        reader: &BinaryReader<'a>,
    ) -> Result<u64> {
        let visitor = validator.visitor(reader.original_position());
        let operator = reader.peek_operator(&visitor)?;
        let targets = match &operator {
            Operator::BrTable { targets } => u64::from(targets.len()) + 1,
            _ => 0,
        };
        // No arity: not valid, which the validator says in better words.
        let (params, results) = operator.operator_arity(&visitor).unwrap_or((0, 0));
        let moves = (u64::from(params) + u64::from(results)).saturating_mul(targets.max(1));
        self.facts.operand_moves = self.facts.operand_moves.saturating_add(moves);
        at_most("operands to pass", MODULE, self.facts.operand_moves, self.caps.operand_moves_max)?;
        Ok(targets)
    }
}

const MODULE: &str = "the module";

/// A function as messages call it, by its index; its name is the guest's.
struct Who(u32);

impl fmt::Display for Who {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "function {}", self.0)
    }
}
