//! One walk over a body that validates it and collects what a compiler wants to know beforehand.
//!
//! Refuses invalid bodies. The facts are hints about cost: a compiler may ignore them and stay
//! correct, except for those that say whether something occurs: they are exact.

#[cfg(any(feature = "cranelift", feature = "listing", test))]
use wasmparser::OperatorsReader;
use wasmparser::{
    BinaryReader, BlockType, FrameKind, FrameStack, FuncValidatorAllocations, VisitOperator,
    VisitSimdOperator,
};

use super::ValType;
use super::bodies::Bodies;
use super::fuel::{Charge, Planner};
use super::load::{invalid, invalid_at};
use super::short;
use crate::error::LoadError;

/// What the validating walk saw of one function.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The types of the locals, parameters first.
    pub locals: Vec<ValType>,
    /// For each local how often it is read or written, each use weighted by [`LOOP_WEIGHT`] to
    /// the power of its loop depth.
    pub uses: Vec<u32>,
    /// Whether any call operator occurs, reachable or not.
    pub makes_calls: bool,
    /// Whether any operator occurs that may need the runtime, such as `memory.grow`, reachable or
    /// not.
    pub calls_runtime: bool,
    /// How often either occurs, weighted like the uses of locals.
    pub calls: u32,
    /// How often memories are loaded from and stored to, weighted like the uses of locals.
    pub memory_accesses: u32,
    /// Whether any block, branch or return occurs, or `unreachable`: anything but one operator after the
    /// other.
    pub branches: bool,
    /// Whether any local is written.
    pub writes_locals: bool,
    /// Whether any loop occurs, reachable or not.
    pub has_loops: bool,
    /// How deep the deepest loop is nested in others, itself counted.
    pub max_loop_depth: u32,
    /// Whether there is any local of a vector's type, or any operator on vectors.
    pub has_vectors: bool,
    /// Whether any integer division or remainder occurs.
    pub divides: bool,
    /// Whether any shift occurs.
    pub shifts: bool,
    /// Whether any rotation occurs.
    pub rotates: bool,
    /// Where fuel is taken, in the order of the operators: see [`Validation::plan_fuel`].
    pub charges: Vec<Charge>,
    /// How often that happens, weighted like the uses of locals.
    pub charge_weight: u32,
    /// For each open block, outermost first, whether it is a loop; filled while walking.
    open: Vec<bool>,
    /// How many of `open` are loops.
    loop_depth: u32,
    /// What a use counts at this point.
    weight: u32,
}

/// How many times a loop's body is taken to run, for weighing uses.
pub(super) const LOOP_WEIGHT: u32 = 8;
/// Deeper nesting than this weighs no more.
pub(super) const MAX_WEIGHED_DEPTH: u32 = 4;

impl Facts {
    fn reset(&mut self) {
        self.locals.clear();
        self.uses.clear();
        self.makes_calls = false;
        self.calls_runtime = false;
        self.calls = 0;
        self.memory_accesses = 0;
        self.branches = false;
        self.writes_locals = false;
        self.has_loops = false;
        self.max_loop_depth = 0;
        self.has_vectors = false;
        self.divides = false;
        self.shifts = false;
        self.rotates = false;
        self.open.clear();
        self.loop_depth = 0;
        self.weight = 1;
    }

    fn use_of(&mut self, local: u32) {
        // Validation has seen the index to be in range before this runs.
        let uses = &mut self.uses[local as usize];
        *uses = uses.saturating_add(self.weight);
    }

    fn accesses_memory(&mut self) {
        self.memory_accesses = self.memory_accesses.saturating_add(self.weight);
    }

    fn calls(&mut self) {
        self.calls = self.calls.saturating_add(self.weight);
    }

    fn open(&mut self, is_loop: bool) {
        self.open.push(is_loop);
        self.branches = true;
        self.has_loops |= is_loop;
        self.set_loop_depth(self.loop_depth + u32::from(is_loop));
    }

    fn close(&mut self) {
        // The function's own `end` closes what was never opened here.
        let was_loop = self.open.pop().unwrap_or(false);
        self.set_loop_depth(self.loop_depth - u32::from(was_loop));
    }

    fn set_loop_depth(&mut self, depth: u32) {
        self.loop_depth = depth;
        self.max_loop_depth = self.max_loop_depth.max(depth);
        self.weight = LOOP_WEIGHT.pow(depth.min(MAX_WEIGHED_DEPTH));
    }
}

/// What validation needs and can be used again for the next body.
#[derive(Default)]
pub(crate) struct Validation {
    allocations: FuncValidatorAllocations,
    planner: Planner,
    pub facts: Facts,
}

