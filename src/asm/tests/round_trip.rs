//! How a form is swept and judged: every register, addresses and immediates
//! around the limits of each encoding, compared with what the disassembler reads
//! and with the shortest length the form promises. The forms are in `sweeps`.

use std::fmt::Arguments;

use super::*;
use iced_x86::{Mnemonic, OpKind, Register};

/// An operand of a form, and where its value comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand {
    /// The n-th picked register, as a general register of this size.
    R(usize, Size),
    /// The n-th picked register, as an SSE register.
    X(usize),
    /// The picked address, of this many bytes; 0 if it is not accessed.
    M(usize),
    /// The picked immediate, compared in this many bits.
    I(u32),
    /// The register `cl`.
    Cl,
}
use Operand::*;

/// The operand values of one instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pick {
    pub(super) registers: [u8; 3],
    pub(super) address: Address,
    pub(super) imm: i32,
}

impl Pick {
    pub(super) fn r(&self, slot: usize) -> Gpr {
        Gpr::from_index(self.registers[slot])
    }

    pub(super) fn x(&self, slot: usize) -> Xmm {
        Xmm::from_index(self.registers[slot])
    }

    pub(super) fn m(&self) -> Mem {
        self.address.mem()
    }
}

type Emit = Box<dyn Fn(&mut Assembler, &Pick)>;

/// A method of the assembler and what its output must read as.
pub(super) struct Form {
    emit: Emit,
    mnemonic: Mnemonic,
    operands: Vec<Operand>,
}

pub(super) fn form(
    mnemonic: Mnemonic,
    operands: impl Into<Vec<Operand>>,
    emit: impl Fn(&mut Assembler, &Pick) + 'static,
) -> Form {
    Form { emit: Box::new(emit), mnemonic, operands: operands.into() }
}

/// An address as the test states it, before [`Mem`] picks an encoding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    pub(super) base: Option<Gpr>,
    pub(super) index: Option<(Gpr, Scale)>,
    pub(super) disp: i32,
}

const SCALES: [Scale; 4] = [Scale::X1, Scale::X2, Scale::X4, Scale::X8];
pub(super) const ALUS: [(Alu, Mnemonic); 8] = [
    (Alu::Add, Mnemonic::Add),
    (Alu::Or, Mnemonic::Or),
    (Alu::Adc, Mnemonic::Adc),
    (Alu::Sbb, Mnemonic::Sbb),
    (Alu::And, Mnemonic::And),
    (Alu::Sub, Mnemonic::Sub),
    (Alu::Xor, Mnemonic::Xor),
    (Alu::Cmp, Mnemonic::Cmp),
];
pub(super) const SHIFTS: [(Shift, Mnemonic); 5] = [
    (Shift::Rol, Mnemonic::Rol),
    (Shift::Ror, Mnemonic::Ror),
    (Shift::Shl, Mnemonic::Shl),
    (Shift::Shr, Mnemonic::Shr),
    (Shift::Sar, Mnemonic::Sar),
];

/// Around the limits of each displacement and immediate size.
pub(super) const NUMBERS: [i32; 15] =
    [0, 1, -1, 127, 128, -128, -129, 255, 256, 32767, 32768, -32769, 65535, i32::MAX, i32::MIN];

impl Address {
    /// Every base, index and scale, without displacement.
    pub(super) fn shapes() -> Vec<Self> {
        let mut shapes = Vec::new();
        let indexes: Vec<_> = Gpr::ALL
            .into_iter()
            .filter(|&index| index != Gpr::Rsp)
            .flat_map(|index| SCALES.map(|scale| (index, scale)))
            .collect();
        for base in Gpr::ALL.map(Some).into_iter().chain([None]) {
            if base.is_some() {
                shapes.push(Self { base, index: None, disp: 0 });
            }
            for &index in &indexes {
                shapes.push(Self { base, index: Some(index), disp: 0 });
            }
        }
        shapes
    }

    fn mem(self) -> Mem {
        match (self.base, self.index) {
            (Some(base), None) => Mem::base(base, self.disp),
            (Some(base), Some((index, scale))) => Mem::indexed(base, index, scale, self.disp),
            (None, Some((index, scale))) => Mem::index_only(index, scale, self.disp),
            (None, None) => unreachable!("no such shape"),
        }
    }

    /// How often each register enters the sum.
    fn coefficients(self) -> [u32; 16] {
        let mut coefficients = [0; 16];
        if let Some(base) = self.base {
            coefficients[base.index() as usize] += 1;
        }
        if let Some((index, scale)) = self.index {
            coefficients[index.index() as usize] += 1 << scale as u32;
        }
        coefficients
    }

    /// The fewest bytes a displacement can take, over all ways to write the
    /// address.
    fn shortest_displacement(self) -> usize {
        let good = |base: Gpr| !matches!(base, Gpr::Rbp | Gpr::R13);
        let zero = match (self.base, self.index) {
            (None, Some((_, Scale::X4 | Scale::X8))) => return 4,
            (None, Some((index, _))) => good(index),
            (Some(base), Some((index, Scale::X1))) => good(base) || good(index),
            (base, _) => base.is_some_and(good),
        };
        match self.disp {
            0 if zero => 0,
            -128..=127 => 1,
            _ => 4,
        }
    }
}

