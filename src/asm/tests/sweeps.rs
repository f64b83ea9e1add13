//! The forms of every instruction family, swept by `round_trip`.

use super::super::vector::*;
use super::round_trip::Operand::*;
use super::round_trip::*;
use super::*;
use iced_x86::{Mnemonic, Register};

const SIZES: [Size; 4] = [Size::S8, Size::S16, Size::S32, Size::S64];
const LONG: [Size; 2] = [Size::S32, Size::S64];
const FLOATS: [FloatSize; 2] = [FloatSize::F32, FloatSize::F64];
/// The mnemonics of the three families over all conditions.
const CONDITIONS: [(Cond, [Mnemonic; 3]); 16] = {
    macro_rules! conditions {
        ($($cond:ident $jcc:ident $setcc:ident $cmovcc:ident)*) => {
            [$((Cond::$cond, [Mnemonic::$jcc, Mnemonic::$setcc, Mnemonic::$cmovcc])),*]
        };
    }
    conditions! {
        O Jo Seto Cmovo      No Jno Setno Cmovno  B Jb Setb Cmovb      Ae Jae Setae Cmovae
        E Je Sete Cmove      Ne Jne Setne Cmovne  Be Jbe Setbe Cmovbe  A Ja Seta Cmova
        S Js Sets Cmovs      Ns Jns Setns Cmovns  P Jp Setp Cmovp      Np Jnp Setnp Cmovnp
        L Jl Setl Cmovl      Ge Jge Setge Cmovge  Le Jle Setle Cmovle  G Jg Setg Cmovg
    }
};

/// Every address there is, with every register, through one load.
#[test]
fn every_address() {
    let load = form(Mnemonic::Mov, [R(0, Size::S64), M(8)], |a, p| {
        a.mov_rm(Size::S64, p.r(0), p.m());
    });
    for shape in some_of(Address::shapes()) {
        for disp in some_of(NUMBERS) {
            for register in some_of([0, 4, 5, 7, 8, 12, 13, 15]) {
                let address = Address { disp, ..shape };
                check(&load, &Pick { registers: [register, 0, 0], address, imm: 0 });
            }
        }
    }
}

#[test]
fn arithmetic_and_logic() {
    let mut forms = Vec::new();
    for size in LONG {
        let bytes = size.bytes() as usize;
        let bits = size.bits();
        for (alu, name) in ALUS {
            forms.push(form(name, [R(0, size), R(1, size)], move |a, p| {
                a.alu_rr(alu, size, p.r(0), p.r(1));
            }));
            forms.push(form(name, [R(0, size), I(bits)], move |a, p| {
                a.alu_ri(alu, size, p.r(0), p.imm);
            }));
            forms.push(form(name, [R(0, size), M(bytes)], move |a, p| {
                a.alu_rm(alu, size, p.r(0), p.m());
            }));
            forms.push(form(name, [M(bytes), R(0, size)], move |a, p| {
                a.alu_mr(alu, size, p.m(), p.r(0));
            }));
            forms.push(form(name, [M(bytes), I(bits)], move |a, p| {
                a.alu_mi(alu, size, p.m(), p.imm);
            }));
        }
        forms.push(form(Mnemonic::Test, [R(0, size), R(1, size)], move |a, p| {
            a.test_rr(size, p.r(0), p.r(1));
        }));
        forms.push(form(Mnemonic::Mul, [R(0, size)], move |a, p| a.mul_r(size, p.r(0))));
        forms.push(form(Mnemonic::Div, [R(0, size)], move |a, p| a.div_r(size, p.r(0))));
        forms.push(form(Mnemonic::Idiv, [R(0, size)], move |a, p| a.idiv_r(size, p.r(0))));
        forms.push(form(Mnemonic::Neg, [R(0, size)], move |a, p| a.neg_r(size, p.r(0))));
        forms.push(form(Mnemonic::Not, [R(0, size)], move |a, p| a.not_r(size, p.r(0))));
        forms.push(form(Mnemonic::Imul, [R(0, size), R(1, size)], move |a, p| {
            a.imul_rr(size, p.r(0), p.r(1));
        }));
        forms.push(form(Mnemonic::Imul, [R(0, size), M(bytes)], move |a, p| {
            a.imul_rm(size, p.r(0), p.m());
        }));
        forms.push(form(Mnemonic::Imul, [R(0, size), R(1, size), I(bits)], move |a, p| {
            a.imul_rri(size, p.r(0), p.r(1), p.imm);
        }));
    }
    for size in SIZES {
        let (bytes, bits) = (size.bytes() as usize, size.bits());
        forms.push(form(Mnemonic::Test, [R(0, size), I(bits)], move |a, p| {
            a.test_ri(size, p.r(0), p.imm);
        }));
        forms.push(form(Mnemonic::Test, [M(bytes), I(bits)], move |a, p| {
            a.test_mi(size, p.m(), p.imm);
        }));
    }
    for (alu, name) in ALUS {
        forms.push(form(name, [R(0, Size::S8), R(1, Size::S8)], move |a, p| {
            a.alu8_rr(alu, p.r(0), p.r(1));
        }));
    }
    forms.push(form(Mnemonic::Xor, [R(0, Size::S32), R(0, Size::S32)], |a, p| a.zero(p.r(0))));
    sweep_all(&forms);
}

