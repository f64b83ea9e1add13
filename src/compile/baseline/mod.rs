//! The baseline tier: one pass over the operators, machine code out.
//!
//! The first walk over a body, validation, has left [`Facts`]; this is the second. There is no
//! intermediate representation. What an operator leaves on the wasm stack is a *descriptor* that
//! says where the value is, so `local.get` and constants emit nothing, and the operator that
//! finally uses them picks an instruction that takes them where they are.
//!
//! Reading order:
//!
//! - `decode`, `operators`: the tables of operators, and how they are read;
//! - `value`: the value stack and its rules;
//! - `homes`, `frame`: where locals live, prologue and epilogue;
//! - `registers`: temporaries, and moving operands about;
//! - `hints`: what the next operator would like;
//! - `locals`, `integer`, `multiply`, `divide`, `float`, `convert`: operators;
//! - `memory`, `bulk`, `global`, `table`: what the context leads to;
//! - `simd`, `constants`: vectors;
//! - `control`, `br_table`, `select`: blocks and branches; `moves`: many registers at once;
//! - `calls`, `inline`: calls, and what takes their place;
//! - `fuel`, `poll`: checks; `cold`: traps.
//!
//! This file owns the driver: one function from its first operator to its last byte. Every
//! allocation is kept from one function to the next.

mod br_table;
mod bulk;
mod calls;
mod cold;
mod constants;
mod control;
mod convert;
mod decode;
mod divide;
mod float;
mod frame;
mod fuel;
mod global;
mod hints;
mod homes;
mod inline;
mod integer;
mod locals;
mod memory;
mod moves;
mod multiply;
mod operators;
mod poll;
mod registers;
mod select;
mod simd;
mod table;
mod value;

#[cfg(test)]
mod tests;

use std::array;

use wasmparser::BinaryReader;

use self::cold::Cold;
use self::constants::Constants;
use self::control::ControlFrame;
use self::decode::Code;
use self::frame::Frame;
use self::inline::Inline;
use self::integer::ZeroFlag;
use self::memory::Fused;
use self::moves::Moves;
use self::operators::Emit;
use self::registers::Registers;
use self::value::{Entry, Operand, PINNED, ValueStack};
use super::abi::{Layout, Signature};
use super::{
    CODE_ALIGNMENT, CallSite, CompileOptions, CompiledCode, CompiledFunction, Made, OperatorStart,
    Relocation, Tier, TrapSite, Unit, plain,
};
use crate::asm::{Assembler, Gpr, GprSet, Label, XmmSet};
use crate::error::LoadError;
use crate::module::{Charge, Facts, FuncType, ValType, ValidBody, Validation};

/// Compiles functions, one after the other.
pub(crate) struct Compiler {
    options: CompileOptions,

    // The function's surroundings.
    layout: Layout,
    signature: Signature,
    /// The signatures of the types that were called lately, each at the place that its type's address
    /// gives: most functions call a few types again and again.
    callees: Box<[(Option<FuncType>, Signature); CALLEES]>,
    /// Which of them is being called.
    callee: usize,
    /// Where the first operator stands in the binary module.
    body_start: u32,
    /// How many bytes the operators have.
    body_len: usize,

    // What is known at the current operator.
    /// Where it stands in the binary module; in the place of a call, what `inline.rs` makes of that.
    operator: u32,
    /// The bytes of the one behind it: see [`hints`].
    lookahead: u64,
    /// Where the local lives that it sets, if it sets one; otherwise nowhere.
    hinted_home: Operand,
    /// That local.
    hinted_local: u32,
    /// Where the one behind it, if it is a call, wants its last argument.
    wanted_gpr: Option<Gpr>,
    /// Whether it can be executed.
    reachable: bool,
    /// From this offset on something is to be done before each operator: see [`Compiler::pause`].
    checkpoint: u32,
    /// In code that is not reachable: how many blocks have been opened there.
    skipped_blocks: u32,
    /// A jump that is not emitted unless the next label is another one.
    pending_jump: Option<Label>,
    zero_flag: Option<ZeroFlag>,
    fused: Fused,

