//! Single lanes, and the order of lanes.

use super::super::Compiler;
use super::super::registers::{Operand, size_of, slot};
use super::operands::NONE;
use crate::asm::vector::*;
use crate::asm::{FloatSize, Mem, Size, VectorOp, VectorRm, Xmm};
use crate::compile::abi::{FLOAT_SCRATCH, SCRATCH};
use crate::module::ValType;

/// What the lanes of a vector are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lanes {
    I8,
    I16,
    I32,
    I64,
    F32,
    F64,
}

impl Lanes {
    /// The type of a lane as an operand.
    fn ty(self) -> ValType {
        match self {
            Lanes::I8 | Lanes::I16 | Lanes::I32 => ValType::I32,
            Lanes::I64 => ValType::I64,
            Lanes::F32 => ValType::F32,
            Lanes::F64 => ValType::F64,
        }
    }

    fn size(self) -> Size {
        match self {
            Lanes::I8 => Size::S8,
            Lanes::I16 => Size::S16,
            Lanes::I32 | Lanes::F32 => Size::S32,
            Lanes::I64 | Lanes::F64 => Size::S64,
        }
    }

    /// The instructions that take a lane out and put one in. Those of floats are not used.
    fn move_ops(self) -> (VectorOp, VectorOp) {
        match self.size() {
            Size::S8 => (PEXTRB, PINSRB),
            Size::S16 => (PEXTRW, PINSRW),
            Size::S32 => (PEXTRD, PINSRD),
            Size::S64 => (PEXTRQ, PINSRQ),
        }
    }
}

/// `pshufd`: the lowest 32 or 64 bits, everywhere.
const LOWEST_32: u8 = 0;
const LOWEST_64: u8 = 0b01_00_01_00;
/// `pshufd`: the upper half, twice.
const UPPER_HALF: u8 = 0b11_10_11_10;
/// `pshufb`: a lane of zeros.
const NO_LANE: u8 = 0x80;

/// Lanes and operands of other types.
impl Compiler {
    pub(super) fn extract_lane(&mut self, lanes: Lanes, lane: u8, is_signed: bool) {
        let (ty, size) = (lanes.ty(), lanes.size());
        let operand = self.pop_operand();
        if let Operand::Const(number) = operand {
            let bits = (self.constant_value(number) >> (u32::from(lane) * size.bits())) as u64;
            let unused = 64 - size.bits();
            let bits = match is_signed {
                true => u64::from(((bits << unused).cast_signed() >> unused) as u32),
                false => bits << unused >> unused,
            };
            return self.push_const(ty, bits);
        }
        let place = |offset: isize| slot(offset + isize::from(lane) * size.bytes() as isize);
        if ty.is_vector_class() {
            let dst = self.vector_result(operand, NONE);
            match operand {
                Operand::Slot(offset) => {
                    let float = if ty == ValType::F32 { FloatSize::F32 } else { FloatSize::F64 };
                    self.asm.movs_rm(float, dst, place(offset));
                }
                _ if lane == 0 => self.load_vector(dst, operand),
                _ => {
                    let order = if ty == ValType::F32 { lane } else { UPPER_HALF };
                    self.v_unary(PSHUFD, dst, operand, Some(order));
                }
            }
            return self.finish_float(ty, dst, operand, NONE);
        }
        let dst = self.gpr_for_any_result();
        match operand {
            Operand::Slot(offset) if is_signed => {
                self.asm.movsx_rm(Size::S32, dst, place(offset), size);
            }
            Operand::Slot(offset) if size < Size::S32 => {
                self.asm.movzx_rm(dst, place(offset), size);
            }
            Operand::Slot(offset) => self.asm.mov_rm(size, dst, place(offset)),
            _ => {
                let source = self.xmm_or_scratch(ValType::V128, operand);
                if lane == 0 && size >= Size::S32 {
                    self.asm.movd_rx(size, dst, source);
                } else {
                    self.asm.vector_extract(lanes.move_ops().0, dst, source, lane);
                }
                if is_signed {
                    self.asm.movsx_rr(Size::S32, dst, dst, size);
                }
            }
        }
        self.release(operand);
        self.push_gpr(ty, dst);
    }

    pub(super) fn replace_lane(&mut self, lanes: Lanes, lane: u8) {
        let value = self.pop_operand();
        let vector = self.pop_operand();
        let dst = self.vector_result(vector, value);
        let a = self.left_vector(dst, vector);
        match lanes {
            Lanes::F32 => {
                let value = match value {
                    Operand::Slot(offset) => VectorRm::Mem(slot(offset)),
                    _ => self.xmm_or_scratch(ValType::F32, value).into(),
                };
                self.v_imm(INSERTPS, dst, a, value, lane << 4);
            }
            Lanes::F64 => {
                // A slot holds no more than the float: no instruction may read 16 bytes there.
                let value = self.xmm_or_scratch(ValType::F64, value);
                let op = if lane == 0 { MOVSD } else { PUNPCKLQDQ };
                self.v(op, dst, a, value);
            }
            _ => {
                let op = lanes.move_ops().1;
                match value {
                    Operand::Slot(offset) => {
                        self.v_imm(op, dst, a, VectorRm::Mem(slot(offset)), lane);
                    }
                    _ => {
                        let value = self.gpr_or_scratch(size_of(lanes.ty()), value);
                        self.v_insert(op, dst, a, value, lane);
                    }
                }
            }
        }
        self.finish_vector(dst, vector, value);
    }