#[test]
fn moves() {
    let mut forms = Vec::new();
    for size in SIZES {
        let bytes = size.bytes() as usize;
        forms.push(form(Mnemonic::Mov, [M(bytes), R(0, size)], move |a, p| {
            a.mov_mr(size, p.m(), p.r(0));
        }));
        forms.push(form(Mnemonic::Mov, [M(bytes), I(size.bits())], move |a, p| {
            a.mov_mi(size, p.m(), p.imm);
        }));
        let (name, to) = match size {
            Size::S8 | Size::S16 => (Mnemonic::Movzx, Size::S32),
            Size::S32 | Size::S64 => (Mnemonic::Mov, size),
        };
        forms.push(form(name, [R(0, to), R(1, size)], move |a, p| {
            a.movzx_rr(p.r(0), p.r(1), size);
        }));
        forms.push(form(name, [R(0, to), M(bytes)], move |a, p| {
            a.movzx_rm(p.r(0), p.m(), size);
        }));
        for to in LONG.into_iter().filter(|&to| to > size) {
            let name = if size == Size::S32 { Mnemonic::Movsxd } else { Mnemonic::Movsx };
            forms.push(form(name, [R(0, to), R(1, size)], move |a, p| {
                a.movsx_rr(to, p.r(0), p.r(1), size);
            }));
            forms.push(form(name, [R(0, to), M(bytes)], move |a, p| {
                a.movsx_rm(to, p.r(0), p.m(), size);
            }));
        }
    }
    for size in LONG {
        forms.push(form(Mnemonic::Mov, [R(0, size), R(1, size)], move |a, p| {
            a.mov_rr(size, p.r(0), p.r(1));
        }));
        forms.push(form(Mnemonic::Mov, [R(0, size), M(size.bytes() as usize)], move |a, p| {
            a.mov_rm(size, p.r(0), p.m());
        }));
        forms.push(form(Mnemonic::Lea, [R(0, size), M(0)], move |a, p| {
            a.lea(size, p.r(0), p.m());
        }));
    }
    for (cond, [_, setcc, cmovcc]) in CONDITIONS {
        forms.push(form(setcc, [R(0, Size::S8)], move |a, p| a.setcc(cond, p.r(0))));
        for size in LONG {
            forms.push(form(cmovcc, [R(0, size), R(1, size)], move |a, p| {
                a.cmov_rr(cond, size, p.r(0), p.r(1));
            }));
            forms.push(form(cmovcc, [R(0, size), M(size.bytes() as usize)], move |a, p| {
                a.cmov_rm(cond, size, p.r(0), p.m());
            }));
        }
    }
    sweep_all(&forms);
}