    // The abstract state.
    stack: ValueStack,
    registers: Registers,
    /// What stands for each local on the stack: it is where the local lives, a register or a slot.
    locals: Vec<Entry>,
    /// The parameters in slots that are in registers, too, and their slots: see [`homes`].
    lingering: Vec<(u32, isize)>,
    /// Where the base of memory 0 is all the time, if the function accesses it often enough.
    memory_base: Option<Gpr>,
    /// Where the fuel that is left is all the time, besides the context, if the function loops.
    fuel_home: Option<Gpr>,
    frame: Frame,
    control: Vec<ControlFrame>,
    /// The types of the open blocks' parameters and results.
    types: Vec<ValType>,

    // Functions in the place of calls.
    inline: Inline,
    /// For finding out which functions are small.
    scratch: Validation,

    // The code. Offsets are counted from the start of the body, without the prologue.
    asm: Assembler,
    moves: Moves,
    cold: Vec<Cold>,
    relocations: Vec<Relocation>,
    traps: Vec<TrapSite>,
    calls: Vec<CallSite>,
    operators: Vec<OperatorStart>,
    /// Whether anything is read from the context, besides what traps and callees read.
    reads_context: bool,

    constants: Constants,

    // Jump tables.
    /// For each table its label and where its entries start in `table_labels`.
    tables: Vec<(Label, usize)>,
    table_labels: Vec<Label>,
    /// The stubs of the current `br_table`, with the index of the frame they jump to.
    stubs: Vec<(Label, usize)>,
    /// The depths that the current `br_table` names.
    depths: Vec<u32>,
    /// Where its targets change, and to what.
    runs: Vec<(u32, Label)>,
    tables_made: u32,
}

/// How many signatures of called functions are remembered.
const CALLEES: usize = 64;

/// This tier does not know the current operator.
#[derive(Clone, Copy, Debug)]
struct Refusal;

impl Compiler {
    pub(crate) fn new(options: CompileOptions) -> Compiler {
        let mut asm = Assembler::new();
        asm.avx = options.cpu.avx;
        Compiler {
            options,
            layout: Layout::default(),
            signature: Signature::default(),
            callees: Box::new(array::from_fn(|_| Default::default())),
            callee: 0,
            body_start: 0,
            body_len: 0,
            operator: 0,
            lookahead: 0,
            hinted_home: frame::NOWHERE,
            hinted_local: 0,
            wanted_gpr: None,
            reachable: true,
            checkpoint: match options.record_operators {
                true => 0,
                false => options.max_code.saturating_add(1),
            },
            skipped_blocks: 0,
            pending_jump: None,
            zero_flag: None,
            fused: Fused::NONE,
            stack: ValueStack::default(),
            registers: Registers::new(GprSet::of(&[registers::MERGE_GPR]), XmmSet::EMPTY),
            locals: Vec::new(),
            lingering: Vec::new(),
            memory_base: None,
            fuel_home: None,
            frame: Frame::default(),
            control: Vec::new(),
            types: Vec::new(),
            inline: Inline::default(),
            scratch: Validation::default(),
            asm,
            moves: Moves::default(),
            cold: Vec::new(),
            relocations: Vec::new(),
            traps: Vec::new(),
            calls: Vec::new(),
            operators: Vec::new(),
            reads_context: false,
            constants: Constants::default(),
            tables: Vec::new(),
            table_labels: Vec::new(),
            stubs: Vec::new(),
            depths: Vec::new(),
            runs: Vec::new(),
            tables_made: 0,
        }
    }

    /// Appends the function's code and what belongs to it. On an error, nothing is appended.
    pub(crate) fn compile(
        &mut self,
        unit: &Unit<'_>,
        body: &ValidBody<'_>,
        facts: &Facts,
        out: &mut CompiledCode,
    ) -> Result<(), LoadError> {
        let &Unit { info, layout, .. } = unit;
        let ty = info.function_type(body.function);
        let reader = body.reader();
        self.body_start = reader.original_position() as u32;
        self.body_len = body.len();
        self.operator = self.body_start;
        self.layout.clone_from(layout);
        self.begin(ty, facts, info.has_vectors || facts.has_vectors);
        if facts.makes_calls {
            self.poll();
        }
        self.walk(unit, reader, &facts.charges)
            .map_err(|Refusal| refused(body.function, self.inline.own_operator(self.operator)))?;
        self.check_size()?;
        self.finish(body, facts, out);
        Ok(())
    }