    /// The lane everywhere.
    pub(super) fn splat_lanes(&mut self, lanes: Lanes) {
        let size = lanes.size();
        let operand = self.pop_operand();
        if let Operand::Const(bits) = operand {
            let lane = u128::from(bits << (64 - size.bits()) >> (64 - size.bits()));
            let value = (0..128 / size.bits()).fold(0, |v, i| v | lane << (i * size.bits()));
            return self.push_vector_const(value);
        }
        let dst = self.vector_result(operand, NONE);
        match (lanes, operand) {
            (Lanes::F32 | Lanes::F64, Operand::Slot(offset)) => {
                self.load_splat(lanes, dst, slot(offset));
            }
            (Lanes::F32 | Lanes::F64, _) => {
                let source = self.xmm_or_scratch(lanes.ty(), operand);
                self.splat_lowest(lanes, dst, source);
            }
            _ => {
                let size = size_of(lanes.ty());
                let source = self.gpr_or_scratch(size, operand);
                self.asm.movd_xr(size, dst, source);
                self.splat_lowest(lanes, dst, dst);
            }
        }
        self.finish_vector(dst, operand, NONE);
    }

    /// The lane in memory everywhere. Reads no more than the lane.
    pub(super) fn load_splat(&mut self, lanes: Lanes, dst: Xmm, src: Mem) {
        let avx2 = self.options.cpu.avx2;
        match lanes.size() {
            Size::S8 if avx2 => self.asm.vector_unary(VPBROADCASTB, dst, VectorRm::Mem(src)),
            Size::S16 if avx2 => self.asm.vector_unary(VPBROADCASTW, dst, VectorRm::Mem(src)),
            Size::S32 if self.asm.avx => {
                self.asm.vector_unary(VBROADCASTSS, dst, VectorRm::Mem(src))
            }
            Size::S64 => self.asm.vector_unary(MOVDDUP, dst, VectorRm::Mem(src)),
            Size::S32 => {
                self.asm.movs_rm(FloatSize::F32, dst, src);
                self.splat_lowest(lanes, dst, dst);
            }
            size => {
                self.asm.movzx_rm(SCRATCH, src, size);
                self.asm.movd_xr(Size::S32, dst, SCRATCH);
                self.splat_lowest(lanes, dst, dst);
            }
        }
    }

    fn splat_lowest(&mut self, lanes: Lanes, dst: Xmm, src: Xmm) {
        let avx2 = self.options.cpu.avx2;
        match lanes.size() {
            Size::S8 if avx2 => self.asm.vector_unary(VPBROADCASTB, dst, src),
            Size::S16 if avx2 => self.asm.vector_unary(VPBROADCASTW, dst, src),
            Size::S8 => {
                let lowest = self.zero_scratch();
                self.v(PSHUFB, dst, src, lowest);
            }
            Size::S16 => {
                self.asm.vector_unary_imm(PSHUFLW, dst, src, LOWEST_32);
                self.asm.vector_unary_imm(PSHUFD, dst, dst, LOWEST_32);
            }
            Size::S32 => self.asm.vector_unary_imm(PSHUFD, dst, src, LOWEST_32),
            Size::S64 => self.asm.vector_unary_imm(PSHUFD, dst, src, LOWEST_64),
        }
    }
}

/// Orders.
impl Compiler {
    /// A lane out of range becomes zero, as the instruction does for numbers with the highest bit:
    /// adding this much sets it in all that are out of range.
    pub(super) fn swizzle(&mut self) {
        const BEYOND: u64 = 0x7070_7070_7070_7070;
        let order = self.pop_operand();
        if let Operand::Const(number) = order {
            let lanes = self.constant_value(number).to_le_bytes();
            let vector = self.pop_operand();
            return self.reorder(vector, lanes.map(|lane| if lane < 16 { lane } else { NO_LANE }));
        }
        let register = self.left_vector(FLOAT_SCRATCH, order);
        let beyond = self.both_halves(BEYOND);
        self.v(PADDUSB, FLOAT_SCRATCH, register, beyond);
        self.release(order);
        let vector = self.pop_operand();
        let dst = self.vector_result(vector, NONE);
        let a = self.left_vector(dst, vector);
        self.v(PSHUFB, dst, a, FLOAT_SCRATCH);
        self.finish_vector(dst, vector, NONE);
    }

