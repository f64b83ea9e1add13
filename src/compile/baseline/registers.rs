//! Temporaries: which registers are free, and how operands get into and out of them.
//!
//! Owns the free sets and every move between the value stack, registers and slots. Registers that
//! are the home of a local are not its business: as long as they are, they are neither free nor released.
//!
//! An operator pops its operands, works, releases them and pushes its result. A popped operand is
//! no longer on the stack, so nothing that happens in between can evict it.

use super::Compiler;
pub(super) use super::value::Operand;
use super::value::{Entry, WINDOW};
use crate::asm::{FloatSize, Gpr, GprSet, Mem, Size, Xmm, XmmSet};
use crate::compile::abi::{FLOAT_SCRATCH, SCRATCH};
use crate::module::ValType;

/// The registers that hold temporaries in this function.
#[derive(Debug)]
pub(super) struct Registers {
    /// Those that are no local's home and have no fixed role.
    pub gprs: GprSet,
    pub xmms: XmmSet,
    /// Those of them that hold nothing.
    pub free_gprs: GprSet,
    pub free_xmms: XmmSet,
    /// Those that hold an i32 whose upper half is known to be zero, as every instruction of 32
    /// bits leaves it: temporaries, and homes of i32 locals. The upper half of any other is
    /// undefined, and an address made of it would be anywhere: see
    /// [`load_zero_extended`](Compiler::load_zero_extended).
    pub zero_extended: GprSet,
    /// Where the first float result of a block travels: one of `xmms`.
    pub merge_xmm: Xmm,
}

/// Where the first integer result of a block travels. Never a home.
pub(super) const MERGE_GPR: Gpr = Gpr::Rax;

impl Registers {
    /// For a function that has these registers for temporaries.
    pub fn new(gprs: GprSet, xmms: XmmSet) -> Registers {
        debug_assert!(gprs.contains(MERGE_GPR));
        Registers {
            gprs,
            xmms,
            free_gprs: gprs,
            free_xmms: xmms,
            zero_extended: GprSet::EMPTY,
            merge_xmm: FLOAT_SCRATCH,
        }
    }

    /// When it is known which are set aside to begin with, and before any block is opened.
    pub fn choose_merge_xmm(&mut self) {
        self.merge_xmm = self.xmms.first().unwrap_or(FLOAT_SCRATCH);
    }

    /// The register is free again, if it is one for temporaries.
    // Without a branch: whether it is, or somebody's home, is hard to foresee.
    #[inline]
    pub fn release_gpr(&mut self, register: Gpr) {
        let released = self.gprs.intersect(GprSet::EMPTY.with(register));
        self.free_gprs = self.free_gprs.union(released);
        self.zero_extended = self.zero_extended.minus(released);
    }

    /// As [`Registers::release_gpr`].
    #[inline]
    pub fn release_xmm(&mut self, register: Xmm) {
        let released = self.xmms.intersect(XmmSet::EMPTY.with(register));
        self.free_xmms = self.free_xmms.union(released);
    }

    /// The register is none for temporaries any more.
    pub fn set_aside(&mut self, operand: Operand) {
        match operand {
            Operand::Gpr(register) => {
                self.gprs.remove(register);
                self.free_gprs.remove(register);
            }
            Operand::Xmm(register) => {
                self.xmms.remove(register);
                self.free_xmms.remove(register);
            }
            _ => {}
        }
    }

    /// It is one again, and not free yet.
    pub fn take_back(&mut self, operand: Operand) {
        match operand {
            Operand::Gpr(register) => self.gprs.insert(register),
            Operand::Xmm(register) => self.xmms.insert(register),
            _ => {}
        }
    }

    /// No operand is in a register any more.
    pub fn free_all(&mut self) {
        self.free_gprs = self.gprs;
        self.free_xmms = self.xmms;
        self.zero_extended = self.zero_extended.minus(self.gprs);
    }
}

/// The frame's slot at this distance from rbp.
#[inline]
pub(super) fn slot(offset: isize) -> Mem {
    Mem::base(Gpr::Rbp, offset as i32)
}

/// How wide a value of the type is.
#[inline]
pub(super) fn size_of(ty: ValType) -> Size {
    match ty {
        ValType::I32 | ValType::F32 => Size::S32,
        _ => Size::S64,
    }
}

