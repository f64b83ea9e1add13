//! Functions of guests as bare function pointers, where that is sound.

use std::mem;

use super::typed::{TypedFunc, WasmFn, WasmResults, WasmTy, each_arity, is_direct};
use crate::error::NotPlain;

impl<F: WasmFn> TypedFunc<F> {
    /// The function's code, which stays where it is for as long as the process lives, if the function
    /// is plain.
    fn leak(&self) -> Result<*const u8, NotPlain> {
        if !is_direct(F::PARAMS, F::RESULTS) {
            return Err(NotPlain::Signature);
        }
        let code = self.function.code;
        let module = self.instance.0.find_member(|member| {
            let map = &member.module.0.map;
            let offset = map.offset_of(code as usize)?;
            Some((member.module.clone(), map.plain_at(offset)))
        });
        // Only a function of the host is in no module.
        let (module, plain) = module.ok_or(NotPlain::Host)?;
        plain?;
        module.leak();
        Ok(code)
    }
}

macro_rules! leak_extern_c {
    ($($param:ident)*) => {
        impl<$($param: WasmTy,)* R: WasmResults<Direct = R>> TypedFunc<fn($($param),*) -> R> {
            /// The function as a bare function pointer, which costs what a function of C costs: for
            /// functions that are *plain*. Those cannot trap, call nobody, have no loop, are small,
            /// and touch neither memories nor tables nor globals, so that they need no instance.
            /// [`Ok`] or [`Err`] may depend on the tier: see [`NotPlain`].
            ///
            /// The pointer is good for ever and on every thread. To make it so, **the function's
            /// module is never freed**, its code included: leaked once, however many of its
            /// functions become pointers and however often.
            ///
            /// # Errors
            ///
            /// Why the function is not plain. [`TypedFunc::call`] does all that the pointer would.
            ///
            /// ```
            /// use wasm_mini::{Imports, Instance, Module, NotPlain};
            ///
            /// let module = Module::new(r#"(module
            ///     (func (export "add4") (param i64) (result i64)
            ///         (i64.add (local.get 0) (i64.const 4)))
            ///     (func (export "div") (param i64 i64) (result i64)
            ///         (i64.div_s (local.get 0) (local.get 1))))"#)?;
            /// let instance = Instance::new(&module, &Imports::none())?;
            /// let add4 = instance.typed_func::<fn(i64) -> i64>("add4")?;
            /// let add4: extern "C" fn(i64) -> i64 = add4.leak_extern_c()?;
            /// drop((instance, module));
            /// assert_eq!(std::thread::spawn(move || add4(2)).join().unwrap(), 6);
            ///
            /// # let module = Module::new(r#"(module (func (export "div") (param i64 i64) (result i64)
            /// #     (i64.div_s (local.get 0) (local.get 1))))"#)?;
            /// # let instance = Instance::new(&module, &Imports::none())?;
            /// let div = instance.typed_func::<fn(i64, i64) -> i64>("div")?;
            /// assert_eq!(div.leak_extern_c(), Err(NotPlain::Traps));
            /// # Ok::<(), wasm_mini::Error>(())
            /// ```
            pub fn leak_extern_c(self) -> Result<extern "C" fn($($param),*) -> R, NotPlain> {
                let code = self.leak()?;
                // SAFETY: the function has this signature, which `typed_func` compared. It is plain:
                // it only computes, in registers and in less than a page of stack, which is too
                // little to step over the guard of a thread's stack. With its few parameters and one
                // result its convention is the C convention: it keeps what a C function keeps,
                // expects nothing of the upper halves of narrow arguments, touches neither the
                // direction flag nor the control words of the floating-point units, and never
                // unwinds. The code has just been made to stay.
                Ok(unsafe {
                    mem::transmute::<*const u8, extern "C" fn($($param),*) -> R>(code)
                })
            }
        }
    };
}

each_arity!(leak_extern_c: A B C D E F G H I J K L);
