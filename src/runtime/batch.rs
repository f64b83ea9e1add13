//! A function over columns of arguments: one entry for all rows.
//!
//! Where everything travels in registers, the rows are a loop of machine code (`compile::batch`), made
//! when it is first asked for and kept beside the function's own code. Everything else is a loop of
//! ordinary calls, in Rust. Whoever ends a call ends all of it, either way.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::code::CodeMemory;
use super::engine::Engine;
use super::enter::{Arguments, enter};
use super::func::{nanoseconds, unwatched};
use super::instance::Inner;
use super::interrupt;
use super::thread::Thread;
use super::typed::{TypedFunc, WasmFn, WasmResults, WasmTy, each_arity, is_direct};
use crate::compile::abi::{Slot, VmFunction};
use crate::compile::batch::{self, BatchFile, MAX_COLUMNS, MAX_LOOP};
use crate::error::{BatchError, Trap, TrapCode};
use crate::module::ValType;

/// An exported function that is called for many rows at once, each argument from a column of its own.
/// Owns its instance.
///
/// A row costs little more than a call inside the guest: the way in and out is gone once for all of
/// them. [`BatchFunc::call`] takes the columns as a tuple of slices.
///
/// ```
/// use wasm_mini::{BatchError, Imports, Instance, Module};
///
/// let module = Module::new(r#"(module (func (export "div") (param i64 i64) (result i64)
///     (i64.div_s (local.get 0) (local.get 1))))"#)?;
/// let instance = Instance::new(&module, &Imports::none())?;
/// let div = instance.batch_func::<fn(i64, i64) -> i64>("div")?;
///
/// let mut quotients = [0; 3];
/// div.call((&[10, 20, 30], &[5, 4, 3]), &mut quotients)?;
/// assert_eq!(quotients, [2, 5, 10]);
///
/// // The row that traps is told; those before it are done, those behind it are as they were.
/// let error = div.call((&[9, 8, 7], &[3, 0, 1]), &mut quotients).unwrap_err();
/// assert!(matches!(error, BatchError::Trap { row: 1, .. }));
/// assert_eq!(quotients, [3, 5, 10]);
/// # Ok::<(), wasm_mini::Error>(())
/// ```
pub struct BatchFunc<F> {
    func: TypedFunc<F>,
    /// The loop for this function, if there is one: in its module's [`Loops`].
    looped: Option<*const u8>,
}

/// The loops for the functions of a module, which live as long as that.
///
/// Which function it is, its address does not tell alone: there is one crossing for many functions of
/// the host.
#[derive(Default)]
pub(super) struct Loops(Mutex<HashMap<(usize, Types, Types), CodeMemory>>);

type Types = &'static [ValType];

impl Loops {
    /// The loop for a function at that address; `None` if the system has no memory for it.
    fn of(
        &self,
        engine: &Engine,
        callee: usize,
        params: Types,
        results: Types,
    ) -> Option<*const u8> {
        let mut loops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let code = match loops.entry((callee, params, results)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let mut draft = engine.allocate_code(MAX_LOOP).ok()?;
                let bytes = batch::emit(params, results.first().copied(), callee, draft.address());
                draft.truncate(bytes.len());
                draft.bytes_mut().copy_from_slice(&bytes);
                new.insert(draft.publish().ok()?)
            }
        };
        Some(code.address() as *const u8)
    }
}

impl<F> Clone for BatchFunc<F> {
    fn clone(&self) -> Self {
        BatchFunc { func: self.func.clone(), looped: self.looped }
    }
}

impl<F: WasmFn> fmt::Debug for BatchFunc<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch{:?}", self.func)
    }
}

impl<F: WasmFn> From<TypedFunc<F>> for BatchFunc<F> {
    fn from(func: TypedFunc<F>) -> BatchFunc<F> {
        let VmFunction { code, vmctx } = func.function;
        let looped = if is_direct(F::PARAMS, F::RESULTS) {
            // SAFETY: the instance that `func` owns keeps the context alive, which names the instance
            // that it belongs to.
            let module = unsafe { &(*(*vmctx).instance.cast::<Inner>()).module };
            module.0.loops.of(module.engine(), code as usize, F::PARAMS, F::RESULTS)
        } else {
            None
        };
        BatchFunc { func, looped }
    }
}