/// The precision of a float type.
#[inline]
pub(super) fn float_size_of(ty: ValType) -> FloatSize {
    if ty == ValType::F32 { FloatSize::F32 } else { FloatSize::F64 }
}

/// The integer type of this width.
#[inline]
pub(super) fn int_type(size: Size) -> ValType {
    if size == Size::S32 { ValType::I32 } else { ValType::I64 }
}

/// Constants as immediates.
#[inline]
pub(super) fn imm32(size: Size, bits: u64) -> Option<i32> {
    match size {
        Size::S64 => i32::try_from(bits.cast_signed()).ok(),
        _ => Some(bits as i32),
    }
}

/// Pushing and popping.
impl Compiler {
    /// Pushes what stands for no local.
    #[inline]
    pub(super) fn push(&mut self, ty: ValType, operand: Operand) {
        self.stack.push(ty, operand);
        self.keep_window();
    }

    /// Pushes what stands for this local.
    #[inline(always)]
    pub(super) fn push_local(&mut self, local: u32) {
        self.stack.push_entry(&self.locals[local as usize]);
        self.keep_window();
    }

    /// After each push.
    #[inline]
    pub(super) fn keep_window(&mut self) {
        if self.stack.len() - self.stack.settled() > WINDOW {
            self.settle_deepest();
        }
    }

    #[cold]
    fn settle_deepest(&mut self) {
        self.settle(self.stack.settled() + 1);
    }

    #[inline]
    pub(super) fn push_const(&mut self, ty: ValType, bits: u64) {
        self.push(ty, Operand::Const(bits));
    }

    /// Pushes what an operator left in this register: a temporary, or the home of the local that
    /// the next operator sets (see `hints.rs`). If it is an i32, an instruction of 32 bits wrote it.
    #[inline]
    pub(super) fn push_gpr(&mut self, ty: ValType, register: Gpr) {
        if self.registers.gprs.contains(register) {
            debug_assert!(!self.registers.free_gprs.contains(register));
            if ty == ValType::I32 {
                self.registers.zero_extended.insert(register);
            } else {
                self.registers.zero_extended.remove(register);
            }
            self.push(ty, Operand::Gpr(register));
        } else {
            self.push_hinted(ty);
        }
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Operand {
        self.stack.pop().operand
    }

    /// Where the entry at this height is.
    #[inline]
    pub(super) fn operand_at(&self, height: usize) -> Operand {
        self.stack.get(height).operand
    }

    /// The operand's register is free again, if it was a temporary.
    #[inline]
    pub(super) fn release(&mut self, operand: Operand) {
        match operand {
            Operand::Gpr(register) => self.registers.release_gpr(register),
            Operand::Xmm(register) => self.registers.release_xmm(register),
            Operand::Memory => {
                if let Some(index) = self.fused.index.take() {
                    self.release(Operand::Gpr(index));
                }
            }
            _ => {}
        }
    }

    /// Whether an instruction with this operand reads the register.
    #[inline]
    pub(super) fn reads(&self, operand: Operand, register: Gpr) -> bool {
        match operand {
            Operand::Gpr(other) => other == register,
            Operand::Memory => self.fused.index == Some(register),
            _ => false,
        }
    }

    /// The operand, for the next instruction, if it is in memory of either kind.
    #[inline]
    pub(super) fn in_memory(&mut self, operand: Operand) -> Option<Mem> {
        match operand {
            Operand::Slot(offset) => Some(slot(offset)),
            Operand::Memory => Some(self.fused_load()),
            _ => None,
        }
    }

    /// Whether the operand is a temporary, which an operator may overwrite.
    #[inline]
    pub(super) fn is_temporary(&self, operand: Operand) -> bool {
        match operand {
            Operand::Gpr(register) => self.registers.gprs.contains(register),
            Operand::Xmm(register) => self.registers.xmms.contains(register),
            _ => false,
        }
    }
}

/// Taking registers. None of these touches the flags. Taking may spill, so it must not happen
/// between a jump and its label: one path would lack the store.
impl Compiler {
    /// A register for a temporary; evicts the deepest one of the stack if none is free.
    #[inline]
    pub(super) fn take_gpr(&mut self) -> Gpr {
        if self.registers.free_gprs.is_empty() {
            self.evict_gpr();
        }
        let register = self.registers.free_gprs.first().unwrap_or(SCRATCH);
        debug_assert!(register != SCRATCH, "an operator holds every register");
        self.registers.free_gprs.remove(register);
        register
    }

