//! The optimising tier: wasm operators to Cranelift's IR, and from there to machine code.
//!
//! This file owns the driver ([`Compiler`]) and the state of one translation ([`Translator`]). Nothing
//! here can run: addresses of functions are left as [`Relocation`](super::Relocation)s.
//!
//! Names follow the other tier: `operators.rs` (what each operator becomes), `control.rs`, `calls.rs`,
//! `memory.rs`, `table.rs`, `integer.rs`, `float.rs`, `fuel.rs`, `poll.rs`, `simd.rs`. Only this tier has
//! `locals.rs` (variables to SSA), `inline.rs` (bodies in the place of calls), `origins.rs` (where
//! instructions come from) and `machine.rs` (flags in, machine code out).

mod calls;
mod control;
mod float;
mod fuel;
mod inline;
mod integer;
mod locals;
mod machine;
mod memory;
mod operators;
mod origins;
mod poll;
mod simd;
mod table;
#[cfg(test)]
mod tests;

use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::types::{F32, F64, I8X16, I32, I64};
use cranelift_codegen::ir::{
    self, AliasRegion, AliasRegionData, BlockArg, InstBuilder, Opcode, SourceLoc, Type, Value,
};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::{Context, ir::UserFuncName};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

use super::abi::Layout;
use super::{CompileOptions, CompiledCode, Unit};
use crate::error::LoadError;
use crate::module::{
    Facts, ModuleInfo, SmallFunctions, ValType, ValidBody, Validation, invalid, operator_name,
};
use calls::Callees;
use control::Frame;
use fuel::Fuel;
use locals::Local;
use memory::Accessed;
use origins::Origins;

pub(crate) use machine::isa;

/// Turns validated bodies into machine code, and keeps its allocations from one to the next.
pub(crate) struct Compiler {
    isa: OwnedTargetIsa,
    options: CompileOptions,
    context: Context,
    builder: FunctionBuilderContext,
    state: State,
}

/// What a translation fills and the next one can fill again.
#[derive(Default)]
struct State {
    /// The operands, as the specification's stack has them.
    values: Vec<Value>,
    /// The open blocks, outermost first; those opened in unreachable code are not here.
    frames: Vec<Frame>,
    /// Where each local lives.
    locals: Vec<Local>,
    /// The functions that were called so far.
    callees: Callees,
    /// Where the instructions come from.
    origins: Origins,
    /// What was accessed last, with which trap codes, and first by whom.
    accessed: [Option<(Accessed, ir::TrapCode, SourceLoc)>; 4],
    /// For finding out which functions are small.
    scratch: Validation,
    /// The arguments of the branch that is being made.
    args: Vec<BlockArg>,
}

impl State {
    fn clear(&mut self) {
        self.values.clear();
        self.frames.clear();
        self.locals.clear();
        self.callees.clear();
        self.origins.clear();
        self.accessed = Default::default();
    }
}

impl Compiler {
    pub fn new(isa: OwnedTargetIsa, options: CompileOptions) -> Compiler {
        Compiler {
            isa,
            options,
            context: Context::new(),
            builder: FunctionBuilderContext::new(),
            state: State::default(),
        }
    }

    /// Compiles one function and appends it to `out`.
    pub fn compile(
        &mut self,
        unit: &Unit<'_>,
        body: &ValidBody<'_>,
        facts: &Facts,
        out: &mut CompiledCode,
    ) -> Result<(), LoadError> {
        self.translate(unit, body, facts)?;
        let compiled = self
            .context
            .compile(&*self.isa, &mut ControlPlane::default())
            // The error's `Debug` form has the verifier's findings, and no address of ours.
            .map_err(|error| format!("{:?}", error.inner));
        let appended = match compiled {
            Ok(_) => {
                self.state.origins.forget_dropped(&self.context.func);
                let (record, origins) = (self.options.record_operators, &self.state.origins);
                machine::append(body, facts, unit, &self.context, origins, record, out)
            }
            Err(message) => Err(message),
        };
        appended.map_err(|message| LoadError::Compile { function: body.function, message })
    }

