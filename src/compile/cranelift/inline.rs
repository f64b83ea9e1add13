//! Small functions in the place of their calls.

use wasmparser::OperatorsReader;

use super::locals::Local;
use super::{Translator, clif_type};
use crate::error::LoadError;
use crate::module::{SmallFunction, invalid};

impl<'t> Translator<'t> {
    /// What takes the place of a call of this function, if anything does.
    pub(super) fn small_callee(&mut self, function: u32) -> Option<&'t SmallFunction> {
        let small = self.small.get(function, &mut self.state.scratch)?;
        small.is_admitted(self.state.origins.bytes(), self.own_bytes).then_some(small)
    }

    /// Translates the function's operators with the topmost operands as its parameters.
    pub(super) fn inline(&mut self, small: &SmallFunction) -> Result<(), LoadError> {
        let mut operators = OperatorsReader::new(small.operators());
        let call = self.position(self.offset);
        let start = self.state.origins.take(small, call);
        self.set_position(start);
        self.charge_units(small.units);
        let params = self.info.function_type(small.function).params().len();
        let first = self.state.values.len() - params;
        let mut locals = Vec::with_capacity(small.locals.len());
        locals.extend(self.state.values.drain(first..).map(Local::Known));
        for ty in &small.locals[params..] {
            locals.push(Local::Known(self.zero(clif_type(*ty))));
        }
        let own = std::mem::replace(&mut self.state.locals, locals);
        let mut translated = Ok(());
        while translated.is_ok() && !operators.eof() {
            let position = start + (operators.original_position() - small.offset) as u32;
            self.set_position(position);
            translated = operators.visit_operator(self).unwrap_or_else(|e| Err(invalid(e)));
        }
        self.state.locals = own;
        translated
    }
}