    #[inline]
    pub(super) fn take_xmm(&mut self) -> Xmm {
        if self.registers.free_xmms.is_empty() {
            self.evict_xmm();
        }
        let register = self.registers.free_xmms.first().unwrap_or(FLOAT_SCRATCH);
        debug_assert!(register != FLOAT_SCRATCH, "an operator holds every register");
        self.registers.free_xmms.remove(register);
        register
    }

    #[cold]
    fn evict_gpr(&mut self) {
        if let Some(deepest) = self
            .stack
            .find(|entry| entry.is_temporary() && matches!(entry.operand, Operand::Gpr(_)))
        {
            self.spill(deepest);
        }
    }

    #[cold]
    fn evict_xmm(&mut self) {
        if let Some(deepest) = self
            .stack
            .find(|entry| entry.is_temporary() && matches!(entry.operand, Operand::Xmm(_)))
        {
            self.spill(deepest);
        }
    }

    /// Takes this very register, which no popped operand may hold: an entry in it moves away, but
    /// not to one of `avoided`, which are about to be taken too.
    pub(super) fn take_this_gpr(&mut self, register: Gpr, avoided: GprSet) {
        debug_assert!(self.registers.gprs.contains(register), "a home is not to be had");
        if !self.registers.free_gprs.contains(register) {
            let holder = self.stack.find(|entry| entry.operand == Operand::Gpr(register));
            debug_assert!(holder.is_some(), "an operand holds {register:?}");
            if let Some(holder) = holder {
                match self.registers.free_gprs.minus(avoided).first() {
                    Some(other) => {
                        self.registers.free_gprs.remove(other);
                        self.asm.mov_rr(Size::S64, other, register);
                        self.stack.set(holder, Operand::Gpr(other));
                        self.registers.free_gprs.insert(register);
                        if self.registers.zero_extended.contains(register) {
                            self.registers.zero_extended.remove(register);
                            self.registers.zero_extended.insert(other);
                        }
                    }
                    None => self.spill(holder),
                }
            }
        }
        self.registers.free_gprs.remove(register);
    }
}

/// Moving values. None of these touches the flags, except where it says so.
impl Compiler {
    /// Loads an operand of integer class. Clobbers the flags.
    #[inline]
    pub(super) fn load_gpr(&mut self, size: Size, dst: Gpr, src: Operand) {
        match src {
            Operand::Const(0) => self.asm.zero(dst),
            Operand::Gpr(src) if src == dst => {}
            _ => self.load_gpr_keeping_flags(size, dst, src),
        }
    }

    pub(super) fn load_gpr_keeping_flags(&mut self, size: Size, dst: Gpr, src: Operand) {
        match src {
            Operand::Gpr(src) if src == dst => {}
            Operand::Gpr(src) => self.asm.mov_rr(size, dst, src),
            Operand::Slot(offset) => self.asm.mov_rm(size, dst, slot(offset)),
            Operand::Const(bits) => self.asm.mov_ri(size, dst, bits.cast_signed()),
            Operand::Flags(cond) => {
                self.asm.setcc(cond, dst);
                self.asm.movzx_rr(dst, dst, Size::S8);
            }
            Operand::Memory => {
                let mem = self.fused_load();
                self.asm.mov_rm(size, dst, mem);
            }
            Operand::Xmm(_) => debug_assert!(false, "a float in an integer's place"),
        }
    }

    /// Loads an i32 with zeros above it: a move of 32 bits clears the upper half, even onto itself.
    pub(super) fn load_zero_extended(&mut self, dst: Gpr, src: Operand) {
        match src {
            Operand::Gpr(src) if src != dst || !self.registers.zero_extended.contains(src) => {
                self.asm.mov_rr(Size::S32, dst, src);
            }
            _ => self.load_gpr_keeping_flags(Size::S32, dst, src),
        }
    }

    /// Loads an operand as the result of an operator that changes nothing.
    pub(super) fn load_unchanged(&mut self, size: Size, dst: Gpr, src: Operand) {
        match size {
            Size::S32 => self.load_zero_extended(dst, src),
            _ => self.load_gpr(size, dst, src),
        }
    }