    /// The function in Cranelift's text form, as translated and before any optimisation.
    #[cfg(any(test, feature = "listing"))]
    pub fn clif(
        &mut self,
        unit: &Unit<'_>,
        body: &ValidBody<'_>,
        facts: &Facts,
    ) -> Result<String, LoadError> {
        self.translate(unit, body, facts)?;
        Ok(self.context.func.display().to_string())
    }

    /// Leaves the function's IR in the context.
    fn translate(
        &mut self,
        unit: &Unit<'_>,
        body: &ValidBody<'_>,
        facts: &Facts,
    ) -> Result<(), LoadError> {
        self.context.clear();
        self.state.clear();
        self.context.func.name = UserFuncName::user(0, body.function);
        let mut operators = body.operators();
        let mut translator = Translator {
            info: unit.info,
            type_ids: unit.type_ids,
            layout: unit.layout,
            function: body.function,
            facts,
            small: &unit.small,
            own_bytes: body.len(),
            builder: FunctionBuilder::new(&mut self.context.func, &mut self.builder),
            state: &mut self.state,
            reachable: true,
            skipped: 0,
            offset: operators.original_position(),
            entry: ir::Block::from_u32(0),
            vmctx: None,
            stack_checked: false,
            return_area: None,
            fuel: Fuel::default(),
            polls: self.options.polls,
        };
        translator.enter(body);
        let mut translated = Ok(());
        while translated.is_ok() && !operators.eof() {
            translator.at(operators.original_position());
            translator.charge_at(operators.original_position());
            translated =
                operators.visit_operator(&mut translator).unwrap_or_else(|e| Err(invalid(e)));
        }
        match translated {
            Ok(()) => translator.builder.finalize(self.isa.frontend_config()),
            // A builder that is given up leaves its traces in the context.
            Err(_) => self.builder = FunctionBuilderContext::new(),
        }
        translated
    }
}

/// The function of one body's translation, half done.
struct Translator<'t> {
    info: &'t ModuleInfo,
    type_ids: &'t [u32],
    layout: &'t Layout,
    function: u32,
    facts: &'t Facts,
    /// What may take the place of calls.
    small: &'t SmallFunctions<'t>,
    /// How many bytes of operators the function itself has.
    own_bytes: usize,
    builder: FunctionBuilder<'t>,
    state: &'t mut State,
    /// Whether the operator at hand can be reached. What cannot is skipped, but for the nesting.
    reachable: bool,
    /// How many blocks are open that were opened in unreachable code.
    skipped: u32,
    /// Where the operator at hand stands in the module.
    offset: u64,
    entry: ir::Block,
    /// The instance's context, if it was asked for: see [`Translator::vmctx`].
    vmctx: Option<Value>,
    /// Whether the function compares its stack pointer with the limit.
    stack_checked: bool,
    /// The address that results without a register are stored at.
    return_area: Option<Value>,
    fuel: Fuel<'t>,
    /// Whether it tests for interruption.
    polls: bool,
}