#[test]
fn move_of_every_immediate_shape() {
    let mut values: Vec<i64> = NUMBERS.map(i64::from).to_vec();
    for shift in 0..64 {
        let power = 1_i64 << shift;
        values.extend([power, power.wrapping_sub(1), power.wrapping_neg(), !power]);
    }
    for &value in some_of(&values) {
        for register in some_of(Gpr::ALL) {
            let extended = usize::from(register.index() >= 8);
            for size in LONG {
                let bytes = assemble(|a| a.mov_ri(size, register, value));
                let Some(instruction) = decode(&bytes) else { continue };
                let context = format_args!("{register:?} {size:?} {value:#x}: {bytes:02X?}");
                assert_eq!(instruction.mnemonic(), Mnemonic::Mov, "{context}");
                let (written, len) = match size {
                    Size::S64 if value < i64::from(i32::MIN) => (Size::S64, 10),
                    Size::S64 if value < 0 => (Size::S64, 7),
                    Size::S64 if value > i64::from(u32::MAX) => (Size::S64, 10),
                    _ => (Size::S32, 5 + extended),
                };
                assert_eq!(instruction.op0_register(), gpr(register, written), "{context}");
                let mask = u64::MAX >> (64 - written.bits());
                assert_eq!(instruction.immediate(1) & mask, value as u64 & mask, "{context}");
                assert_eq!(bytes.len(), len, "{context}");
            }
        }
    }
}

#[test]
fn exchanges() {
    for size in LONG {
        for left in some_of(Gpr::ALL) {
            for right in some_of(Gpr::ALL) {
                let bytes = assemble(|a| a.xchg_rr(size, left, right));
                let Some(instruction) = decode(&bytes) else { continue };
                let context = format_args!("{size:?} {left:?} {right:?}: {bytes:02X?}");
                assert_eq!(instruction.mnemonic(), Mnemonic::Xchg, "{context}");
                let stated = [gpr(left, size), gpr(right, size)];
                let read = [instruction.op0_register(), instruction.op1_register()];
                assert!(read == stated || read == [stated[1], stated[0]], "{context}");
                let one_byte = left != right && (left == Gpr::Rax || right == Gpr::Rax);
                let layout = layout(&bytes);
                assert_eq!(bytes[layout.opcode_at] & 0xF8 == 0x90, one_byte, "{context}");
                assert_eq!(
                    bytes.len(),
                    layout.opcode_at + if one_byte { 1 } else { 2 },
                    "{context}"
                );
            }
        }
    }
}