    /// Forgets the last function, starts this one.
    fn begin(&mut self, ty: &FuncType, facts: &Facts, has_vectors: bool) {
        self.look_away();
        self.reachable = true;
        self.skipped_blocks = 0;
        self.pending_jump = None;
        self.zero_flag = None;
        self.stack.clear();
        self.lingering.clear();
        self.control.clear();
        self.types.clear();
        self.asm.clear();
        self.cold.clear();
        self.relocations.clear();
        self.traps.clear();
        self.calls.clear();
        self.operators.clear();
        self.reads_context = false;
        self.inline.clear();
        self.constants.clear();
        self.tables.clear();
        self.table_labels.clear();
        self.tables_made = 0;

        self.signature.assign(ty);
        self.open_frame(facts, has_vectors);
        self.bring_locals_home(facts);
        self.start_lingering(facts);
        self.open_function(ty.results());
    }

    /// Emits the body, to the function's `end`, and takes fuel where that is planned.
    fn walk(
        &mut self,
        unit: &Unit<'_>,
        reader: BinaryReader<'_>,
        charges: &[Charge],
    ) -> Result<(), Refusal> {
        let mut at = 0;
        for charge in charges {
            at = self.walk_to((charge.at - self.body_start) as usize, at, &reader, unit)?;
            if self.reachable {
                self.operator = charge.at;
                self.charge(charge.units);
            }
        }
        self.walk_to(reader.bytes_remaining(), at, &reader, unit)?;
        Ok(())
    }

    /// Emits the operators that start before `end`, from the one at `at` on. Returns where it stopped.
    // The code is lent to nobody who is not inlined, so that how far it has been read stays in a register:
    // each operator waits for that.
    fn walk_to(
        &mut self,
        end: usize,
        at: usize,
        reader: &BinaryReader<'_>,
        unit: &Unit<'_>,
    ) -> Result<usize, Refusal> {
        let module = unit.info;
        let mut code = Code::new(reader, at);
        while code.position() < end {
            self.operator = self.body_start + code.position() as u32;
            if self.asm.offset() >= self.checkpoint && self.pause() {
                break;
            }
            if !(self.reachable && self.operator(&mut code, module, unit)) {
                self.look_behind_rare(code, module);
                let mut emit = Emit { c: self, module };
                // The body is valid, so reading it again cannot fail.
                code.read(reader, |reader| reader.visit_operator(&mut emit)).unwrap_or(Ok(()))?;
                self.look_away();
            }
            self.check();
        }
        self.forget_empty_operator();
        Ok(code.position())
    }

    /// What there is to do before an operator from [`Compiler::checkpoint`] on. Returns whether the
    /// function is given up.
    #[cold]
    fn pause(&mut self) -> bool {
        if self.options.record_operators {
            self.forget_empty_operator();
            let (offset, wasm_offset) = (self.asm.offset(), self.operator);
            self.operators.push(OperatorStart { offset, wasm_offset });
        }
        self.asm.offset() > self.options.max_code && self.is_too_large()
    }

    /// Only operators that have code are recorded.
    fn forget_empty_operator(&mut self) {
        let offset = self.asm.offset();
        self.operators.pop_if(|last| last.offset == offset);
    }

