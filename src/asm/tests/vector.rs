//! Every vector instruction in both of its forms: registers, addresses, immediates. The disassembler
//! must read the name that the tables give it.

use super::super::vector::*;
use super::round_trip::Operand::*;
use super::round_trip::*;
use super::*;
use iced_x86::Mnemonic;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The mnemonic that is spelled like this, in capitals.
fn mnemonic(name: &str, avx: bool) -> Mnemonic {
    static ALL: LazyLock<HashMap<String, Mnemonic>> = LazyLock::new(|| {
        Mnemonic::values().map(|known| (format!("{known:?}").to_uppercase(), known)).collect()
    });
    if cfg!(miri) {
        return Mnemonic::INVALID; // Nobody asks, and the names alone would take minutes.
    }
    let name = if avx && !name.starts_with('V') { format!("V{name}") } else { name.to_string() };
    *ALL.get(&name).unwrap_or_else(|| panic!("no instruction is called {name}"))
}

/// A form of an instruction; with AVX, if it is wanted.
fn vector_form(
    name: &str,
    avx: bool,
    operands: &[Operand],
    emit: impl Fn(&mut Assembler, &Pick) + 'static,
) -> Form {
    form(mnemonic(name, avx), operands, move |a, p| {
        a.avx = avx;
        emit(a, p);
    })
}

/// The operands in the order of the disassembler: SSE does not name the left one.
fn operands(avx: bool, right: Operand, imm: bool) -> Vec<Operand> {
    let mut operands = if avx { vec![X(0), X(2), right] } else { vec![X(0), right] };
    if imm {
        operands.push(I(8));
    }
    operands
}

/// The left operand: without AVX, the destination.
fn left(avx: bool, p: &Pick) -> Xmm {
    p.x(if avx { 2 } else { 0 })
}

/// Both encodings.
const FORMS: [bool; 2] = [false, true];

#[test]
fn binary() {
    let mut forms = Vec::new();
    for avx in FORMS {
        for &(name, op, bytes) in BINARY {
            forms.push(vector_form(name, avx, &operands(avx, X(1), false), move |a, p| {
                a.vector(op, p.x(0), left(avx, p), p.x(1));
            }));
            if bytes > 0 {
                forms.push(vector_form(name, avx, &operands(avx, M(bytes), false), move |a, p| {
                    a.vector(op, p.x(0), left(avx, p), VectorRm::Mem(p.m()));
                }));
            }
        }
    }
    sweep_vectors(&forms);
}

#[test]
fn binary_with_immediate() {
    let mut forms = Vec::new();
    for avx in FORMS {
        for &(name, op, bytes) in BINARY_IMM.iter().chain(INSERT) {
            // What is inserted from a register is a general one, below.
            if !name.starts_with("PINSR") {
                forms.push(vector_form(name, avx, &operands(avx, X(1), true), move |a, p| {
                    a.vector_imm(op, p.x(0), left(avx, p), p.x(1), p.imm as u8);
                }));
            }
            forms.push(vector_form(name, avx, &operands(avx, M(bytes), true), move |a, p| {
                a.vector_imm(op, p.x(0), left(avx, p), VectorRm::Mem(p.m()), p.imm as u8);
            }));
        }
        for &(name, op, bytes) in INSERT {
            let size = if bytes == 8 { Size::S64 } else { Size::S32 };
            forms.push(vector_form(name, avx, &operands(avx, R(1, size), true), move |a, p| {
                a.vector_insert(op, p.x(0), left(avx, p), p.r(1), p.imm as u8);
            }));
        }
    }
    sweep_vectors(&forms);
}

#[test]
fn unary() {
    let mut forms = Vec::new();
    for avx in FORMS {
        let broadcast = if avx { BROADCAST } else { &[] };
        for &(name, op, bytes) in UNARY.iter().chain(broadcast) {
            forms.push(vector_form(name, avx, &[X(0), X(1)], move |a, p| {
                a.vector_unary(op, p.x(0), p.x(1));
            }));
            forms.push(vector_form(name, avx, &[X(0), M(bytes)], move |a, p| {
                a.vector_unary(op, p.x(0), VectorRm::Mem(p.m()));
            }));
        }
        for &(name, op, bytes) in UNARY_IMM {
            forms.push(vector_form(name, avx, &[X(0), X(1), I(8)], move |a, p| {
                a.vector_unary_imm(op, p.x(0), p.x(1), p.imm as u8);
            }));
            forms.push(vector_form(name, avx, &[X(0), M(bytes), I(8)], move |a, p| {
                a.vector_unary_imm(op, p.x(0), VectorRm::Mem(p.m()), p.imm as u8);
            }));
        }
    }
    sweep_vectors(&forms);
}

#[test]
fn across_register_files() {
    let mut forms = Vec::new();
    for avx in FORMS {
        forms.push(vector_form("PMOVMSKB", avx, &[R(0, Size::S32), X(1)], |a, p| {
            a.pmovmskb(p.r(0), p.x(1));
        }));
        for &(name, op, bytes) in EXTRACT {
            let size = if bytes == 8 { Size::S64 } else { Size::S32 };
            forms.push(vector_form(name, avx, &[R(0, size), X(1), I(8)], move |a, p| {
                a.vector_extract(op, p.r(0), p.x(1), p.imm as u8);
            }));
            forms.push(vector_form(name, avx, &[M(bytes), X(0), I(8)], move |a, p| {
                a.vector_extract_to(op, p.m(), p.x(0), p.imm as u8);
            }));
        }
    }
    sweep_vectors(&forms);
}