#[test]
fn shifts_and_bits() {
    let mut forms = Vec::new();
    for (shift, name) in SHIFTS {
        for size in LONG {
            forms.push(form(name, [R(0, size), I(8)], move |a, p| {
                a.shift_ri(shift, size, p.r(0), p.imm as u8);
            }));
            forms.push(form(name, [R(0, size), Cl], move |a, p| {
                a.shift_cl(shift, size, p.r(0));
            }));
        }
    }
    for size in LONG {
        forms.push(form(Mnemonic::Bsr, [R(0, size), R(1, size)], move |a, p| {
            a.bsr(size, p.r(0), p.r(1));
        }));
        forms.push(form(Mnemonic::Bsf, [R(0, size), R(1, size)], move |a, p| {
            a.bsf(size, p.r(0), p.r(1));
        }));
        let registers = [R(0, size), R(1, size), R(2, size)];
        forms.push(form(Mnemonic::Shlx, registers, move |a, p| {
            a.shlx(size, p.r(0), p.r(1), p.r(2));
        }));
        forms.push(form(Mnemonic::Shrx, registers, move |a, p| {
            a.shrx(size, p.r(0), p.r(1), p.r(2));
        }));
        forms.push(form(Mnemonic::Sarx, registers, move |a, p| {
            a.sarx(size, p.r(0), p.r(1), p.r(2));
        }));
        forms.push(form(Mnemonic::Andn, registers, move |a, p| {
            a.andn(size, p.r(0), p.r(1), p.r(2));
        }));
        forms.push(form(Mnemonic::Rorx, [R(0, size), R(1, size), I(8)], move |a, p| {
            a.rorx(size, p.r(0), p.r(1), p.imm as u8);
        }));
        forms.push(form(Mnemonic::Bswap, [R(0, size)], move |a, p| a.bswap(size, p.r(0))));

        let registers = [R(0, size), R(1, size)];
        let memory = [R(0, size), M(size.bytes() as usize)];
        forms.push(form(Mnemonic::Lzcnt, registers, move |a, p| a.lzcnt(size, p.r(0), p.r(1))));
        forms.push(form(Mnemonic::Lzcnt, memory, move |a, p| a.lzcnt_rm(size, p.r(0), p.m())));
        forms.push(form(Mnemonic::Tzcnt, registers, move |a, p| a.tzcnt(size, p.r(0), p.r(1))));
        forms.push(form(Mnemonic::Tzcnt, memory, move |a, p| a.tzcnt_rm(size, p.r(0), p.m())));
        forms.push(form(Mnemonic::Popcnt, registers, move |a, p| {
            a.popcnt(size, p.r(0), p.r(1));
        }));
        forms.push(form(Mnemonic::Popcnt, memory, move |a, p| {
            a.popcnt_rm(size, p.r(0), p.m());
        }));
    }
    sweep_all(&forms);
}

#[test]
fn stack_and_control_flow() {
    let quad = [R(0, Size::S64)];
    sweep_all(&[
        form(Mnemonic::Call, quad, |a, p| a.call_r(p.r(0))),
        form(Mnemonic::Call, [M(8)], |a, p| a.call_m(p.m())),
        form(Mnemonic::Jmp, quad, |a, p| a.jmp_r(p.r(0))),
        form(Mnemonic::Jmp, [M(8)], |a, p| a.jmp_m(p.m())),
        form(Mnemonic::Push, quad, |a, p| a.push_r(p.r(0))),
        form(Mnemonic::Push, [M(8)], |a, p| a.push_m(p.m())),
        form(Mnemonic::Push, [I(64)], |a, p| a.push_imm32(p.imm)),
        form(Mnemonic::Pop, quad, |a, p| a.pop_r(p.r(0))),
        form(Mnemonic::Pop, [M(8)], |a, p| a.pop_m(p.m())),
        form(Mnemonic::Ret, [I(16)], |a, p| a.ret_imm16(p.imm as u16)),
    ]);
    // None of these needs REX.W, which the sweep cannot tell from the operands.
    for emit in [Assembler::push_r, Assembler::pop_r, Assembler::call_r, Assembler::jmp_r] {
        for register in Gpr::ALL {
            let rex = layout(&assemble(|a| emit(a, register))).rex;
            assert_eq!(rex.unwrap_or(0) & 8, 0);
        }
    }
    for (cond, [jcc, ..]) in CONDITIONS {
        for short in [false, true] {
            let bytes = assemble(|a| {
                let label = a.new_label();
                if short {
                    a.jcc_short(cond, label)
                } else {
                    a.jcc(cond, label)
                }
                a.bind(label);
            });
            if let Some(instruction) = decode(&bytes) {
                assert_eq!(instruction.mnemonic(), jcc);
            }
        }
    }
}