    /// Loads an operand of float class. Constants go through the scratch register.
    pub(super) fn load_xmm(&mut self, ty: ValType, dst: Xmm, src: Operand) {
        if ty == ValType::V128 {
            return self.load_vector(dst, src);
        }
        match src {
            Operand::Xmm(src) if src == dst => {}
            Operand::Xmm(src) => self.asm.movaps_rr(dst, src),
            Operand::Slot(offset) => self.asm.movs_rm(float_size_of(ty), dst, slot(offset)),
            Operand::Memory => {
                let mem = self.fused_load();
                self.asm.movs_rm(float_size_of(ty), dst, mem);
            }
            Operand::Const(0) => self.asm.xorps_rr(dst, dst),
            Operand::Const(bits) => {
                self.asm.mov_ri(size_of(ty), SCRATCH, bits.cast_signed());
                self.asm.movd_xr(size_of(ty), dst, SCRATCH);
            }
            Operand::Gpr(_) | Operand::Flags(_) => {
                debug_assert!(false, "an integer in a float's place");
            }
        }
    }

    /// The operand in a register: where it is, or else the scratch register.
    #[inline]
    pub(super) fn gpr_or_scratch(&mut self, size: Size, operand: Operand) -> Gpr {
        match operand {
            Operand::Gpr(register) => register,
            _ => {
                self.load_gpr_keeping_flags(size, SCRATCH, operand);
                SCRATCH
            }
        }
    }

    #[inline]
    pub(super) fn xmm_or_scratch(&mut self, ty: ValType, operand: Operand) -> Xmm {
        match operand {
            Operand::Xmm(register) => register,
            _ => {
                self.load_xmm(ty, FLOAT_SCRATCH, operand);
                FLOAT_SCRATCH
            }
        }
    }

    /// Stores an operand of any type to memory.
    pub(super) fn store(&mut self, ty: ValType, dst: Mem, src: Operand) {
        if ty == ValType::V128 {
            return self.store_vector(dst, src);
        }
        let size = size_of(ty);
        match src {
            Operand::Gpr(src) => self.asm.mov_mr(size, dst, src),
            Operand::Xmm(src) => self.asm.movs_mr(float_size_of(ty), dst, src),
            Operand::Const(bits) if imm32(size, bits).is_some() => {
                self.asm.mov_mi(size, dst, bits as i32);
            }
            Operand::Const(_) | Operand::Slot(_) | Operand::Flags(_) | Operand::Memory => {
                self.load_gpr_keeping_flags(size, SCRATCH, src);
                self.asm.mov_mr(size, dst, SCRATCH);
            }
        }
    }

    /// Moves the entry at this height to its canonical slot; frees its register.
    pub(super) fn spill(&mut self, height: usize) {
        let entry = self.stack.get(height);
        if entry.is_spilled() {
            return;
        }
        let offset = self.frame.operand_slot(height);
        self.store(entry.ty, slot(offset), entry.operand);
        self.release(entry.operand);
        self.stack.set(height, Operand::Slot(offset));
    }

    /// Settles all entries below this height: constants stay, the others are spilled.
    pub(super) fn settle(&mut self, height: usize) {
        for at in self.stack.settled()..height {
            if !matches!(self.stack.get(at).operand, Operand::Const(_)) {
                self.spill(at);
            }
        }
        if height > self.stack.settled() {
            self.stack.set_settled(height);
        }
    }

    /// Spills all entries from this height up, constants too.
    pub(super) fn spill_from(&mut self, height: usize) {
        for at in height..self.stack.len() {
            self.spill(at);
        }
    }

    /// Copies the entries that stand for this local, which is about to be written.
    #[inline]
    pub(super) fn detach_local(&mut self, local: u32) {
        while let Some(height) = self.stack.find_local(local) {
            self.detach_entry(height);
        }
    }

    #[cold]
    fn detach_entry(&mut self, height: usize) {
        let Entry { ty, operand, .. } = self.stack.get(height);
        if ty.is_vector_class() {
            match self.registers.free_xmms.first() {
                Some(register) => {
                    self.registers.free_xmms.remove(register);
                    self.load_xmm(ty, register, operand);
                    self.stack.set(height, Operand::Xmm(register));
                }
                None => self.spill(height),
            }
        } else {
            match self.registers.free_gprs.first() {
                Some(register) => {
                    self.registers.free_gprs.remove(register);
                    self.load_gpr_keeping_flags(size_of(ty), register, operand);
                    self.stack.set(height, Operand::Gpr(register));
                    if ty == ValType::I32 {
                        self.registers.zero_extended.insert(register);
                    }
                }
                None => self.spill(height),
            }
        }
    }
}