pub(super) fn gpr(register: Gpr, size: Size) -> Register {
    use Register::*;
    let n = register.index();
    match size {
        Size::S8 => {
            [AL, CL, DL, BL, SPL, BPL, SIL, DIL, R8L, R9L, R10L, R11L, R12L, R13L, R14L, R15L]
                [n as usize]
        }
        Size::S16 => AX + u32::from(n),
        Size::S32 => EAX + u32::from(n),
        Size::S64 => RAX + u32::from(n),
    }
}

/// Where the parts of an instruction are; only as much as the checks need.
pub(super) struct Layout {
    pub(super) rex: Option<u8>,
    pub(super) opcode_at: usize,
    modrm_at: usize,
    /// REX.X, or what VEX has in its place.
    extends_index: bool,
}

pub(super) fn layout(bytes: &[u8]) -> Layout {
    let mut at = 0;
    while matches!(bytes[at], 0x66 | 0xF2 | 0xF3) {
        at += 1;
    }
    let rex = (bytes[at] & 0xF0 == 0x40).then_some(bytes[at]);
    at += usize::from(rex.is_some());
    let opcode_at = at;
    let (modrm_at, vex_x) = match bytes[at..] {
        [0xC4, byte, ..] => (at + 4, byte & 0x40 == 0),
        [0xC5, ..] => (at + 3, false),
        [0x0F, 0x38 | 0x3A, ..] => (at + 3, false),
        [0x0F, ..] => (at + 2, false),
        _ => (at + 1, false),
    };
    let extends_index = vex_x || rex.is_some_and(|rex| rex & 0b10 != 0);
    Layout { rex, opcode_at, modrm_at, extends_index }
}

/// Checks one instruction against the form and the values it was made of.
pub(super) fn check(form: &Form, pick: &Pick) {
    let bytes = assemble(|a| (form.emit)(a, pick));
    if cfg!(miri) {
        return;
    }
    let mut decoder = Decoder::with_ip(64, &bytes, 0, DecoderOptions::NONE);
    let instruction = decoder.decode();
    let constants = decoder.get_constant_offsets(&instruction);
    let (mnemonic, operands) = (form.mnemonic, &form.operands);
    let context = format_args!("{bytes:02X?} = {mnemonic:?} {operands:?} {pick:?}");

    assert_eq!(instruction.mnemonic(), form.mnemonic, "{context}");
    assert_eq!(instruction.len(), bytes.len(), "{context}");
    assert_eq!(instruction.op_count() as usize, form.operands.len(), "{context}");
    let layout = layout(&bytes);
    let rex = layout.rex.unwrap_or(0);
    let mut needs_rex = rex & 0b1111 != 0;

    for (i, &operand) in form.operands.iter().enumerate() {
        let i = i as u32;
        match operand {
            R(slot, size) => {
                let register = gpr(pick.r(slot), size);
                assert_eq!(instruction.op_register(i), register, "{context}");
                needs_rex |= matches!(
                    register,
                    Register::SPL | Register::BPL | Register::SIL | Register::DIL
                );
            }
            X(slot) => {
                let register = Register::XMM0 + u32::from(pick.registers[slot]);
                assert_eq!(instruction.op_register(i), register, "{context}");
            }
            Cl => assert_eq!(instruction.op_register(i), Register::CL, "{context}"),
            M(size) => {
                assert_eq!(instruction.op_kind(i), OpKind::Memory, "{context}");
                if size != 0 {
                    assert_eq!(instruction.memory_size().size(), size, "{context}");
                }
                check_address(&instruction, pick.address, context);
                let displacement = constants.displacement_size();
                assert_eq!(displacement, pick.address.shortest_displacement(), "{context}");
                let sib = bytes[layout.modrm_at] & 7 == 4;
                let sib_needed = instruction.memory_index() != Register::None
                    || matches!(instruction.memory_base(), Register::RSP | Register::R12);
                assert_eq!(sib, sib_needed, "{context}");
                let tail = usize::from(sib) + displacement + constants.immediate_size();
                assert_eq!(bytes.len(), layout.modrm_at + 1 + tail, "{context}");
                // This bit must be there for the index alone.
                let high_index = instruction.memory_index().number() >= 8
                    && instruction.memory_index() != Register::None;
                assert_eq!(layout.extends_index, high_index, "{context}");
            }
            I(bits) => {
                let mask = u64::MAX >> (64 - bits);
                let value = pick.imm as i64 as u64;
                assert_eq!(instruction.immediate(i) & mask, value & mask, "{context}");
                check_immediate(&instruction, constants.immediate_size(), bits, pick, context);
                // The accumulator has opcodes of its own, without ModRM.
                let first_is_rax =
                    matches!(form.operands[0], R(slot, _) if pick.registers[slot] == 0);
                let has_short = form.mnemonic == Mnemonic::Test || is_alu(form.mnemonic);
                let imm8_is_shorter = bits > 8 && constants.immediate_size() == 1;
                let expected = first_is_rax && has_short && !imm8_is_shorter;
                let opcode = bytes[layout.opcode_at];
                let is_short = matches!(opcode, 0xA8 | 0xA9) || opcode & 0xC6 == 0x04;
                assert_eq!(is_short, expected, "{context}");
            }
        }
    }
    assert_eq!(layout.rex.is_some(), needs_rex, "{context}");
}

