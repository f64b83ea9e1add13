//! Vector operators.

use std::collections::BTreeSet;

use super::{clif, compile, compile_for, traps};
use crate::compile::{CompiledCode, CpuFeatures};
use crate::error::TrapCode;

/// The instructions of a function's IR, without the values that they define.
fn instructions(text: &str) -> Vec<String> {
    clif(text)
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(_, what)| what.trim().to_string())
        .collect()
}

/// Between operators on the same lanes there is nothing, not even where a local is.
#[test]
fn casts_are_of_the_original() {
    let ir = instructions(
        "(module (func (param v128) (result v128)
            (local.set 0 (i32x4.neg (local.get 0)))
            (f32x4.abs (i32x4.abs (local.get 0)))))",
    );
    let expected = [
        "bitcast.i32x4 little v0",
        "ineg v1",
        "bitcast.i8x16 little v2",
        "iabs v2",
        "bitcast.i8x16 little v4",
        "bitcast.f32x4 little v4",
        "fabs v6",
        "bitcast.i8x16 little v7",
    ];
    assert_eq!(ir, expected);
}

/// A constant is one of the lanes' type at once.
#[test]
fn constants_are_not_cast() {
    let ir = clif(
        "(module (func (param v128) (result v128)
            (i64x2.add (v128.const i32x4 1 2 3 4) (v128.const i32x4 1 2 3 4))))",
    );
    assert_eq!(ir.matches("vconst.i64x2 const0").count(), 2, "{ir}");
    assert_eq!(ir.matches("bitcast").count(), 1, "{ir}");
}

/// The mnemonics of the first function, up to its return: behind it are constants.
fn mnemonics(code: &CompiledCode) -> BTreeSet<String> {
    let mut decoder = iced_x86::Decoder::new(64, &code.bytes, 0);
    let instructions = std::iter::from_fn(|| Some(decoder.decode()));
    let body = instructions.take_while(|one| one.mnemonic() != iced_x86::Mnemonic::Ret);
    body.map(|one| format!("{:?}", one.mnemonic()).to_lowercase()).collect()
}

/// Operators that are more than one instruction of the IR, and one of the machine's.
#[test]
fn idioms_are_recognised() {
    for (operator, instruction) in [
        ("f32x4.pmin", "minps"),
        ("f32x4.pmax", "maxps"),
        ("f64x2.pmin", "minpd"),
        ("f64x2.pmax", "maxpd"),
        ("i32x4.dot_i16x8_s", "pmaddwd"),
        ("i64x2.extmul_low_i32x4_u", "pmuludq"),
        ("i8x16.narrow_i16x8_u", "packuswb"),
        ("v128.andnot", "pandn"),
        ("i8x16.shuffle 0 16 1 17 2 18 3 19 4 20 5 21 6 22 7 23", "punpcklbw"),
    ] {
        let code = compile_for(
            CpuFeatures::FLOOR,
            &format!(
                "(module (func (param v128 v128) (result v128)
                    ({operator} (local.get 0) (local.get 1))))"
            ),
        )
        .expect("code");
        let mnemonics = mnemonics(&code);
        assert!(mnemonics.contains(instruction), "{operator}: {mnemonics:?}");
    }
}

/// No instruction that a machine with nothing but SSE4.1, and what comes with it, lacks: for
/// operators that have better instructions elsewhere.
#[test]
fn the_floor_suffices() {
    for operator in [
        "i8x16.popcnt",
        "i8x16.abs",
        "i64x2.abs",
        "i16x8.extadd_pairwise_i8x16_u",
        "f32x4.nearest",
        "f32x4.convert_i32x4_u",
        "f64x2.convert_low_i32x4_u",
        "i32x4.trunc_sat_f32x4_u",
        "i32x4.trunc_sat_f64x2_s_zero",
        "i32x4.trunc_sat_f64x2_u_zero",
        "i8x16.swizzle (local.get 1)",
        "i8x16.shuffle 7 1 31 8 20 9 1 1 0 16 5 30 2 2 4 11 (local.get 1)",
        "i64x2.mul (local.get 1)",
        "i64x2.gt_s (local.get 1)",
        "i16x8.q15mulr_sat_s (local.get 1)",
        "f64x2.min (local.get 1)",
    ] {
        let code = compile_for(
            CpuFeatures::FLOOR,
            &format!("(module (func (param v128 v128) (result v128) ({operator} (local.get 0))))"),
        )
        .expect("code");
        let mut decoder = iced_x86::Decoder::new(64, &code.bytes, 0);
        loop {
            let instruction = decoder.decode();
            for feature in instruction.cpuid_features() {
                use iced_x86::CpuidFeature::*;
                assert!(
                    matches!(feature, INTEL8086 | INTEL386 | X64 | SSE | SSE2 | SSSE3 | SSE4_1),
                    "{operator}: {instruction} needs {feature:?}"
                );
            }
            if instruction.mnemonic() == iced_x86::Mnemonic::Ret {
                break;
            }
        }
    }
}

/// Also where the access has become part of another instruction.
#[test]
fn accesses_trap() {
    for access in [
        "v128.load (local.get 0)",
        "v128.load8x8_s (local.get 0)",
        "v128.load8_splat (local.get 0)",
        "v128.load64_zero (local.get 0)",
        "v128.load16_lane 3 (local.get 0) (local.get 1)",
        "i32x4.add (local.get 1) (v128.load (local.get 0))",
    ] {
        let code = compile(&format!(
            "(module (memory 1) (func (param i32 v128) (result v128) ({access})))"
        ));
        assert_eq!(traps(&code), [TrapCode::MemoryOutOfBounds], "{access}");
    }
    for access in ["v128.store", "v128.store8_lane 7", "v128.store64_lane 0"] {
        let code = compile(&format!(
            "(module (memory 1) (func (param i32 v128) ({access} (local.get 0) (local.get 1))))"
        ));
        assert_eq!(traps(&code), [TrapCode::MemoryOutOfBounds], "{access}");
    }
}
