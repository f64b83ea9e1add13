//! Reading the operators that programs are mostly made of, for the validating walk.
//!
//! wasmparser's reader knows every proposal and trusts no byte. Most operators are a byte or two of
//! WebAssembly 1.0, and reading those in place takes half the time. This owns their reading and nothing
//! else: **whether one is valid, wasmparser's validator says**, through the same methods. Whatever is
//! longer, rarer or malformed is left to wasmparser's reader, from its first byte on.

use wasmparser::{BlockType, MemArg, MemArgTarget, Result, ValType, VisitOperator};

/// Visits the operators that the code starts with: up to the first that is left to wasmparser's reader, or
/// up to and with the first `end`, which may close the last block. Returns the code behind them, or the
/// code from the first on that is not valid, and why. Some block must be open.
///
/// Operators that only compute are validated alike if their operands and results are: one stands for
/// all of them here, except where [`Facts`](super::Facts) tell them apart.
// Into the loop that is its only caller.
#[inline(always)]
pub(super) fn visit<'a, 'c, V>(mut code: &'c [u8], visitor: &mut V) -> (&'c [u8], Result<()>)
where
    V: VisitOperator<'a, Output = Result<()>>,
{
    loop {
        match visit_one(code, visitor) {
            Ok(Step::To(behind)) => code = behind,
            Ok(Step::Last(behind)) => return (behind, Ok(())),
            Err(error) => return (code, Err(error)),
        }
    }
}

