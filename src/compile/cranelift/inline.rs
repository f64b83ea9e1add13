//! Small functions in the place of their calls.
//!
//! Which functions are small is for `module::small` to say: what only computes, so that there are no
//! traps, no activations to be told of and no blocks. Here is only decided how much of that a caller
//! takes in. It costs a call where a callee would have been, the caller's stack check if that was
//! the only one, and the registers that the caller would have kept over the call.

use super::locals::Local;
use super::{Translator, clif_type};
use crate::error::LoadError;
use crate::module::{SmallFunction, invalid};

/// A caller may always take in so many bytes of operators. Beyond that, it takes in no more than it has
/// itself: calls take two bytes, and translation shall stay linear.
const ALWAYS: usize = 256;

impl<'t> Translator<'t> {
    /// What takes the place of a call of this function, if anything does.
    pub(super) fn small_callee(&mut self, function: u32) -> Option<&'t SmallFunction<'t>> {
        let small = self.small.get(&function)?;
        let inlined = self.inlined + small.body.len();
        if inlined > self.own_bytes.max(ALWAYS) {
            return None;
        }
        self.inlined = inlined;
        Some(small)
    }

    /// Translates the function's operators with the topmost operands as its parameters.
    pub(super) fn inline(&mut self, small: &SmallFunction<'_>) -> Result<(), LoadError> {
        // Where the function would have, and as much. If there is too little, the caller is who traps.
        self.charge_units(small.units);
        let params = self.info.function_type(small.body.function).params().len();
        let first = self.state.values.len() - params;
        let mut locals = Vec::with_capacity(small.locals.len());
        locals.extend(self.state.values.drain(first..).map(Local::Known));
        for ty in &small.locals[params..] {
            locals.push(Local::Known(self.zero(clif_type(*ty))));
        }
        let own = std::mem::replace(&mut self.state.locals, locals);
        let translated = self.translate_all_but_end(small);
        self.state.locals = own;
        translated
    }

    fn translate_all_but_end(&mut self, small: &SmallFunction<'_>) -> Result<(), LoadError> {
        /// The results lie where the caller wants them already.
        const END: usize = 1;
        let mut operators = small.body.operators();
        while operators.get_binary_reader().bytes_remaining() > END {
            let translated = operators.visit_operator(self);
            translated.map_err(invalid)??;
        }
        Ok(())
    }
}
