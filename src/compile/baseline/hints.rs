//! Looking ahead by one operator: where a result had best be put.
//!
//! Owns what is known of the next operator. Only those without immediates or with a lane, `global.get`
//! and loads ask; for all others the driver shows none.

use super::Compiler;
use super::decode::Code;
use super::frame::NOWHERE;
use super::registers::Operand;
use crate::asm::{Cond, Gpr, Size, Xmm};
use crate::compile::abi::INT_PARAMS;
use crate::module::{ModuleInfo, ValType};

// Opcodes of the binary format.
const IF: u8 = 0x04;
const END: u8 = 0x0B;
const BR_IF: u8 = 0x0D;
const RETURN: u8 = 0x0F;
const CALL: u8 = 0x10;
const SELECT: u8 = 0x1B;
const TYPED_SELECT: u8 = 0x1C;
pub(super) const LOCAL_GET: u8 = 0x20;
pub(super) const LOCAL_SET: u8 = 0x21;
pub(super) const LOCAL_TEE: u8 = 0x22;
const I32_EQZ: u8 = 0x45;
const I64_EQZ: u8 = 0x50;
const REF_IS_NULL: u8 = 0xD1;
/// The prefix of vector operators.
const VECTOR: u8 = 0xFD;

/// Where the immediate that starts here ends. The body is valid, so it does end.
fn behind_immediate(code: Code<'_>, at: usize) -> usize {
    at + 1 + code.from(at).iter().take_while(|byte| **byte & 0x80 != 0).count()
}

/// Where the vector operator ends whose opcode, behind the prefix, starts here.
fn behind_vector(code: Code<'_>, at: usize) -> usize {
    let end = behind_immediate(code, at);
    let memory = |at| behind_immediate(code, behind_immediate(code, at));
    match immediate(code.ahead(at - 1)) {
        // Loads and stores; of lanes, too.
        0..=0x0B | 0x5C | 0x5D => memory(end),
        0x54..=0x5B => memory(end) + 1,
        // Constants and the shuffle.
        0x0C | 0x0D => end + 16,
        // Lanes.
        0x15..=0x22 => end + 1,
        _ => end,
    }
}

/// The index behind an opcode, in at most five bytes of seven bits each.
fn immediate(operator: u64) -> u32 {
    let mut bytes = operator;
    let mut index = 0;
    for shift in [0, 7, 14, 21, 28] {
        bytes >>= 8;
        index |= (bytes as u32 & 0x7F) << shift;
        if bytes & 0x80 == 0 {
            break;
        }
    }
    index
}

impl Compiler {
    /// Notes what the operator that has these eight bytes would like.
    #[inline]
    pub(super) fn look_ahead(&mut self, next: u64, module: &ModuleInfo) {
        self.lookahead = next;
        match self.lookahead as u8 {
            LOCAL_SET | LOCAL_TEE => {
                self.hinted_local = immediate(self.lookahead);
                self.hinted_home = self.locals[self.hinted_local as usize].operand;
            }
            CALL => self.look_at_call(module),
            _ => {}
        }
    }

    /// Notes where the next operator, a call, wants its last argument.
    fn look_at_call(&mut self, module: &ModuleInfo) {
        let params = module.function_type(immediate(self.lookahead)).params();
        let integers = params.iter().filter(|ty| !ty.is_vector_class()).count();
        if params.last().is_some_and(|ty| !ty.is_vector_class()) {
            self.wanted_gpr = INT_PARAMS.get(integers - 1).copied();
        }
    }

    /// Looks behind the operator that is about to be read by wasmparser's reader.
    pub(super) fn look_behind_rare(&mut self, code: Code<'_>, module: &ModuleInfo) {
        let behind = code.position() + 1;
        match code.opcode() {
            Some(REF_IS_NULL) => self.look_ahead(code.ahead(behind), module),
            Some(VECTOR) => self.look_ahead(code.ahead(behind_vector(code, behind)), module),
            _ => {}
        }
    }

    /// Forgets what was known of the next operator: it is for the one that asked for it alone.
    #[inline]
    pub(super) fn look_away(&mut self) {
        self.lookahead = 0;
        self.wanted_gpr = None;
        self.hinted_home = NOWHERE;
    }

    /// Whether the next operator takes an i32 from the flags.
    #[inline]
    fn wants_flags(&self) -> bool {
        matches!(self.lookahead as u8, BR_IF | IF | SELECT | TYPED_SELECT | I32_EQZ)
    }

    /// Whether the next operator asks only if an integer of this width is zero.
    #[inline]
    pub(super) fn wants_zero_flag(&self, size: Size) -> bool {
        match size {
            Size::S64 => self.lookahead as u8 == I64_EQZ,
            _ => self.wants_flags(),
        }
    }