/// What code is left, and whether it begins with an operator for the same visitor.
enum Step<'c> {
    To(&'c [u8]),
    Last(&'c [u8]),
}

/// Visits the first operator, unless it is left to wasmparser's reader.
#[inline(always)]
// Ranges would cost comparisons in front of the jump that single opcodes become.
#[expect(clippy::manual_range_patterns)]
fn visit_one<'a, 'c, V>(all: &'c [u8], visitor: &mut V) -> Result<Step<'c>>
where
    V: VisitOperator<'a, Output = Result<()>>,
{
    let Some((&opcode, code)) = all.split_first() else { return Ok(Step::Last(all)) };
    /// What a method of the visitor takes, and then the code behind it.
    macro_rules! visit {
        ($method:ident) => {
            (visitor.$method()?, code)
        };
        ($method:ident($read:expr)) => {
            match $read {
                Some((immediate, behind)) => (visitor.$method(immediate)?, behind),
                None => return Ok(Step::Last(all)),
            }
        };
    }
    let ((), behind) = match opcode {
        0x00 => visit!(visit_unreachable),
        0x02 => visit!(visit_block(block_type(code))),
        0x03 => visit!(visit_loop(block_type(code))),
        0x04 => visit!(visit_if(block_type(code))),
        0x0B => {
            visitor.visit_end()?;
            return Ok(Step::Last(code));
        }
        0x0C => visit!(visit_br(number(code))),
        0x0D => visit!(visit_br_if(number(code))),
        0x0F => visit!(visit_return),
        0x10 => visit!(visit_call(number(code))),
        0x11 => match number(code) {
            // Of table 0.
            Some((ty, [0, behind @ ..])) => (visitor.visit_call_indirect(ty, 0)?, behind),
            _ => return Ok(Step::Last(all)),
        },
        0x1A => visit!(visit_drop),
        0x1B => visit!(visit_select),
        0x20 => visit!(visit_local_get(number(code))),
        0x21 => visit!(visit_local_set(number(code))),
        0x22 => visit!(visit_local_tee(number(code))),
        0x23 => visit!(visit_global_get(number(code))),
        0x24 => visit!(visit_global_set(number(code))),
        0x28 | 0x2C | 0x2D | 0x2E | 0x2F => visit!(visit_i32_load(memory(opcode, code))),
        0x29 | 0x30 | 0x31 | 0x32 | 0x33 | 0x34 | 0x35 => {
            visit!(visit_i64_load(memory(opcode, code)))
        }
        0x2A => visit!(visit_f32_load(memory(opcode, code))),
        0x2B => visit!(visit_f64_load(memory(opcode, code))),
        0x36 | 0x3A | 0x3B => visit!(visit_i32_store(memory(opcode, code))),
        0x37 | 0x3C | 0x3D | 0x3E => visit!(visit_i64_store(memory(opcode, code))),
        0x38 => visit!(visit_f32_store(memory(opcode, code))),
        0x39 => visit!(visit_f64_store(memory(opcode, code))),
        0x41 => visit!(visit_i32_const(constant(code))),
        0x42 => visit!(visit_i64_const(constant(code))),
        0x45 => visit!(visit_i32_eqz),
        0x46 | 0x47 | 0x48 | 0x49 | 0x4A | 0x4B | 0x4C | 0x4D | 0x4E | 0x4F => visit!(visit_i32_eq),
        0x50 => visit!(visit_i64_eqz),
        0x51 | 0x52 | 0x53 | 0x54 | 0x55 | 0x56 | 0x57 | 0x58 | 0x59 | 0x5A => visit!(visit_i64_eq),
        0x5B | 0x5C | 0x5D | 0x5E | 0x5F | 0x60 => visit!(visit_f32_eq),
        0x61 | 0x62 | 0x63 | 0x64 | 0x65 | 0x66 => visit!(visit_f64_eq),
        0x67 | 0x68 | 0x69 => visit!(visit_i32_clz),
        0x6A | 0x6B | 0x6C | 0x71 | 0x72 | 0x73 => visit!(visit_i32_add),
        0x6D | 0x6E | 0x6F | 0x70 => visit!(visit_i32_div_u),
        0x74 | 0x75 | 0x76 => visit!(visit_i32_shl),
        0x77 | 0x78 => visit!(visit_i32_rotl),
        0x79 | 0x7A | 0x7B => visit!(visit_i64_clz),
        0x7C | 0x7D | 0x7E | 0x83 | 0x84 | 0x85 => visit!(visit_i64_add),
        0x7F | 0x80 | 0x81 | 0x82 => visit!(visit_i64_div_u),
        0x86 | 0x87 | 0x88 => visit!(visit_i64_shl),
        0x89 | 0x8A => visit!(visit_i64_rotl),
        0x8B | 0x8C | 0x8D | 0x8E | 0x8F | 0x90 | 0x91 => visit!(visit_f32_neg),
        0x92 | 0x93 | 0x94 | 0x95 | 0x96 | 0x97 | 0x98 => visit!(visit_f32_add),
        0x99 | 0x9A | 0x9B | 0x9C | 0x9D | 0x9E | 0x9F => visit!(visit_f64_neg),
        0xA0 | 0xA1 | 0xA2 | 0xA3 | 0xA4 | 0xA5 | 0xA6 => visit!(visit_f64_add),
        0xA7 => visit!(visit_i32_wrap_i64),
        0xAC | 0xAD => visit!(visit_i64_extend_i32_u),
        _ => return Ok(Step::Last(all)),
    };
    Ok(Step::To(behind))
}

/// An unsigned number of at most four bytes, which is not too large for anything.
#[inline(always)]
fn number(code: &[u8]) -> Option<(u32, &[u8])> {
    const MORE: u8 = 0x80;
    match *code {
        [a @ ..MORE, ref behind @ ..] => Some((u32::from(a), behind)),
        [a, b @ ..MORE, ref behind @ ..] => {
            Some((u32::from(a & !MORE) | u32::from(b) << 7, behind))
        }
        [a, b, c @ ..MORE, ref behind @ ..] => {
            let low = u32::from(a & !MORE) | u32::from(b & !MORE) << 7;
            Some((low | u32::from(c) << 14, behind))
        }
        [a, b, c, d @ ..MORE, ref behind @ ..] => {
            let low = u32::from(a & !MORE) | u32::from(b & !MORE) << 7;
            Some((low | u32::from(c & !MORE) << 14 | u32::from(d) << 21, behind))
        }
        _ => None,
    }
}

/// A constant of at most four bytes, of which validation wants to know nothing but that it is there.
// Without a branch for each byte: their number is hard to foresee.
#[inline(always)]
fn constant<T: Default>(code: &[u8]) -> Option<(T, &[u8])> {
    let bytes = u32::from_le_bytes(*code.first_chunk()?);
    let last = (!bytes & 0x8080_8080).trailing_zeros() as usize / 8;
    Some((T::default(), code.get(last + 1..).filter(|_| last < 4)?))
}

/// The type of a block without parameters and with at most one number for a result.
#[inline(always)]
fn block_type(code: &[u8]) -> Option<(BlockType, &[u8])> {
    let (byte, behind) = code.split_first()?;
    let ty = match byte {
        0x40 => BlockType::Empty,
        0x7F => BlockType::Type(ValType::I32),
        0x7E => BlockType::Type(ValType::I64),
        0x7D => BlockType::Type(ValType::F32),
        0x7C => BlockType::Type(ValType::F64),
        _ => return None,
    };
    Some((ty, behind))
}

/// Where in memory 0 the load or store goes.
#[inline(always)]
fn memory(opcode: u8, code: &[u8]) -> Option<(MemArg, &[u8])> {
    // The binary logarithm of how many bytes it accesses.
    let max_align = match opcode {
        0x2C | 0x2D | 0x30 | 0x31 | 0x3A | 0x3C => 0,
        0x2E | 0x2F | 0x32 | 0x33 | 0x3B | 0x3D => 1,
        0x29 | 0x2B | 0x37 | 0x39 => 3,
        _ => 2,
    };
    let (align @ 0..=3, behind) = code.split_first()? else { return None };
    let (offset, behind) = number(behind)?;
    let target = MemArgTarget::Memory(0);
    let offset = u64::from(offset);
    Some((MemArg { align: *align, max_align, offset, target, ordering: None }, behind))
}

#[cfg(test)]
mod tests {
    use wasmparser::{FuncValidatorAllocations, OperatorsReader};

    use super::super::load::{invalid, load_whole};
    use super::super::{Limits, Validation};
    use crate::error::LoadError;

    /// A function of such a body in a module that has one of everything; its locals are numbered by
    /// their types: i32, i64, f32, f64.
    fn module(body: &[u8]) -> Vec<u8> {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        // A type without parameters and results, and one with one of each.
        module.extend([1, 9, 2, 0x60, 0, 0, 0x60, 1, 0x7F, 1, 0x7F]);
        module.extend([3, 3, 2, 0, 1]);
        module.extend([4, 4, 1, 0x70, 0, 1]);
        module.extend([5, 3, 1, 0, 1]);
        module.extend([6, 11, 2, 0x7F, 1, 0x41, 0, 0x0B, 0x7E, 0, 0x42, 0, 0x0B]);
        let locals = [4, 1, 0x7F, 1, 0x7E, 1, 0x7D, 1, 0x7C];
        let len = (locals.len() + body.len()) as u8;
        module.extend([10, len + 2 + 5, 2, len]);
        module.extend(locals);
        module.extend(body);
        module.extend([4, 0, 0x20, 0, 0x0B]);
        module
    }

    /// What wasmparser says of the module's bodies, and what this crate does.
    fn verdicts(module: &[u8]) -> [Result<(), LoadError>; 2] {
        let bodies = load_whole(module, &Limits::default()).expect("sections are valid").1;
        let by_wasmparser = bodies.functions().try_for_each(|function| {
            let to_validate = bodies.to_validate(function);
            let mut validator = to_validate.into_validator(FuncValidatorAllocations::default());
            let mut reader = bodies.reader(function);
            validator.read_locals(&mut reader).map_err(invalid)?;
            let mut operators = OperatorsReader::new(reader);
            while !operators.eof() {
                let offset = operators.original_position();
                operators
                    .visit_operator(&mut validator.simd_visitor(offset))
                    .and_then(|result| result)
                    .map_err(invalid)?;
            }
            operators.finish().map_err(invalid)
        });
        let mut validation = Validation::default();
        let mut validate = |function| bodies.validate(function, &mut validation).map(drop);
        let here = bodies.functions().try_for_each(&mut validate);
        [by_wasmparser, here]
    }

    fn check(body: &[u8]) -> bool {
        let [by_wasmparser, here] = verdicts(&module(body)).map(|verdict| format!("{verdict:?}"));
        assert_eq!(here, by_wasmparser, "{body:02x?}");
        here == "Ok(())"
    }

    /// Every operator of one byte, behind operands of all types and before all kinds of immediates,
    /// good ones and bad ones.
    #[test]
    fn operators_are_valid_here_if_wasmparser_says_so() {
        let get = |types: &[u8]| types.iter().flat_map(|ty| [0x20, *ty]).collect::<Vec<_>>();
        let mut operands = vec![vec![], get(&[0, 0, 0]), get(&[1, 1, 0]), get(&[2, 3, 0])];
        for ty in 0..4 {
            operands.push(get(&[ty]));
            operands.extend((0..4).map(|other| get(&[other, ty])));
        }
        let immediates: [&[u8]; 24] = [
            &[],
            &[0],
            &[1],
            &[4],
            &[0x7F],
            &[0x40, 0x0B],
            &[0x7F, 0x20, 0, 0x0B],
            &[0x7B, 0x0B],
            &[0, 0],
            &[1, 0],
            &[2, 0x7F],
            &[3, 0xFF, 0x7F],
            &[4, 0],
            &[0x10, 0],
            &[0x42, 0, 0],
            &[0x80, 0],
            &[0x81, 0x80, 0],
            &[0x82, 0x80, 0x80, 0],
            &[0x80, 0x80, 0x80, 0x80, 0],
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0],
            &[0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
            &[0, 0x80, 0x80, 0x80, 0x80, 0x10],
            &[0, 0xFF, 0xFF, 0xFF, 0x7F],
            &[0x80],
        ];
        let mut valid = 0;
        for opcode in (0..=0xFF).step_by(if cfg!(miri) { 96 } else { 1 }) {
            for operands in operands.iter().step_by(if cfg!(miri) { 7 } else { 1 }) {
                for immediate in immediates.into_iter().step_by(if cfg!(miri) { 5 } else { 1 }) {
                    // What it leaves is dropped, if it leaves something.
                    let drop = if !(0x20..=0x24).contains(&opcode) { &[0x1A][..] } else { &[] };
                    let body = [operands, &[opcode][..], immediate, drop, &[0x0B]].concat();
                    valid += usize::from(check(&body));
                }
            }
        }
        assert!(valid > if cfg!(miri) { 0 } else { 300 }, "{valid} are valid");
    }

    /// Bodies of several operators, of blocks too: some end in the middle, some go on behind the end.
    #[test]
    fn bodies_are_valid_here_if_wasmparser_says_so() {
        const BYTES: [u8; 24] = [
            0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x0B, 0x0B, 0x0B, 0x0C, 0x0D, 0x0F, 0x10, 0x1A,
            0x1B, 0x20, 0x21, 0x40, 0x41, 0x45, 0x6A, 0x7F, 0x80, 0xFC,
        ];
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let mut valid = 0;
        for _ in 0..if cfg!(miri) { 40 } else { 20_000 } {
            let mut body = Vec::new();
            for _ in 0..random >> 61 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                body.push(BYTES[(random >> 32) as usize % BYTES.len()]);
            }
            random = random.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
            body.push(0x0B);
            valid += usize::from(check(&body));
        }
        assert!(valid > if cfg!(miri) { 0 } else { 300 }, "{valid} are valid");
    }
}