impl Validation {
    /// Plans where the body that was just validated takes fuel. Only engines with fuel ask for it:
    /// their modules are walked once more.
    pub fn plan_fuel(&mut self, body: &ValidBody<'_>) {
        self.facts.charge_weight = self.planner.plan(body, &mut self.facts.charges);
    }
}

/// A body that has been validated: the only thing that a compiler accepts.
pub(crate) struct ValidBody<'a> {
    /// The function's index, imports counted.
    pub function: u32,
    pub(super) operators: BinaryReader<'a>,
}

impl<'a> ValidBody<'a> {
    /// The bytes from the first operator to the function's `end`. Offsets are those of the module.
    pub fn reader(&self) -> BinaryReader<'a> {
        self.operators.clone()
    }

    /// The operators from the first to the function's `end`. Offsets are those of the module.
    #[cfg(any(feature = "cranelift", feature = "listing", test))]
    pub fn operators(&self) -> OperatorsReader<'a> {
        OperatorsReader::new(self.operators.clone())
    }

    /// The size of the operators in bytes.
    pub fn len(&self) -> usize {
        self.operators.bytes_remaining()
    }
}

impl<'a> Bodies<'a> {
    /// Validates a function's body and leaves its facts in `validation`.
    pub fn validate(
        &self,
        function: u32,
        validation: &mut Validation,
    ) -> Result<ValidBody<'a>, LoadError> {
        let Validation { allocations, facts, .. } = validation;
        facts.reset();
        let mut validator = self.to_validate(function).into_validator(std::mem::take(allocations));
        let mut reader = self.reader(function);
        validator.read_locals(&mut reader).map_err(invalid)?;
        for local in 0..validator.len_locals() {
            let ty = validator.get_local_type(local).and_then(ValType::from_wasmparser);
            let ty = ty.expect("a type of WebAssembly 2.0");
            facts.has_vectors |= ty == ValType::V128;
            facts.locals.push(ty);
        }
        facts.uses.resize(facts.locals.len(), 0);

        let operators = reader.clone();
        let start = reader.original_position();
        let code = reader.read_bytes(reader.bytes_remaining()).map_err(invalid)?;
        let mut rest = code;
        while !rest.is_empty() {
            // No block is open behind the function's own `end`.
            if validator.control_stack_height() > 0 {
                let validator = validator.simd_visitor(start);
                let mut visitor = ValidateAndNote { validator, facts, block: None };
                let (behind, visited) = short::visit(rest, &mut visitor);
                let at = code.len() - behind.len();
                if let Err(error) = visited {
                    // One visitor has visited many operators: where this one is, it was not told.
                    return Err(invalid_at(&error, start + at as u64));
                }
                if behind.len() < rest.len() {
                    rest = behind;
                    continue;
                }
            }
            let at = code.len() - rest.len();
            let offset = start + at as u64;
            let block = validator.get_control_frame(0).map(|frame| frame.kind);
            let validator = validator.simd_visitor(offset);
            let mut reader = operators.clone();
            reader.read_bytes(at).map_err(invalid)?;
            reader
                .visit_operator(&mut ValidateAndNote { validator, facts, block })
                .and_then(|result| result)
                .map_err(invalid)?;
            rest = &code[code.len() - reader.bytes_remaining()..];
        }
        let end = validator.visitor(reader.original_position());
        reader.finish_expression(&end).map_err(invalid)?;
        drop(end);
        *allocations = validator.into_allocations();
        Ok(ValidBody { function, operators })
    }
}

/// Validates each operator, then notes those that [`Facts`] are made of.
struct ValidateAndNote<'f, V> {
    validator: V,
    facts: &'f mut Facts,
    /// The innermost open block, which wasmparser's reader asks for.
    block: Option<FrameKind>,
}

// Not inlined, for what is left in the loop of all operators.
impl<'a, V: VisitOperator<'a>> ValidateAndNote<'_, V> {
    #[cold]
    fn get_other(&mut self, local: u32) -> V::Output {
        self.validator.visit_local_get(local)
    }

    #[cold]
    fn tee_other(&mut self, local: u32) -> V::Output {
        self.validator.visit_local_tee(local)
    }
}

impl<V> FrameStack for ValidateAndNote<'_, V> {
    fn current_frame(&self) -> Option<FrameKind> {
        self.block
    }
}

