//! Loads and stores, and the size of a memory.
//!
//! No access is checked: every address that an i32 index and a 32-bit offset can make is reserved,
//! and what lies past the memory's end faults. So each access is one instruction, which is a trap
//! site, and its address is base + index + offset, where **the index must be zero-extended**.

use wasmparser::{MemArg, MemArgTarget};

use super::Compiler;
use super::registers::{Operand, imm32, int_type};
use crate::asm::{Alu, FloatSize, Gpr, Mem, Scale, Shift, Size};
use crate::compile::TrapSite;
use crate::compile::abi::{Place, SCRATCH, VMCTX, VmMemory};
use crate::error::TrapCode;
use crate::module::ValType;

const BASE: i32 = std::mem::offset_of!(VmMemory, base) as i32;
const LEN: i32 = std::mem::offset_of!(VmMemory, len) as i32;

/// How far an offset can reach that the hardware would take for a negative one: half of the way is
/// then added to the index.
const HALF: u64 = 1 << 31;

/// What a load or a store names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    pub memory: u32,
    pub offset: u64,
}

impl Access {
    /// The same as wasmparser reads it.
    pub fn of(memarg: &MemArg) -> Access {
        let MemArgTarget::Memory(memory) = memarg.target else {
            unreachable!("validation knows no arrays");
        };
        Access { memory, offset: memarg.offset }
    }
}

/// Where an access goes, and what it is made of besides homes and the index's own register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    pub mem: Mem,
    /// Held until the access has happened.
    temporary: Option<Gpr>,
    uses_scratch: bool,
}

/// What is known of a load that is left to the next operator: [`Operand::Memory`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Fused {
    mem: Mem,
    /// The register in its address that is not the base's home.
    pub index: Option<Gpr>,
    /// The operator that loads.
    wasm_offset: u32,
}

impl Fused {
    pub const NONE: Fused = Fused { mem: Mem::base(VMCTX, 0), index: None, wasm_offset: 0 };
}

/// The context.
impl Compiler {
    /// A field of what lies at this place. If that is behind a pointer, it is loaded into `pointer`.
    pub(super) fn field(&mut self, place: Place, field: i32, pointer: Gpr) -> Mem {
        self.reads_context = true;
        match place {
            Place::Here(offset) => Mem::base(VMCTX, offset + field),
            Place::Behind(offset) => {
                self.asm.mov_rm(Size::S64, pointer, Mem::base(VMCTX, offset));
                Mem::base(pointer, field)
            }
        }
    }

    pub(super) fn load_memory_base(&mut self, memory: u32, dst: Gpr) {
        let base = self.field(self.layout.memory(memory), BASE, dst);
        self.asm.mov_rm(Size::S64, dst, base);
    }
}

/// Addresses.
impl Compiler {
    /// The address of an access to which nothing needs to be added: it is made of a constant, or of a
    /// register that is as it must be, and the base's home. Most are.
    #[inline]
    fn ready_address(&self, access: Access, index: Operand) -> Option<Mem> {
        let base = self.memory_base.filter(|_| access.memory == 0)?;
        match index {
            Operand::Gpr(index)
                if access.offset < HALF && self.registers.zero_extended.contains(index) =>
            {
                Some(Mem::indexed(base, index, Scale::X1, access.offset as i32))
            }
            Operand::Const(bits) if bits + access.offset < HALF => {
                Some(Mem::base(base, (bits + access.offset) as i32))
            }
            _ => None,
        }
    }

    /// The address of an access whose index has been popped, and is released after it. `spare` may
    /// be overwritten until then.
    #[inline]
    pub(super) fn address(
        &mut self,
        access: Access,
        index: Operand,
        spare: Option<Gpr>,
    ) -> Address {
        match self.ready_address(access, index) {
            Some(mem) => Address { mem, temporary: None, uses_scratch: false },
            None => self.make_address(access, index, spare),
        }
    }

    /// Any address.
    #[inline(never)]
    fn make_address(
        &mut self,
        Access { memory, mut offset }: Access,
        index: Operand,
        spare: Option<Gpr>,
    ) -> Address {
        let home = self.memory_base.filter(|_| memory == 0);
        let index = match index {
            Operand::Const(bits) => {
                offset += bits;
                None
            }
            _ => Some(index),
        };
        let mut temporary = None;
        let register = match index {
            None if offset < HALF => None,
            Some(Operand::Gpr(register))
                if offset < HALF && self.registers.zero_extended.contains(register) =>
            {
                Some(register)
            }
            _ => {
                let register = match (index, spare) {
                    (Some(Operand::Gpr(own)), _) if self.is_temporary(Operand::Gpr(own)) => own,
                    (_, Some(spare)) => spare,
                    _ if home.is_some() => SCRATCH,
                    _ => *temporary.insert(self.take_gpr()),
                };
                match index {
                    Some(index) => self.load_zero_extended(register, index),
                    None => {
                        self.asm.mov_ri(Size::S64, register, offset.cast_signed());
                        offset = 0;
                    }
                }
                if offset >= HALF {
                    self.asm.alu_ri(Alu::Sub, Size::S64, register, i32::MIN);
                    offset -= HALF;
                }
                Some(register)
            }
        };
        let base = home.unwrap_or(SCRATCH);
        if home.is_none() {
            self.load_memory_base(memory, base);
        }
        let mem = match register {
            Some(index) => Mem::indexed(base, index, Scale::X1, offset as i32),
            None => Mem::base(base, offset as i32),
        };
        let uses_scratch = base == SCRATCH || register == Some(SCRATCH);
        Address { mem, temporary, uses_scratch }
    }

