// SPDX-License-Identifier: Apache-2.0
//
// A resource limiter that asks a C callback. The engine's C interface has fixed caps only.

use std::ffi::c_void;

use wasmtime_c_api::wasmtime::{Error, ResourceLimiter, Result};
use wasmtime_c_api::{WasmtimeStore, wasmtime_store_t};

type Growing = unsafe extern "C" fn(*mut c_void, u64, u64, u64) -> bool;
type GrowFailed = unsafe extern "C" fn(*mut c_void, u64, u64);

/// The C struct of the same name; berth_native.h documents it.
#[repr(C)]
pub struct berth_native_limiter {
    payload: *mut c_void,
    memory_growing: Growing,
    table_growing: Growing,
    memory_grow_failed: Option<GrowFailed>,
    table_grow_failed: Option<GrowFailed>,
    instances: u32,
    tables: u32,
    memories: u32,
}

// wasmtime_store_t is a repr(C) struct whose one field, private to its crate, is the store: a pointer to one is a
// pointer to the other. Should a version of the engine add a field, this stops the build.
const _: () = assert!(size_of::<wasmtime_store_t>() == size_of::<WasmtimeStore>());
const _: () = assert!(align_of::<wasmtime_store_t>() == align_of::<WasmtimeStore>());

/// # Safety
/// `store` is a live store that nothing else uses now. `limiter` stays valid until the store is deleted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn berth_native_store_limiter(
    store: *mut wasmtime_store_t,
    limiter: *const berth_native_limiter,
) {
    // SAFETY: the caller's promise, and the layout asserted above.
    let store = unsafe { &mut *store.cast::<WasmtimeStore>() };
    let mut asker = Asker { limiter, memory_allowed: None, table_allowed: None };
    store.limiter(move |_| {
        let asker: *mut Asker = &mut asker;
        // SAFETY: the closure is boxed by the store and therefore stays in place; the store is borrowed for as long as
        // it uses this reference, so it can neither drop the closure nor call it a second time meanwhile.
        unsafe { &mut *asker }
    });
}

/// Turns the engine's questions into calls of C. Remembers what was allowed last, so that a failure can name it.
struct Asker {
    limiter: *const berth_native_limiter,
    memory_allowed: Option<(u64, u64)>,
    table_allowed: Option<(u64, u64)>,
}

// SAFETY: a store moves between threads only when its owner moves it, and the owner of the store is also the owner of
// the limiter. Nothing is shared: every use goes through the exclusively borrowed store.
unsafe impl Send for Asker {}
unsafe impl Sync for Asker {}

impl Asker {
    fn limiter(&self) -> &berth_native_limiter {
        // SAFETY: valid until the store is deleted, by the contract of berth_native_store_limiter.
        unsafe { &*self.limiter }
    }
}

/// None when the growth can not happen anyhow, so that nobody counts or reports it.
fn question(current: usize, desired: usize, maximum: Option<usize>) -> Option<(u64, u64, u64)> {
    let maximum = maximum.map_or(u64::MAX, |maximum| maximum as u64);
    let (current, desired) = (current as u64, desired as u64);
    (desired <= maximum).then_some((current, desired, maximum))
}

impl ResourceLimiter for Asker {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        self.memory_allowed = None;
        let Some((current, desired, maximum)) = question(current, desired, maximum) else {
            return Ok(false);
        };
        let limiter = self.limiter();
        // SAFETY: the callback keeps the rules of berth_native.h.
        let allowed = unsafe { (limiter.memory_growing)(limiter.payload, current, desired, maximum) };
        self.memory_allowed = allowed.then_some((current, desired));
        Ok(allowed)
    }

    fn memory_grow_failed(&mut self, _error: Error) -> Result<()> {
        let allowed = self.memory_allowed.take();
        let limiter = self.limiter();
        if let (Some(failed), Some((current, desired))) = (limiter.memory_grow_failed, allowed) {
            // SAFETY: as above.
            unsafe { failed(limiter.payload, current, desired) };
        }
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        self.table_allowed = None;
        let Some((current, desired, maximum)) = question(current, desired, maximum) else {
            return Ok(false);
        };
        let limiter = self.limiter();
        // SAFETY: as above.
        let allowed = unsafe { (limiter.table_growing)(limiter.payload, current, desired, maximum) };
        self.table_allowed = allowed.then_some((current, desired));
        Ok(allowed)
    }

    fn table_grow_failed(&mut self, _error: Error) -> Result<()> {
        let allowed = self.table_allowed.take();
        let limiter = self.limiter();
        if let (Some(failed), Some((current, desired))) = (limiter.table_grow_failed, allowed) {
            // SAFETY: as above.
            unsafe { failed(limiter.payload, current, desired) };
        }
        Ok(())
    }

    fn instances(&self) -> usize {
        self.limiter().instances as usize
    }

    fn tables(&self) -> usize {
        self.limiter().tables as usize
    }

    fn memories(&self) -> usize {
        self.limiter().memories as usize
    }
}