    /// Emits what stands around the body, and hands everything over.
    fn finish(&mut self, body: &ValidBody<'_>, facts: &Facts, out: &mut CompiledCode) {
        if self.reachable {
            self.emit_epilogue();
        }
        self.emit_cold();
        let overflow = self.has_stack_check().then(|| self.emit_stack_overflow());
        let data = self.asm.offset();
        self.emit_tables();
        self.emit_constants();
        let body_len = self.asm.buf.len();
        let prologue = self.emit_prologue();
        let prologue_len = (self.asm.buf.len() - body_len) as u32;
        if let (Some(field), Some(overflow)) = (prologue.check, overflow) {
            // The jump is the last instruction before the body.
            debug_assert_eq!(field + 4, prologue_len);
            self.asm.buf.patch_u32(body_len as u32 + field, overflow);
        }

        // Otherwise end to end: it is shorter, and processors that know branches by the low bits of
        // their addresses tell small functions apart.
        if self.constants.are_placed() {
            out.bytes.resize(out.bytes.len().next_multiple_of(CODE_ALIGNMENT), 0xCC);
        }
        let start = out.bytes.len() as u32;
        let (code, before_it) = self.asm.buf.bytes().split_at(body_len);
        out.bytes.extend_from_slice(before_it);
        out.bytes.extend_from_slice(code);
        let end = out.bytes.len() as u32;
        let (calls, traps) = (!self.calls.is_empty(), !self.traps.is_empty());
        let made = Made { calls, traps, reads_context: self.reads_context };
        out.functions.push(CompiledFunction {
            function: body.function,
            code: start..end,
            frameless: prologue.frameless,
            tier: Some(Tier::Baseline),
            plain: plain(body, facts, &made),
        });

        let shift = start + prologue_len;
        let traps = self.traps.iter();
        let first_trap = out.traps.len();
        out.traps.extend(traps.map(|site| TrapSite { offset: site.offset + shift, ..*site }));
        self.inline.locate(&mut out.traps[first_trap..], &mut out.inlined);
        let calls = self.calls.iter();
        out.calls.extend(
            calls.map(|site| CallSite { return_offset: site.return_offset + shift, ..*site }),
        );
        let relocations = self.relocations.iter();
        out.relocations
            .extend(relocations.map(|site| Relocation { offset: site.offset + shift, ..*site }));
        if self.options.record_operators {
            let operators = self.operators.iter();
            out.data.push(data + shift..end);
            out.operators.get_or_insert_default().extend(operators.map(|site| OperatorStart {
                offset: site.offset + shift,
                wasm_offset: self.inline.own_operator(site.wasm_offset),
            }));
        }
    }

    /// Where the local lives that an entry stands for.
    fn home_of(&self, local: u32) -> Operand {
        let locals = if self.inline.is_active { &self.inline.locals } else { &self.locals };
        match local.checked_sub(PINNED) {
            Some(number) => self.inline.pins[number as usize].operand,
            None => locals[local as usize].operand,
        }
    }

    /// Checks the rules of `value.rs`, and that every temporary is either free or in use.
    fn check(&self) {
        if !cfg!(debug_assertions) || !self.reachable {
            return;
        }
        assert_eq!((self.lookahead, self.wanted_gpr, self.hinted_home), (0, None, frame::NOWHERE));
        let (mut gprs, mut xmms) = (self.registers.free_gprs, self.registers.free_xmms);
        let window = self.stack.settled()..self.stack.len();
        assert!(window.len() <= value::WINDOW);
        for height in window {
            let entry = self.stack.get(height);
            if let Some(local) = entry.local() {
                assert_eq!(entry.operand, self.home_of(local));
                continue;
            }
            match entry.operand {
                Operand::Const(_) => {}
                Operand::Slot(place) => assert_eq!(place, self.frame.place_of(height)),
                Operand::Gpr(register) if self.registers.gprs.contains(register) => {
                    assert!(!gprs.contains(register), "{register:?} is free or used twice");
                    gprs.insert(register);
                    let is_narrow = self.registers.zero_extended.contains(register);
                    assert!(entry.ty == ValType::I32 || !is_narrow, "{register:?} is wider");
                }
                Operand::Xmm(register) if self.registers.xmms.contains(register) => {
                    assert!(!xmms.contains(register), "{register:?} is free or used twice");
                    xmms.insert(register);
                }
                Operand::Memory => {
                    assert_eq!(height + 1, self.stack.len(), "for the next operator only");
                    if let Some(index) = self.fused.index
                        && self.registers.gprs.contains(index)
                    {
                        assert!(!gprs.contains(index), "{index:?} is free or used twice");
                        gprs.insert(index);
                    }
                }
                Operand::Flags(_) | Operand::Gpr(_) | Operand::Xmm(_) => {
                    assert_eq!(height + 1, self.stack.len(), "for the next operator only");
                }
            }
        }
        let zero_extended = self.registers.zero_extended;
        assert!(zero_extended.intersect(self.registers.free_gprs).is_empty(), "it holds nothing");
        // What the window does not hold, a settled entry would have to: a settled one holds none.
        assert_eq!(gprs, self.registers.gprs, "a register is lost");
        assert_eq!(xmms, self.registers.xmms, "a register is lost");
    }
}

#[cold]
fn refused(function: u32, offset: u32) -> LoadError {
    LoadError::Unsupported {
        what: "this operator on the baseline tier".to_string(),
        function: Some(function),
        offset: u64::from(offset),
    }
}