/// Checks that all columns are as long as the results.
fn check_lengths(columns: &[usize], rows: usize) -> Result<(), BatchError> {
    match columns.iter().position(|len| *len != rows) {
        Some(column) => Err(BatchError::Length { column, len: columns[column], rows }),
        None => Ok(()),
    }
}

impl<F: WasmFn> BatchFunc<F> {
    /// Runs the loop over at least one row.
    ///
    /// # Safety
    ///
    /// The loop is that of the function; columns and results have that many rows of its types, and
    /// nobody else uses the results.
    unsafe fn run(
        &self,
        looped: *const u8,
        columns: &[*const u8],
        results: *mut u8,
        rows: usize,
    ) -> Result<(), BatchError> {
        let mut file = BatchFile { columns: [ptr::null(); MAX_COLUMNS], results, rows, row: 0 };
        file.columns[..columns.len()].copy_from_slice(columns);
        let looped = VmFunction { code: looped, ..self.func.function };
        let mut arguments = Arguments::new();
        arguments.set(Slot::Int(0), (&raw mut file) as u64);
        // SAFETY: the caller vouches for loop and columns; the function's instance, which `self` keeps
        // alive, owns the context and is on its thread.
        let done = unsafe {
            interrupt::call_with_default(looped.vmctx, || enter(looped, arguments)).flatten()
        };
        if done.is_some() {
            return Ok(());
        }
        Err(BatchError::Trap { row: file.row, trap: self.func.take_trap() })
    }

    /// Calls the function for each row, one after the other. Row by row they are calls of their own,
    /// but one call to whoever ends them, be it between two rows.
    fn run_each<R>(
        &self,
        results: &mut [R],
        call: impl Fn(usize) -> Result<R, Trap>,
    ) -> Result<(), BatchError> {
        let vmctx = self.func.function.vmctx;
        let rows = |thread: &Thread| {
            for (row, result) in results.iter_mut().enumerate() {
                let done = if thread.is_told_to_stop() && thread.sees_stop() {
                    Err(Trap::new(TrapCode::Interrupted, Vec::new(), false))
                } else {
                    call(row)
                };
                *result = done.map_err(|trap| BatchError::Trap { row, trap })?;
            }
            Ok(())
        };
        // SAFETY: the context is that of a function which the instance keeps alive.
        let done =
            unsafe { interrupt::call_with_default(vmctx, || interrupt::call_as_one(vmctx, rows)) };
        done.unwrap_or_else(|| Err(BatchError::Trap { row: 0, trap: self.func.take_trap() }))
    }
}