#[test]
fn shifts_by_constants() {
    for avx in FORMS {
        for &(name, shift) in VECTOR_SHIFTS {
            for dst in some_of(Xmm::ALL) {
                let sources = if avx { Xmm::ALL.to_vec() } else { vec![dst] };
                for src in some_of(sources) {
                    for count in some_of([0, 1, 31, 63, 255]) {
                        let bytes = assemble(|a| {
                            a.avx = avx;
                            a.vector_shift(shift, dst, src, count);
                        });
                        let Some(instruction) = decode(&bytes) else { continue };
                        let last = instruction.op_count() - 1;
                        assert_eq!(instruction.mnemonic(), mnemonic(name, avx));
                        assert_eq!(instruction.op0_register(), xmm(dst));
                        assert_eq!(instruction.op_register(last - 1), xmm(src));
                        assert_eq!(instruction.immediate8(), count);
                    }
                }
            }
        }
    }
}

#[test]
fn constants_at_labels() {
    for avx in FORMS {
        for dst in some_of(Xmm::ALL) {
            for distance in [0, 100, 1000] {
                let load = assemble(|a| {
                    a.avx = avx;
                    let label = a.new_label();
                    a.movaps_label(dst, label);
                    a.vector(PXOR, dst, dst, VectorRm::Label(label));
                    a.nop(distance);
                    a.bind(label);
                });
                if cfg!(miri) {
                    continue;
                }
                let at = load.len() as u64;
                let mut decoder = Decoder::with_ip(64, &load, 0, DecoderOptions::NONE);
                for name in ["MOVAPS", "PXOR"] {
                    let instruction = decoder.decode();
                    assert_eq!(instruction.mnemonic(), mnemonic(name, avx));
                    assert_eq!(instruction.op0_register(), xmm(dst));
                    assert_eq!(instruction.ip_rel_memory_address(), at);
                    assert_eq!(instruction.memory_size().size(), 16);
                }
            }
        }
    }
}

#[test]
fn bytes() {
    let check = |avx: bool, emit: fn(&mut Assembler), bytes: &str, reads: &str| {
        let code = assemble(|a| {
            a.avx = avx;
            emit(a);
        });
        assert_eq!(hex(&code), bytes);
        if !cfg!(miri) {
            assert_eq!(disassemble(&code), reads);
        }
    };
    let add: fn(&mut Assembler) = |a| a.vector(PADDB, Xmm::Xmm1, Xmm::Xmm1, Xmm::Xmm2);
    check(false, add, "66 0F FC CA", "paddb xmm1,xmm2");
    check(true, add, "C5 F1 FC CA", "vpaddb xmm1,xmm1,xmm2");
    let high: fn(&mut Assembler) = |a| a.vector(PXOR, Xmm::Xmm9, Xmm::Xmm9, Xmm::Xmm2);
    check(false, high, "66 44 0F EF CA", "pxor xmm9,xmm2");
    check(true, high, "C5 31 EF CA", "vpxor xmm9,xmm9,xmm2");
    let shuffle: fn(&mut Assembler) = |a| a.vector(PSHUFB, Xmm::Xmm0, Xmm::Xmm0, Xmm::Xmm12);
    check(false, shuffle, "66 41 0F 38 00 C4", "pshufb xmm0,xmm12");
    check(true, shuffle, "C4 C2 79 00 C4", "vpshufb xmm0,xmm0,xmm12");
    check(
        true,
        |a| a.vector(PSUBQ, Xmm::Xmm3, Xmm::Xmm14, VectorRm::Mem(Mem::base(Gpr::Rbp, -16))),
        "C5 89 FB 5D F0",
        "vpsubq xmm3,xmm14,[rbp-10h]",
    );
    let insert: fn(&mut Assembler) = |a| a.vector_insert(PINSRQ, Xmm::Xmm8, Xmm::Xmm8, Gpr::R11, 1);
    check(false, insert, "66 4D 0F 3A 22 C3 01", "pinsrq xmm8,r11,1");
    check(true, insert, "C4 43 B9 22 C3 01", "vpinsrq xmm8,xmm8,r11,1");
    check(
        false,
        |a| a.vector_shift(PSRAD_IMM, Xmm::Xmm10, Xmm::Xmm10, 31),
        "66 41 0F 72 E2 1F",
        "psrad xmm10,1Fh",
    );
    check(
        true,
        |a| a.vector_unary_imm(PSHUFD, Xmm::Xmm1, Xmm::Xmm2, 0xEE),
        "C5 F9 70 CA EE",
        "vpshufd xmm1,xmm2,0EEh",
    );
}

fn xmm(register: Xmm) -> iced_x86::Register {
    iced_x86::Register::XMM0 + u32::from(register.index())
}
