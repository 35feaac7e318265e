// SPDX-License-Identifier: Apache-2.0
//
// The C struct berth_native_scan_caps, field by field. What each one means stands in berth_native.h.

#[repr(C)]
#[derive(Clone)]
pub struct ScanCaps {
    pub module_max_bytes: u64,
    pub types_max: u64,
    pub params_max: u64,
    pub results_max: u64,
    pub imports_max: u64,
    pub functions_max: u64,
    pub tables_max: u64,
    pub memories_max: u64,
    pub globals_max: u64,
    pub exports_max: u64,
    pub names_max_bytes: u64,
    pub element_segments_max: u64,
    pub elements_max: u64,
    pub data_segments_max: u64,
    pub data_max_bytes: u64,
    pub body_max_bytes: u64,
    pub locals_max: u64,
    pub locals_total_max: u64,
    pub br_table_max: u64,
    pub br_table_total_max: u64,
    pub nesting_max: u64,
    pub operand_moves_max: u64,
    pub custom_max_bytes: u64,
    pub name_section_max_bytes: u64,
    pub allow_simd: bool,
}

const _: () = assert!(size_of::<ScanCaps>() == 25 * size_of::<u64>());