macro_rules! batch_func {
    ($($param:ident)*) => {
        impl<$($param: WasmTy,)* R: WasmResults> BatchFunc<fn($($param),*) -> R> {
            /// Calls the function for each row, and ends with
            /// [`TrapCode::Interrupted`](crate::TrapCode::Interrupted) at the row that it has come to
            /// if not all are done when so much time has passed. The engine's own deadline, which
            /// otherwise holds for the call as a whole, does not hold then.
            ///
            /// # Errors
            ///
            /// As for `call`; also if the system has no thread to watch the deadline, which is then
            /// the trap's [`host_error`](crate::Trap::host_error).
            ///
            /// # Panics
            ///
            /// As for `call`.
            pub fn call_with_deadline(
                &self,
                deadline: Duration,
                columns: ($(&[$param],)*),
                results: &mut [R],
            ) -> Result<(), BatchError> {
                // SAFETY: the context is that of a function which the instance keeps alive.
                let called = unsafe {
                    let vmctx = self.func.function.vmctx;
                    interrupt::call_with_deadline(vmctx, nanoseconds(deadline), || {
                        self.call(columns, results)
                    })
                };
                called.unwrap_or_else(|error| Err(BatchError::Trap { row: 0, trap: unwatched(error) }))
            }

            /// Calls the function for each row: `results[i] = f(columns.0[i], columns.1[i], …)`, in
            /// order.
            ///
            /// A function without parameters takes `()` and runs as often as there are results; one
            /// without results fills a slice of `()`.
            ///
            /// # Errors
            ///
            /// [`BatchError::Length`] if a column is not as long as the results; nothing has happened
            /// then. [`BatchError::Trap`] if the guest trapped: all rows before that one are
            /// written, it and those behind it are unchanged. Whatever else the guest has done, in
            /// its memory or through functions of the host, stays done.
            ///
            /// # Panics
            ///
            /// If a function of the host that the guest calls panics, with its payload; the rows
            /// before it are written.
            #[allow(non_snake_case, unused_variables, clippy::unused_unit)]
            pub fn call(
                &self,
                columns: ($(&[$param],)*),
                results: &mut [R],
            ) -> Result<(), BatchError> {
                let ($($param,)*) = columns;
                let rows = results.len();
                check_lengths(&[$($param.len()),*], rows)?;
                if let Some(looped) = self.looped {
                    if rows == 0 {
                        return Ok(());
                    }
                    let columns = [$($param.as_ptr().cast::<u8>()),*];
                    // SAFETY: the loop was made for this function and signature. The columns have
                    // just been seen to be as long as the results, and are of the signature's types;
                    // a signature with a loop has at most one result, which lies in memory as in a
                    // column.
                    return unsafe { self.run(looped, &columns, results.as_mut_ptr().cast(), rows) };
                }
                self.run_each(results, |row| self.func.call($($param[row]),*))
            }
        }
    };
}

each_arity!(batch_func: A B C D E F G H I J K L);

// It runs guests, which Miri does not.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use crate::compile::Tier;
    use crate::runtime::{Imports, Instance, Module};

    /// A function that lies too far away to be named in an instruction.
    #[test]
    fn loops_reach_functions_everywhere() {
        for tier in Tier::available() {
            let engine = Engine::new(*tier).expect("an engine");
            let text = "(module (func (export \"sub\") (param i64 i32) (result i64)
                (if (i64.eqz (local.get 0)) (then (unreachable)))
                (i64.sub (local.get 0) (i64.extend_i32_s (local.get 1)))))";
            let binary = wat::parse_str(text).expect("a text");
            let module = Module::with_engine(&engine, binary).expect("a module");
            let instance = Instance::new(&module, &Imports::none()).expect("an instance");
            let near = instance.batch_func::<fn(i64, i32) -> i64>("sub").expect("the export");
            let callee = near.func.function.code as usize;
            let bytes = batch::emit(
                &[ValType::I64, ValType::I32],
                Some(ValType::I64),
                callee,
                callee ^ 1 << 40,
            );
            let mut draft = engine.allocate_code(bytes.len()).expect("memory");
            draft.bytes_mut().copy_from_slice(&bytes);
            let code = draft.publish().expect("memory that runs");
            let far = BatchFunc { looped: Some(code.address() as *const u8), ..near.clone() };
            for rows in 1..10 {
                let a: Vec<i64> = (1..=rows).map(|row| row * 1000).collect();
                let b: Vec<i32> = (0..rows as i32).map(|row| -row).collect();
                let expected: Vec<i64> = a.iter().zip(&b).map(|(a, b)| a - i64::from(*b)).collect();
                for func in [&near, &far] {
                    let mut results = vec![0; a.len()];
                    func.call((&a, &b), &mut results).expect("no trap");
                    assert_eq!(results, expected, "{tier}");
                }
            }
            let mut results = [7; 3];
            let error = far.call((&[5, 0, 5], &[1; 3]), &mut results).expect_err("a trap");
            assert!(matches!(error, BatchError::Trap { row: 1, .. }), "{error}");
            assert_eq!(results, [4, 7, 7]);
        }
    }
}