    pub(super) fn shuffle(&mut self, mut lanes: [u8; 16]) {
        let top = self.stack.len() - 1;
        let (left, right) = (self.operand_at(top - 1), self.operand_at(top));
        if left == right {
            lanes = lanes.map(|lane| lane & 15);
        }
        let right = self.pop_operand();
        let left = self.pop_operand();
        if lanes.iter().all(|lane| *lane < 16) {
            self.release(right);
            self.reorder(left, lanes);
        } else if lanes.iter().all(|lane| *lane >= 16) {
            self.release(left);
            self.reorder(right, lanes.map(|lane| lane - 16));
        } else {
            let right = self.vector_in_register(right);
            let left = self.vector_in_register(left);
            self.merge(left, right, lanes);
        }
    }

    /// The lanes of one vector.
    fn reorder(&mut self, operand: Operand, lanes: [u8; 16]) {
        let dst = self.vector_result(operand, NONE);
        match quarters(lanes) {
            Some([0, 1, 2, 3]) => self.load_vector(dst, operand),
            Some(order) => self.v_unary(PSHUFD, dst, operand, Some(selector(order))),
            None => {
                let a = self.left_vector(dst, operand);
                let table = self.table(lanes);
                self.v(PSHUFB, dst, a, table);
            }
        }
        self.finish_vector(dst, operand, NONE);
    }

    /// The lanes of two vectors.
    fn merge(&mut self, left: Xmm, right: Xmm, lanes: [u8; 16]) {
        let swapped = lanes.map(|lane| lane ^ 16);
        let (first, second, lanes_there) =
            if lanes[0] < 16 { (left, right, lanes) } else { (right, left, swapped) };
        let start = lanes_there[0];
        let unpack = UNPACK.iter().find(|(_, width, half)| lanes_there == unpacked(*width, *half));
        if let Some((op, ..)) = unpack {
            let dst = self.vector_result(Operand::Xmm(first), Operand::Xmm(second));
            self.v(*op, dst, first, second);
            return self.finish_registers(dst, first, second);
        }
        if (1..16).all(|i| lanes_there[usize::from(i)] == start + i) {
            // The right operand of this instruction is the lower one.
            let dst = self.vector_result(Operand::Xmm(second), Operand::Xmm(first));
            self.v_imm(PALIGNR, dst, second, first, start);
            return self.finish_registers(dst, first, second);
        }
        if let Some(order @ [0..4, 0..4, 4..8, 4..8]) = quarters(lanes_there) {
            let dst = self.vector_result(Operand::Xmm(first), Operand::Xmm(second));
            self.v_imm(SHUFPS, dst, first, second, selector(order));
            return self.finish_registers(dst, first, second);
        }
        let table = self.table(swapped.map(|lane| if lane < 16 { lane } else { NO_LANE }));
        self.v(PSHUFB, FLOAT_SCRATCH, right, table);
        let dst = self.vector_result(Operand::Xmm(left), Operand::Xmm(right));
        let table = self.table(lanes.map(|lane| if lane < 16 { lane } else { NO_LANE }));
        self.v(PSHUFB, dst, left, table);
        self.v(POR, dst, dst, FLOAT_SCRATCH);
        self.finish_registers(dst, left, right);
    }

    /// A constant for `pshufb`.
    fn table(&mut self, lanes: [u8; 16]) -> VectorRm {
        let number = self.constant(u128::from_le_bytes(lanes));
        self.vector_rm(Operand::Const(number))
    }
}

/// The instructions that interleave the lanes of two vectors: how many bytes wide they are, and from
/// which byte on.
const UNPACK: [(VectorOp, u8, u8); 8] = [
    (PUNPCKLBW, 1, 0),
    (PUNPCKHBW, 1, 8),
    (PUNPCKLWD, 2, 0),
    (PUNPCKHWD, 2, 8),
    (PUNPCKLDQ, 4, 0),
    (PUNPCKHDQ, 4, 8),
    (PUNPCKLQDQ, 8, 0),
    (PUNPCKHQDQ, 8, 8),
];

/// The order that these leave.
fn unpacked(width: u8, start: u8) -> [u8; 16] {
    std::array::from_fn(|i| {
        let lane = i as u8 / width;
        16 * (lane % 2) + start + lane / 2 * width + i as u8 % width
    })
}

/// The order of 32-bit lanes, if there are no narrower ones.
fn quarters(lanes: [u8; 16]) -> Option<[u8; 4]> {
    let is_whole = |quarter: &[u8]| {
        quarter[0].is_multiple_of(4) && (1..4).all(|i| quarter[i] == quarter[0] + i as u8)
    };
    let whole = lanes.chunks(4).all(is_whole);
    whole.then(|| std::array::from_fn(|i| lanes[4 * i] / 4))
}

/// The immediate of `pshufd` and `shufps`.
fn selector(order: [u8; 4]) -> u8 {
    order.iter().rev().fold(0, |imm, lane| imm << 2 | lane & 3)
}