/// Forwards to the validator, then runs `note!` for the operators that have one.
macro_rules! validate_and_note {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident $ann:tt)*) => {
        $(
            #[inline]
            fn $visit(&mut self $($(, $arg: $argty)*)?) -> Self::Output {
                validate_and_note!(@one self $op $visit $($($arg)*)?)
            }
        )*
    };
    (@one $self:ident LocalGet $visit:ident $index:ident) => {{
        // Reading a local of such a type is validated like a constant, which is pushed with less ado.
        match $self.facts.locals.get($index as usize) {
            Some(ValType::I32) => $self.validator.visit_i32_const(0)?,
            Some(ValType::I64) => $self.validator.visit_i64_const(0)?,
            _ => $self.get_other($index)?,
        }
        $self.facts.use_of($index);
        Ok(())
    }};
    (@one $self:ident LocalSet $visit:ident $index:ident) => {{
        $self.validator.$visit($index)?;
        $self.facts.writes_locals = true;
        $self.facts.use_of($index);
        Ok(())
    }};
    (@one $self:ident LocalTee $visit:ident $index:ident) => {{
        // The same: one of such a type on the stack, before it and behind it.
        match $self.facts.locals.get($index as usize) {
            Some(ValType::I32) => $self.validator.visit_i32_clz()?,
            Some(ValType::I64) => $self.validator.visit_i64_clz()?,
            _ => $self.tee_other($index)?,
        }
        $self.facts.writes_locals = true;
        $self.facts.use_of($index);
        Ok(())
    }};
    (@one $self:ident Loop $visit:ident $ty:ident) => { validate_and_note!(@open $self $visit $ty true) };
    (@one $self:ident Block $visit:ident $ty:ident) => { validate_and_note!(@open $self $visit $ty false) };
    (@one $self:ident If $visit:ident $ty:ident) => { validate_and_note!(@open $self $visit $ty false) };
    (@open $self:ident $visit:ident $ty:ident $is_loop:literal) => {{
        let ty: BlockType = $ty;
        $self.validator.$visit(ty)?;
        $self.facts.open($is_loop);
        Ok(())
    }};
    (@one $self:ident End $visit:ident) => {{
        $self.validator.$visit()?;
        $self.facts.close();
        Ok(())
    }};
    (@one $self:ident Call $visit:ident $index:ident) => {{
        $self.facts.makes_calls = true;
        $self.facts.calls();
        $self.validator.$visit($index)
    }};
    (@one $self:ident CallIndirect $visit:ident $ty:ident $table:ident) => {{
        $self.facts.makes_calls = true;
        $self.facts.calls();
        $self.validator.$visit($ty, $table)
    }};
    (@one $self:ident I32Load $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident I64Load $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident F32Load $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident F64Load $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident I32Load8S $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident I32Load8U $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident I32Load16S $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident I32Load16U $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident I64Load8S $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident I64Load8U $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident I64Load16S $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident I64Load16U $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident I64Load32S $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident I64Load32U $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident I32Store $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident I64Store $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident F32Store $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident F64Store $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident I32Store8 $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident I32Store16 $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident I64Store8 $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident I64Store16 $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@one $self:ident I64Store32 $visit:ident $memarg:ident) => { validate_and_note!(@access $self $visit $memarg) };
    (@access $self:ident $visit:ident $memarg:ident) => {{
        $self.facts.accesses_memory();
        $self.validator.$visit($memarg)
    }};
    (@one $self:ident MemoryGrow $visit:ident $($arg:ident)*) => { validate_and_note!(@runtime $self $visit $($arg)*) };
    (@one $self:ident MemoryInit $visit:ident $($arg:ident)*) => { validate_and_note!(@runtime $self $visit $($arg)*) };
    (@one $self:ident DataDrop $visit:ident $($arg:ident)*) => { validate_and_note!(@runtime $self $visit $($arg)*) };
    (@one $self:ident TableGrow $visit:ident $($arg:ident)*) => { validate_and_note!(@runtime $self $visit $($arg)*) };
    (@one $self:ident TableFill $visit:ident $($arg:ident)*) => { validate_and_note!(@runtime $self $visit $($arg)*) };
    (@one $self:ident TableCopy $visit:ident $($arg:ident)*) => { validate_and_note!(@runtime $self $visit $($arg)*) };
    (@one $self:ident TableInit $visit:ident $($arg:ident)*) => { validate_and_note!(@runtime $self $visit $($arg)*) };
    (@one $self:ident ElemDrop $visit:ident $($arg:ident)*) => { validate_and_note!(@runtime $self $visit $($arg)*) };
    (@one $self:ident MemoryFill $visit:ident $($arg:ident)*) => { validate_and_note!(@bulk $self $visit $($arg)*) };
    (@one $self:ident MemoryCopy $visit:ident $($arg:ident)*) => { validate_and_note!(@bulk $self $visit $($arg)*) };
    (@bulk $self:ident $visit:ident $($arg:ident)*) => {{
        $self.facts.accesses_memory();
        validate_and_note!(@runtime $self $visit $($arg)*)
    }};
    (@runtime $self:ident $visit:ident $($arg:ident)*) => {{
        $self.facts.calls_runtime = true;
        $self.facts.calls();
        $self.validator.$visit($($arg),*)
    }};
    (@one $self:ident Unreachable $visit:ident) => { validate_and_note!(@note $self $visit branches) };
    (@one $self:ident Br $visit:ident $depth:ident) => { validate_and_note!(@note $self $visit branches $depth) };
    (@one $self:ident BrIf $visit:ident $depth:ident) => { validate_and_note!(@note $self $visit branches $depth) };
    (@one $self:ident BrTable $visit:ident $table:ident) => { validate_and_note!(@note $self $visit branches $table) };
    (@one $self:ident Return $visit:ident) => { validate_and_note!(@note $self $visit branches) };
    (@one $self:ident I32DivS $visit:ident) => { validate_and_note!(@note $self $visit divides) };
    (@one $self:ident I32DivU $visit:ident) => { validate_and_note!(@note $self $visit divides) };
    (@one $self:ident I32RemS $visit:ident) => { validate_and_note!(@note $self $visit divides) };
    (@one $self:ident I32RemU $visit:ident) => { validate_and_note!(@note $self $visit divides) };
    (@one $self:ident I64DivS $visit:ident) => { validate_and_note!(@note $self $visit divides) };
    (@one $self:ident I64DivU $visit:ident) => { validate_and_note!(@note $self $visit divides) };
    (@one $self:ident I64RemS $visit:ident) => { validate_and_note!(@note $self $visit divides) };
    (@one $self:ident I64RemU $visit:ident) => { validate_and_note!(@note $self $visit divides) };
    (@one $self:ident I32Shl $visit:ident) => { validate_and_note!(@note $self $visit shifts) };
    (@one $self:ident I32ShrS $visit:ident) => { validate_and_note!(@note $self $visit shifts) };
    (@one $self:ident I32ShrU $visit:ident) => { validate_and_note!(@note $self $visit shifts) };
    (@one $self:ident I64Shl $visit:ident) => { validate_and_note!(@note $self $visit shifts) };
    (@one $self:ident I64ShrS $visit:ident) => { validate_and_note!(@note $self $visit shifts) };
    (@one $self:ident I64ShrU $visit:ident) => { validate_and_note!(@note $self $visit shifts) };
    (@one $self:ident I32Rotl $visit:ident) => { validate_and_note!(@note $self $visit rotates) };
    (@one $self:ident I32Rotr $visit:ident) => { validate_and_note!(@note $self $visit rotates) };
    (@one $self:ident I64Rotl $visit:ident) => { validate_and_note!(@note $self $visit rotates) };
    (@one $self:ident I64Rotr $visit:ident) => { validate_and_note!(@note $self $visit rotates) };
    (@note $self:ident $visit:ident $fact:ident $($arg:ident)?) => {{
        $self.facts.$fact = true;
        $self.validator.$visit($($arg)?)
    }};
    (@one $self:ident $op:ident $visit:ident $($arg:ident)*) => { $self.validator.$visit($($arg),*) };
}