fn is_alu(mnemonic: Mnemonic) -> bool {
    ALUS.iter().any(|&(_, alu)| alu == mnemonic)
}

/// The disassembled address is the stated sum of registers, spelled as stated
/// unless another spelling is shorter.
fn check_address(instruction: &Instruction, stated: Address, context: Arguments) {
    let register = |register: Register| {
        (register != Register::None).then(|| {
            assert_eq!(register.size(), 8, "{context}");
            Gpr::from_index(register.number() as u8)
        })
    };
    let scale = match instruction.memory_index_scale() {
        1 => Scale::X1,
        2 => Scale::X2,
        4 => Scale::X4,
        _ => Scale::X8,
    };
    let read = Address {
        base: register(instruction.memory_base()),
        index: register(instruction.memory_index()).map(|index| (index, scale)),
        disp: instruction.memory_displacement64() as i32,
    };
    assert_eq!(i64::from(stated.disp), instruction.memory_displacement64() as i64, "{context}");
    assert_eq!(read.coefficients(), stated.coefficients(), "{context}");
    let swappable = stated.disp == 0
        && matches!(stated.base, Some(Gpr::Rbp | Gpr::R13))
        && matches!(stated.index, Some((_, Scale::X1)));
    if stated.base.is_some() && !swappable {
        assert_eq!((read.base, read.index), (stated.base, stated.index), "{context}");
    }
}

/// No immediate is longer than the shortest form the instruction has.
fn check_immediate(
    instruction: &Instruction,
    size: usize,
    bits: u32,
    pick: &Pick,
    context: Arguments,
) {
    let full = (bits / 8).min(4) as usize;
    let mnemonic = instruction.mnemonic();
    let expected = if is_alu(mnemonic) || matches!(mnemonic, Mnemonic::Imul | Mnemonic::Push) {
        let value = if bits == 16 { i32::from(pick.imm as i16) } else { pick.imm };
        if i8::try_from(value).is_ok() { 1 } else { full }
    } else if SHIFTS.iter().any(|&(_, shift)| shift == mnemonic) {
        usize::from(pick.imm as u8 != 1)
    } else {
        full
    };
    assert_eq!(size, expected, "{context}");
}

/// Runs `form` with all its registers, or all pairs or triples of them, and a
/// spread of addresses and immediates.
fn sweep(form: &Form, shapes: &[Address], random: &mut Random) {
    let has = |test: fn(&Operand) -> bool| form.operands.iter().any(test);
    let slots = form
        .operands
        .iter()
        .filter_map(|operand| match operand {
            R(slot, _) | X(slot) => Some(slot + 1),
            _ => None,
        })
        .max()
        .unwrap_or(0);
    let combinations = 1_usize << (4 * slots);
    // In Miri few, at random.
    let tried = if cfg!(miri) { combinations.min(2) } else { combinations };
    for at in 0..tried {
        let combination = if cfg!(miri) { random.below(combinations) } else { at };
        let registers = [0, 1, 2].map(|slot| (combination >> (4 * slot) & 15) as u8);
        let addresses = if has(|operand| matches!(operand, M(_))) { times(40) } else { 1 };
        let immediates: &[i32] = match has(|operand| matches!(operand, I(_))) {
            true if cfg!(miri) => &[-1, i32::MAX],
            true => &NUMBERS,
            false => &[0],
        };
        for _ in 0..addresses {
            let address = Address { disp: random.pick(&NUMBERS), ..random.pick(shapes) };
            for &imm in immediates {
                check(form, &Pick { registers, address, imm });
            }
        }
    }
}

pub(super) fn sweep_all(forms: &[Form]) {
    let shapes = Address::shapes();
    let mut random = Random::new();
    for form in forms {
        sweep(form, &shapes, &mut random);
    }
}

/// Like [`sweep_all`] for the hundreds of vector forms, which are encoded by one function: every
/// register once in every place, with other ones in the other places, and a spread of addresses and
/// immediates.
pub(super) fn sweep_vectors(forms: &[Form]) {
    let shapes = Address::shapes();
    let mut random = Random::new();
    for form in forms {
        for round in (0..64).take(times(64)) {
            let registers = [round & 15, (round / 16 * 5 + round) & 15, (round / 4) & 15];
            let address = Address { disp: random.pick(&NUMBERS), ..random.pick(&shapes) };
            check(form, &Pick { registers, address, imm: random.pick(&NUMBERS) });
        }
    }
}