    pub(super) fn release_address(&mut self, address: Address) {
        if let Some(temporary) = address.temporary {
            self.release(Operand::Gpr(temporary));
        }
    }

    /// The next instruction, and it alone, accesses a memory.
    pub(super) fn note_access(&mut self) {
        self.traps.push(TrapSite {
            offset: self.asm.offset(),
            code: TrapCode::MemoryOutOfBounds,
            wasm_offset: self.operator,
        });
    }
}

/// Loads that the next operator makes, in the instruction that uses the value. Nothing is emitted
/// in between, so nothing else happens first.
impl Compiler {
    /// Leaves the load to the next operator if that takes operands from memory, and if the address
    /// needs nothing but registers that are as they must be already.
    fn fuse_load(&mut self, ty: ValType, access: Access) -> bool {
        if !self.wants_memory(ty) {
            return false;
        }
        let index = self.operand_at(self.stack.len() - 1);
        let Some(mem) = self.ready_address(access, index) else { return false };
        let index = match index {
            Operand::Gpr(index) => Some(index),
            _ => None,
        };
        self.stack.pop();
        self.fused = Fused { mem, index, wasm_offset: self.operator };
        self.push(ty, Operand::Memory);
        true
    }

    /// What the next instruction, and it alone, loads: it was left to this operator.
    pub(super) fn fused_load(&mut self) -> Mem {
        self.traps.push(TrapSite {
            offset: self.asm.offset(),
            code: TrapCode::MemoryOutOfBounds,
            wasm_offset: self.fused.wasm_offset,
        });
        self.fused.mem
    }
}

/// Loads and stores.
impl Compiler {
    /// An integer, extended with zeros.
    pub(super) fn load_zeros(&mut self, to: Size, from: Size, access: Access) {
        if to == from && self.fuse_load(int_type(to), access) {
            return;
        }
        let index = self.pop();
        let dst = self.gpr_for_result(index, Operand::Const(0));
        let address = self.address(access, index, Some(dst));
        self.note_access();
        self.asm.movzx_rm(dst, address.mem, from);
        self.release_address(address);
        self.finish_unary(int_type(to), dst, index);
    }

    /// An integer, extended with its sign.
    pub(super) fn load_sign(&mut self, to: Size, from: Size, access: Access) {
        let index = self.pop();
        let dst = self.gpr_for_result(index, Operand::Const(0));
        let address = self.address(access, index, Some(dst));
        self.note_access();
        self.asm.movsx_rm(to, dst, address.mem, from);
        self.release_address(address);
        self.finish_unary(int_type(to), dst, index);
    }

    pub(super) fn load_float(&mut self, size: FloatSize, access: Access) {
        let ty = if size == FloatSize::F32 { ValType::F32 } else { ValType::F64 };
        if self.fuse_load(ty, access) {
            return;
        }
        let index = self.pop();
        let dst = self.xmm_for_result(Operand::Const(0), Operand::Const(0));
        let address = self.address(access, index, None);
        self.note_access();
        self.asm.movs_rm(size, dst, address.mem);
        self.release_address(address);
        self.release(index);
        self.push_xmm(ty, dst);
    }

    /// The low bits of any number.
    pub(super) fn store_low(&mut self, width: Size, access: Access) {
        let value = self.pop();
        let index = self.pop();
        let address = self.address(access, index, None);
        self.store_at(width, address, value);
        self.release_address(address);
        self.release(index);
        self.release(value);
    }

    /// One instruction that stores, and what it needs.
    pub(super) fn store_at(&mut self, width: Size, address: Address, value: Operand) {
        match value {
            Operand::Const(bits) if imm32(width, bits).is_some() => {
                self.note_access();
                self.asm.mov_mi(width, address.mem, bits as i32);
            }
            Operand::Gpr(register) => {
                self.note_access();
                self.asm.mov_mr(width, address.mem, register);
            }
            Operand::Xmm(register) => {
                let size = if width == Size::S32 { FloatSize::F32 } else { FloatSize::F64 };
                self.note_access();
                self.asm.movs_mr(size, address.mem, register);
            }
            Operand::Const(_) | Operand::Slot(_) | Operand::Flags(_) | Operand::Memory => {
                let register = if address.uses_scratch { self.take_gpr() } else { SCRATCH };
                self.load_gpr_keeping_flags(width.max(Size::S32), register, value);
                self.note_access();
                self.asm.mov_mr(width, address.mem, register);
                self.release(Operand::Gpr(register));
            }
        }
    }

    pub(super) fn memory_size(&mut self, memory: u32) {
        let dst = self.gpr_for_any_result();
        let len = self.field(self.layout.memory(memory), LEN, dst);
        self.asm.mov_rm(Size::S64, dst, len);
        self.asm.shift_ri(Shift::Shr, Size::S64, dst, 16);
        self.push_gpr(ValType::I32, dst);
    }
}