#[test]
fn padding_is_one_nop_per_nine_bytes() {
    for count in some_of(0..100_usize) {
        let bytes = assemble(|a| a.nop(count));
        assert_eq!(bytes.len(), count);
        if cfg!(miri) {
            continue;
        }
        let mut instructions = 0;
        for instruction in &mut Decoder::with_ip(64, &bytes, 0, DecoderOptions::NONE) {
            // The two-byte form reads as an exchange of ax with itself.
            assert!(matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Xchg));
            instructions += 1;
        }
        assert_eq!(instructions, count.div_ceil(9));
    }
}

#[test]
fn floating_point() {
    /// Both forms of an instruction that comes in both precisions.
    macro_rules! both {
        ($forms:ident: $($rr:ident $rm:ident $single:ident $double:ident;)*) => {
            $(for (size, name, bytes) in [
                (FloatSize::F32, Mnemonic::$single, 4),
                (FloatSize::F64, Mnemonic::$double, 8),
            ] {
                $forms.push(form(name, [X(0), X(1)], move |a, p| a.$rr(size, p.x(0), p.x(1))));
                $forms.push(form(name, [X(0), M(bytes)], move |a, p| a.$rm(size, p.x(0), p.m())));
            })*
        };
    }
    let mut forms = Vec::new();
    both! { forms:
        sqrts_rr sqrts_rm Sqrtss Sqrtsd;
        ucomis_rr ucomis_rm Ucomiss Ucomisd;
    }
    for (op, name, bytes) in [
        (ADDSS, Mnemonic::Addss, 4),
        (ADDSD, Mnemonic::Addsd, 8),
        (SUBSS, Mnemonic::Subss, 4),
        (SUBSD, Mnemonic::Subsd, 8),
        (MULSS, Mnemonic::Mulss, 4),
        (MULSD, Mnemonic::Mulsd, 8),
        (DIVSS, Mnemonic::Divss, 4),
        (DIVSD, Mnemonic::Divsd, 8),
        (MINSS, Mnemonic::Minss, 4),
        (MINSD, Mnemonic::Minsd, 8),
        (MAXSS, Mnemonic::Maxss, 4),
        (MAXSD, Mnemonic::Maxsd, 8),
    ] {
        forms.push(form(name, [X(0), X(1)], move |a, p| a.vector(op, p.x(0), p.x(0), p.x(1))));
        forms.push(form(name, [X(0), M(bytes)], move |a, p| a.vector(op, p.x(0), p.x(0), p.m())));
    }
    for float in FLOATS {
        let bytes = 4 << float as usize;
        let [to_float, to_int, round, mask, scalar] = match float {
            FloatSize::F32 => [
                Mnemonic::Cvtsi2ss,
                Mnemonic::Cvttss2si,
                Mnemonic::Roundss,
                Mnemonic::Movmskps,
                Mnemonic::Movss,
            ],
            FloatSize::F64 => [
                Mnemonic::Cvtsi2sd,
                Mnemonic::Cvttsd2si,
                Mnemonic::Roundsd,
                Mnemonic::Movmskpd,
                Mnemonic::Movsd,
            ],
        };
        for int in LONG {
            forms.push(form(to_float, [X(0), R(1, int)], move |a, p| {
                a.cvtsi2s_rr(float, int, p.x(0), p.r(1));
            }));
            forms.push(form(to_float, [X(0), M(int.bytes() as usize)], move |a, p| {
                a.cvtsi2s_rm(float, int, p.x(0), p.m());
            }));
            forms.push(form(to_int, [R(0, int), X(1)], move |a, p| {
                a.cvtts2si_rr(float, int, p.r(0), p.x(1));
            }));
            forms.push(form(to_int, [R(0, int), M(bytes)], move |a, p| {
                a.cvtts2si_rm(float, int, p.r(0), p.m());
            }));
        }
        forms.push(form(mask, [R(0, Size::S32), X(1)], move |a, p| {
            a.movmskp(float, p.r(0), p.x(1));
        }));
        forms.push(form(scalar, [X(0), M(bytes)], move |a, p| a.movs_rm(float, p.x(0), p.m())));
        forms.push(form(scalar, [M(bytes), X(0)], move |a, p| a.movs_mr(float, p.m(), p.x(0))));

        for (rounding, control) in
            [(Rounding::Nearest, 8), (Rounding::Down, 9), (Rounding::Up, 10), (Rounding::Zero, 11)]
        {
            for x in some_of(Xmm::ALL) {
                for (i, y) in some_of(Xmm::ALL.into_iter().enumerate()) {
                    let registers = assemble(|a| a.rounds_rr(float, rounding, x, y));
                    let mem = Mem::base(Gpr::ALL[i], 8);
                    let memory = assemble(|a| a.rounds_rm(float, rounding, x, mem));
                    let Some(from_register) = decode(&registers) else { continue };
                    let Some(from_memory) = decode(&memory) else { continue };
                    assert_eq!(from_register.op1_register(), Register::XMM0 + i as u32);
                    assert_eq!(from_memory.memory_base(), Register::RAX + i as u32);
                    assert_eq!(from_memory.memory_size().size(), bytes);
                    for instruction in [from_register, from_memory] {
                        assert_eq!(instruction.mnemonic(), round);
                        assert_eq!(
                            instruction.op0_register(),
                            Register::XMM0 + u32::from(x.index())
                        );
                        assert_eq!(instruction.immediate8(), control);
                    }
                }
            }
        }
    }
    sweep_all(&forms);
}