impl Translator<'_> {
    /// Everything until the next call comes from the operator at this offset.
    fn at(&mut self, offset: u64) {
        self.offset = offset;
        self.set_position(self.position(offset));
    }

    fn set_position(&mut self, position: u32) {
        self.builder.set_srcloc(SourceLoc::new(position));
    }

    /// The position of an operator of the function's own: see [`Origins`].
    fn position(&self, offset: u64) -> u32 {
        // Engines refuse modules of 4 GiB long before.
        offset as u32 + self.state.origins.bytes()
    }

    /// Starts the function: parameters, locals, the stack check.
    fn enter(&mut self, body: &ValidBody<'_>) {
        self.at(self.offset);
        self.entry = self.builder.create_block();
        self.builder.switch_to_block(self.entry);
        self.builder.seal_block(self.entry);
        self.receive_params();
        // From here on, the context can be read at the block's start.
        self.builder.ensure_inserted_block();
        self.declare_locals(body);
        if self.facts.makes_calls {
            self.poll();
        }
        self.begin_fuel();
        self.state.frames.push(Frame::function());
    }

    fn push(&mut self, value: Value) {
        self.state.values.push(value);
    }

    /// Validation has seen that the operands are there.
    fn pop(&mut self) -> Value {
        self.state.values.pop().expect("a validated operand")
    }

    #[cold]
    fn unsupported(&self, what: String) -> LoadError {
        LoadError::Unsupported {
            what: what + " on the Cranelift tier",
            function: Some(self.function),
            offset: self.offset,
        }
    }

    #[cold]
    fn unsupported_operator(&self, visit: &str) -> LoadError {
        self.unsupported(format!("operator `{}`", operator_name(visit)))
    }

    fn region(&mut self, region: Region) -> AliasRegion {
        let (user_id, description) = match region {
            Region::Heap => (0, "heap"),
            Region::Header => (1, "header"),
            Region::Elements => (2, "elements"),
            Region::ImportedGlobals => (3, "imported globals"),
            Region::Globals(class) => (4 + u32::from(class), "globals"),
            Region::Fuel => (4 + u32::from(Region::GLOBALS), "fuel"),
        };
        let description = description.into();
        self.builder.func.dfg.alias_regions.insert(AliasRegionData { user_id, description })
    }

    fn unary(&mut self, opcode: Opcode) -> Result<(), LoadError> {
        let value = self.pop();
        let ty = self.builder.func.dfg.value_type(value);
        let (inst, dfg) = self.builder.ins().Unary(opcode, ty, value);
        let result = dfg.first_result(inst);
        self.push(result);
        Ok(())
    }

    fn binary(&mut self, opcode: Opcode) -> Result<(), LoadError> {
        let (right, left) = (self.pop(), self.pop());
        let ty = self.builder.func.dfg.value_type(left);
        let (inst, dfg) = self.builder.ins().Binary(opcode, ty, left, right);
        let result = dfg.first_result(inst);
        self.push(result);
        Ok(())
    }

    /// A conversion whose one instruction says all but the type that it makes.
    fn convert(&mut self, opcode: Opcode, to: Type) -> Result<(), LoadError> {
        let value = self.pop();
        let (inst, dfg) = self.builder.ins().Unary(opcode, to, value);
        let result = dfg.first_result(inst);
        self.push(result);
        Ok(())
    }

    fn select(&mut self) -> Result<(), LoadError> {
        let (condition, other, one) = (self.pop(), self.pop(), self.pop());
        let result = self.builder.ins().select(condition, one, other);
        self.push(result);
        Ok(())
    }
}

/// The type that values of this type have in the IR.
fn clif_type(ty: ValType) -> Type {
    match ty {
        ValType::I32 => I32,
        ValType::F32 => F32,
        ValType::F64 => F64,
        // The type of all vectors outside the operators that look inside.
        ValType::V128 => I8X16,
        ValType::I64 | ValType::FuncRef | ValType::ExternRef => I64,
    }
}

/// Parts of the store that never overlap: what is written in one cannot be seen in another.
#[derive(Clone, Copy)]
enum Region {
    /// The bytes of all memories. Two imported ones may be the same.
    Heap,
    /// Where memories and tables are and how large: only the runtime writes it.
    Header,
    /// The elements of all tables.
    Elements,
    /// Where the values of globals are that may be imported twice.
    ImportedGlobals,
    /// One of [`Region::GLOBALS`] classes of those that are defined here.
    Globals(u8),
    /// The fuel that is left.
    Fuel,
}

impl Region {
    /// Few: Cranelift keeps a list of the regions for each block.
    const GLOBALS: u8 = 8;
}