    /// Whether the next operator takes an operand of this type that is still to be loaded.
    pub(super) fn wants_memory(&self, ty: ValType) -> bool {
        let next = self.lookahead as u8;
        match ty {
            ValType::I32 => matches!(next, 0x45..=0x4F | 0x6A..=0x6C | 0x71..=0x73),
            ValType::I64 => matches!(next, 0x50..=0x5A | 0x7C..=0x7E | 0x83..=0x85),
            ValType::F32 => matches!(next, 0x5B..=0x60 | 0x92..=0x95),
            ValType::F64 => matches!(next, 0x61..=0x66 | 0xA0..=0xA3),
            _ => false,
        }
    }

    /// Whether the next operator ends the function with the top of the stack as its only result.
    #[inline]
    fn wants_result(&self) -> bool {
        self.signature.results.len() == 1
            && match self.lookahead as u8 {
                RETURN => true,
                END => self.control.len() == 1,
                _ => false,
            }
    }

    /// A register for the result of a two-operand instruction, which overwrites its left operand.
    ///
    /// That is the home of the local that the next operator sets; else the left operand's
    /// register, if it is a temporary; else a fresh one. Never one that holds `right`, unless
    /// `left` is there too: `left` can be loaded into the result and `right` is still whole.
    #[inline]
    pub(super) fn gpr_for_result(&mut self, left: Operand, right: Operand) -> Gpr {
        if let Some(home) = self.hinted_gpr()
            && (!self.reads(right, home) || left == Operand::Gpr(home))
        {
            return home;
        }
        match left {
            Operand::Gpr(register) if self.registers.gprs.contains(register) => register,
            _ => self.take_wanted_gpr(),
        }
    }

    /// A free register: the one in which the next operator passes the value on, if it calls.
    #[inline]
    fn take_wanted_gpr(&mut self) -> Gpr {
        match self.wanted_gpr {
            Some(register) if self.registers.free_gprs.contains(register) => {
                self.registers.free_gprs.remove(register);
                register
            }
            _ => self.take_gpr(),
        }
    }

    /// A register for the result of an instruction that may overwrite what it reads.
    #[inline]
    pub(super) fn gpr_for_any_result(&mut self) -> Gpr {
        match self.hinted_gpr() {
            Some(home) => home,
            None => self.take_gpr(),
        }
    }

    /// The home of the local that the next operator sets, if it is a general register. Copies
    /// what still stands for the local: it is written now.
    #[inline]
    fn hinted_gpr(&mut self) -> Option<Gpr> {
        let Operand::Gpr(home) = self.hinted_home else { return None };
        self.detach_local(self.hinted_local);
        Some(home)
    }

    /// Like [`gpr_for_result`](Self::gpr_for_result). A float that the function is about to return
    /// may take the place of a local: no local is read any more.
    #[inline]
    pub(super) fn xmm_for_result(&mut self, left: Operand, right: Operand) -> Xmm {
        if let Some(place) = self.hinted_xmm()
            && (right != Operand::Xmm(place) || left == Operand::Xmm(place))
        {
            return place;
        }
        match left {
            Operand::Xmm(register) if self.registers.xmms.contains(register) => register,
            _ => self.take_xmm(),
        }
    }

    #[inline]
    fn hinted_xmm(&mut self) -> Option<Xmm> {
        match self.hinted_home {
            Operand::Xmm(home) => {
                self.detach_local(self.hinted_local);
                return Some(home);
            }
            NOWHERE => {}
            _ => return None,
        }
        let is_home = !self.registers.xmms.contains(Xmm::Xmm0);
        (is_home && self.wants_result()).then_some(Xmm::Xmm0)
    }

    /// Whether the operand is in the home of the local that the next operator sets.
    #[inline]
    pub(super) fn is_hinted_home(&self, operand: Operand) -> bool {
        matches!(operand, Operand::Gpr(_) | Operand::Xmm(_)) && operand == self.hinted_home
    }

    /// The slot that the operand is in, if it is the home of the local that the next operator
    /// sets: then an instruction may change it in memory.
    #[inline]
    pub(super) fn hinted_slot(&mut self, operand: Operand) -> Option<isize> {
        let Operand::Slot(offset) = operand else { return None };
        if operand != self.hinted_home {
            return None;
        }
        self.detach_local(self.hinted_local);
        Some(offset)
    }

    /// Pushes the result that was put where the next operator wants it: it stands for the local,
    /// so that setting the local finds nothing left to do.
    pub(super) fn push_hinted(&mut self, ty: ValType) {
        match self.hinted_home {
            NOWHERE => self.push(ty, Operand::Xmm(Xmm::Xmm0)),
            _ => self.push_local(self.hinted_local),
        }
    }

    /// Pushes an i32 that is 1 if the condition holds on the flags as they are now.
    pub(super) fn push_condition(&mut self, cond: Cond) {
        if self.wants_flags() {
            self.push(ValType::I32, Operand::Flags(cond));
        } else {
            let register = self.gpr_for_any_result();
            self.load_gpr_keeping_flags(Size::S32, register, Operand::Flags(cond));
            self.push_gpr(ValType::I32, register);
        }
    }
}