/// The same for operators on vectors.
macro_rules! validate_vector {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident $ann:tt)*) => {
        $(
            fn $visit(&mut self $($(, $arg: $argty)*)?) -> Self::Output {
                self.facts.has_vectors = true;
                $(validate_vector!(@note self $($arg)*);)?
                self.validator.$visit($($($arg),*)?)
            }
        )*
    };
    (@note $self:ident memarg $($lane:ident)?) => { $self.facts.accesses_memory() };
    (@note $self:ident $($arg:ident)*) => {};
}

impl<'a, V> VisitOperator<'a> for ValidateAndNote<'_, V>
where
    V: VisitSimdOperator<'a, Output = wasmparser::Result<()>>,
{
    type Output = wasmparser::Result<()>;

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = Self::Output>> {
        Some(self)
    }

    // Operators arrive one by one, never as this type, whose printing alone takes 20 KB of program.
    fn visit_operator(&mut self, _: &wasmparser::Operator<'a>) -> Self::Output {
        Ok(())
    }

    wasmparser::for_each_visit_operator!(validate_and_note);
}

impl<'a, V> VisitSimdOperator<'a> for ValidateAndNote<'_, V>
where
    V: VisitSimdOperator<'a, Output = wasmparser::Result<()>>,
{
    wasmparser::for_each_visit_simd_operator!(validate_vector);
}