#[test]
fn sse_moves_and_bit_operations() {
    let xx = [X(0), X(1)];
    let xm = [X(0), M(16)];
    let mut forms = vec![
        form(Mnemonic::Movaps, xx, |a, p| a.movaps_rr(p.x(0), p.x(1))),
        form(Mnemonic::Movaps, xm, |a, p| a.movaps_rm(p.x(0), p.m())),
        form(Mnemonic::Movups, xm, |a, p| a.movups_rm(p.x(0), p.m())),
        form(Mnemonic::Movups, [M(16), X(0)], |a, p| a.movups_mr(p.m(), p.x(0))),
        form(Mnemonic::Andps, xx, |a, p| a.andps_rr(p.x(0), p.x(1))),
        form(Mnemonic::Andps, xm, |a, p| a.andps_rm(p.x(0), p.m())),
        form(Mnemonic::Andnps, xx, |a, p| a.andnps_rr(p.x(0), p.x(1))),
        form(Mnemonic::Andnps, xm, |a, p| a.andnps_rm(p.x(0), p.m())),
        form(Mnemonic::Orps, xx, |a, p| a.orps_rr(p.x(0), p.x(1))),
        form(Mnemonic::Orps, xm, |a, p| a.orps_rm(p.x(0), p.m())),
        form(Mnemonic::Xorps, xx, |a, p| a.xorps_rr(p.x(0), p.x(1))),
        form(Mnemonic::Xorps, xm, |a, p| a.xorps_rm(p.x(0), p.m())),
        form(Mnemonic::Cvtss2sd, xx, |a, p| a.cvtss2sd_rr(p.x(0), p.x(1))),
        form(Mnemonic::Cvtss2sd, [X(0), M(4)], |a, p| a.cvtss2sd_rm(p.x(0), p.m())),
        form(Mnemonic::Cvtsd2ss, xx, |a, p| a.cvtsd2ss_rr(p.x(0), p.x(1))),
        form(Mnemonic::Cvtsd2ss, [X(0), M(8)], |a, p| a.cvtsd2ss_rm(p.x(0), p.m())),
    ];
    for (size, name) in [(Size::S32, Mnemonic::Movd), (Size::S64, Mnemonic::Movq)] {
        forms.push(form(name, [X(0), R(1, size)], move |a, p| a.movd_xr(size, p.x(0), p.r(1))));
        forms.push(form(name, [R(0, size), X(1)], move |a, p| a.movd_rx(size, p.r(0), p.x(1))));
    }
    sweep_all(&forms);
}
