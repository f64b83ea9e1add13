//! Labels, fixups and the code buffer.

use super::*;
use iced_x86::{Mnemonic, Register};

/// Everything an assembler can do with a label, `gap` bytes apart.
fn forward(gap: usize, refer: impl FnOnce(&mut Assembler, Label)) -> Vec<u8> {
    assemble(|a| {
        let label = a.new_label();
        refer(a, label);
        for _ in 0..gap {
            a.int3();
        }
        a.bind(label);
    })
}

fn backward(gap: usize, refer: impl FnOnce(&mut Assembler, Label)) -> Vec<u8> {
    assemble(|a| {
        let label = a.new_label();
        a.bind(label);
        for _ in 0..gap {
            a.int3();
        }
        refer(a, label);
    })
}

/// Reads the branch at `at` and checks that it goes to `target`.
fn assert_branch(code: &[u8], at: usize, len: usize, target: usize) {
    let Some(instruction) = decode(&code[at..at + len]) else { return };
    let relative = instruction.near_branch_target().wrapping_add(at as u64);
    assert_eq!(relative, target as u64, "{}", hex(&code[at..at + len]));
}

#[test]
fn forward_jumps_are_long() {
    for gap in [0, 1, 127, 128, 129, 5000] {
        let code = forward(gap, |a, label| a.jmp(label));
        assert_branch(&code, 0, 5, 5 + gap);
        let code = forward(gap, |a, label| a.jcc(Cond::G, label));
        assert_branch(&code, 0, 6, 6 + gap);
        let code = forward(gap, |a, label| a.call_label(label));
        assert_branch(&code, 0, 5, 5 + gap);
    }
}

#[test]
fn backward_jumps_are_short_while_they_reach() {
    let most = if cfg!(miri) { 134 } else { 400 };
    for gap in some_of(0..most) {
        // A short jump ends two bytes after it starts, so -128 is a gap of 126.
        let short = gap <= 126;
        let code = backward(gap, |a, label| a.jmp(label));
        assert_eq!(code.len() - gap, if short { 2 } else { 5 });
        assert_branch(&code, gap, code.len() - gap, 0);
        let code = backward(gap, |a, label| a.jcc(Cond::Be, label));
        assert_eq!(code.len() - gap, if short { 2 } else { 6 });
        assert_branch(&code, gap, code.len() - gap, 0);
        let code = backward(gap, |a, label| a.call_label(label));
        assert_branch(&code, gap, 5, 0);
    }
    assert_eq!(backward(126, |a, label| a.jmp(label))[126..], [0xEB, 0x80]);
    assert_eq!(backward(127, |a, label| a.jmp(label))[127..], [0xE9, 0x7C, 0xFF, 0xFF, 0xFF]);
}

#[test]
fn forced_short_jumps_reach_their_limits() {
    for gap in some_of((0..=127).rev()) {
        let code = forward(gap, |a, label| a.jmp_short(label));
        assert_branch(&code, 0, 2, 2 + gap);
        let code = forward(gap, |a, label| a.jcc_short(Cond::Np, label));
        assert_branch(&code, 0, 2, 2 + gap);
    }
    for gap in some_of((0..=126).rev()) {
        let code = backward(gap, |a, label| a.jmp_short(label));
        assert_branch(&code, gap, 2, 0);
        let code = backward(gap, |a, label| a.jcc_short(Cond::Np, label));
        assert_branch(&code, gap, 2, 0);
    }
}

#[test]
#[should_panic(expected = "short jump at 0x1 cannot reach 0x82")]
fn forward_short_jump_out_of_reach_panics() {
    forward(128, |a, label| a.jmp_short(label));
}

#[test]
#[should_panic(expected = "short jump at 0x80 cannot reach 0x0")]
fn backward_short_jump_out_of_reach_panics() {
    backward(127, |a, label| a.jcc_short(Cond::E, label));
}

#[test]
fn lea_of_a_label_is_relative_to_its_end() {
    for dst in some_of(Gpr::ALL) {
        let code = forward(1000, |a, label| a.lea_label(dst, label));
        if let Some(instruction) = decode(&code[..7]) {
            assert_eq!(instruction.mnemonic(), Mnemonic::Lea);
            assert_eq!(instruction.op0_register(), Register::RAX + u32::from(dst.index()));
            assert_eq!(instruction.memory_base(), Register::RIP);
            assert_eq!(instruction.memory_displacement64(), 1007);
        }
        let code = backward(1000, |a, label| a.lea_label(dst, label));
        assert_eq!(code[1003..], (-1007_i32).to_le_bytes());
    }
}

#[test]
fn many_fixups_of_every_kind_on_one_label() {
    let mut a = Assembler::new();
    let (label, other) = (a.new_label(), a.new_label());
    let mut jumps = Vec::new();
    for i in 0..1000 {
        jumps.push(a.offset());
        match i % 4 {
            0 => a.jmp(label),
            1 => a.jcc(Cond::ALL[i % 16], label),
            2 => a.call_label(label),
            _ => a.jmp(other),
        }
    }
    let table = a.offset();
    a.emit_table_entry(label, other);
    assert!(!a.is_bound(label));
    assert_eq!(a.label_offset(label), None);
    let short = a.offset();
    a.jmp_short(label);
    a.int3();
    a.bind(label);
    let target = a.offset();
    a.int3();
    a.bind(other);
    assert!(a.is_bound(label));
    assert_eq!(a.label_offset(label), Some(target));
    assert_eq!(a.label_offset(other), Some(target + 1));

    let code = a.buf.bytes();
    for (i, &at) in jumps.iter().enumerate() {
        let end = jumps.get(i + 1).map_or(table, |&next| next);
        let goal = if i % 4 == 3 { target + 1 } else { target };
        assert_branch(code, at as usize, (end - at) as usize, goal as usize);
    }
    assert_branch(code, short as usize, 2, target as usize);
    assert_eq!(table_entry(code, table), -1);
}

fn table_entry(code: &[u8], at: u32) -> i32 {
    let at = at as usize;
    i32::from_le_bytes(code[at..at + 4].try_into().unwrap())
}

#[test]
fn table_entries_in_every_order_of_binding() {
    // Three entries; either label is bound before one of them or after all.
    for (first, second) in (0..4).flat_map(|first| (0..4).map(move |second| (first, second))) {
        let mut a = Assembler::new();
        let (target, base) = (a.new_label(), a.new_label());
        let mut entries = Vec::new();
        for step in 0..4 {
            if step == first {
                a.nop(3);
                a.bind(target);
            }
            if step == second {
                a.nop(7);
                a.bind(base);
            }
            if step < 3 {
                entries.push(a.offset());
                a.emit_table_entry(target, base);
            }
        }
        let expected =
            a.label_offset(target).unwrap() as i32 - a.label_offset(base).unwrap() as i32;
        assert_ne!(expected, 0);
        for at in entries {
            assert_eq!(table_entry(a.buf.bytes(), at), expected, "{first} {second}");
        }
    }
}

#[test]
fn table_entry_of_the_base_itself_is_zero() {
    let mut a = Assembler::new();
    let label = a.new_label();
    a.nop(5);
    a.emit_table_entry(label, label);
    a.bind(label);
    a.emit_table_entry(label, label);
    assert_eq!(table_entry(a.buf.bytes(), 5), 0);
    assert_eq!(table_entry(a.buf.bytes(), 9), 0);
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "label bound twice")]
fn binding_twice_panics() {
    let mut a = Assembler::new();
    let label = a.new_label();
    a.bind(label);
    a.bind(label);
}

/// Labels and fixups of random lifetimes, resolved entries being reused, against
/// a plain list of who refers to whom.
#[test]
fn interleaved_labels_keep_their_fixups_apart() {
    let mut random = Random::new();
    let mut a = Assembler::new();
    let mut open = Vec::new();
    let mut jumps = Vec::new();
    for _ in 0..times(20_000) {
        match random.below(8) {
            0 | 1 => open.push(a.new_label()),
            2 if !open.is_empty() => {
                let label = open.swap_remove(random.below(open.len()));
                a.bind(label);
            }
            _ if !open.is_empty() => {
                let label = random.pick(&open);
                jumps.push((a.offset(), label));
                a.jmp(label);
            }
            _ => a.int3(),
        }
    }
    for label in open {
        a.bind(label);
        a.int3();
    }
    assert!(jumps.len() > times(10_000));
    for (at, label) in jumps {
        let target = a.label_offset(label).unwrap();
        assert_branch(a.buf.bytes(), at as usize, 5, target as usize);
    }
}

#[test]
fn placeholder_call_returns_its_field() {
    let mut a = Assembler::new();
    a.nop(3);
    let field = a.call_rel32_placeholder();
    assert_eq!(field, 4);
    assert_eq!(a.buf.bytes()[3..], [0xE8, 0, 0, 0, 0]);
    a.buf.patch_u32(field, 0x1000);
    assert_branch(a.buf.bytes(), 3, 5, 8 + 0x1000);
}

#[test]
fn clear_starts_afresh() {
    let mut a = Assembler::new();
    let run = |a: &mut Assembler| {
        let (back, ahead) = (a.new_label(), a.new_label());
        a.bind(back);
        // Enough waiting at once to collide with a stale chain of free entries.
        for _ in 0..4 {
            a.jmp(ahead);
        }
        let other = a.new_label();
        a.jcc(Cond::E, other);
        a.bind(other);
        a.alu_rr(Alu::Add, Size::S64, Gpr::R9, Gpr::Rsi);
        a.jmp(back);
        a.bind(ahead);
        a.ret();
        // Left unbound on purpose: clearing must forget its fixup too.
        let lost = a.new_label();
        a.jmp(lost);
        a.buf.bytes().to_vec()
    };
    let first = run(&mut a);
    for _ in 0..3 {
        a.clear();
        assert_eq!(a.offset(), 0);
        assert!(a.buf.is_empty());
        assert_eq!(run(&mut a), first);
    }
}

#[test]
fn growing_without_reserve_keeps_every_byte() {
    for mut buf in [CodeBuffer::new(), CodeBuffer::with_capacity(0), CodeBuffer::with_capacity(5)] {
        let mut expected = Vec::new();
        for i in 0..times(10_000) {
            let len = i % 17;
            let bytes: [u8; 16] = std::array::from_fn(|byte| (i * 7 + byte) as u8);
            buf.put(u128::from_le_bytes(bytes), len);
            expected.extend_from_slice(&bytes[..len]);
            if i % 100 == 0 {
                let long = vec![i as u8; i];
                buf.put_bytes(&long);
                expected.extend_from_slice(&long);
            }
        }
        assert_eq!(buf.bytes(), expected);
        assert_eq!(buf.len(), expected.len());
        assert_eq!(buf.offset() as usize, expected.len());
    }
}

#[test]
fn reserve_then_fill_exactly() {
    for count in [0, 1, 15, 16, 17, 255, 256, 4096] {
        let mut buf = CodeBuffer::new();
        buf.reserve(count);
        for i in 0..count {
            buf.put(i as u128, 1);
        }
        assert_eq!(buf.len(), count);
        assert!(buf.bytes().iter().enumerate().all(|(i, &byte)| byte == i as u8));
    }
}

#[test]
fn patch_truncate_and_align() {
    let mut buf = CodeBuffer::new();
    buf.align(16, 0xCC);
    assert!(buf.is_empty());
    buf.put_bytes(&[1, 2, 3, 4, 5, 6]);
    buf.patch_u8(5, 0x66);
    buf.patch_u32(1, 0xA1B2_C3D4);
    assert_eq!(buf.bytes(), [1, 0xD4, 0xC3, 0xB2, 0xA1, 0x66]);
    buf.add_u32(2, u32::MAX);
    assert_eq!(buf.bytes(), [1, 0xD4, 0xC2, 0xB2, 0xA1, 0x66]);
    buf.align(16, 0xCC);
    assert_eq!(buf.len(), 16);
    assert_eq!(buf.bytes()[6..], [0xCC; 10]);
    buf.align(16, 0x90);
    assert_eq!(buf.len(), 16);
    buf.truncate(3);
    assert_eq!(buf.bytes(), [1, 0xD4, 0xC2]);
    buf.put(0xEE, 1);
    assert_eq!(buf.bytes(), [1, 0xD4, 0xC2, 0xEE]);
    buf.clear();
    assert!(buf.bytes().is_empty());
}

#[test]
#[should_panic(expected = "patch beyond the end")]
fn patching_past_the_code_panics() {
    let mut buf = CodeBuffer::with_capacity(64);
    buf.put(0, 6);
    buf.patch_u32(3, 0);
}

#[test]
#[should_panic(expected = "truncate beyond the end")]
fn truncating_past_the_code_panics() {
    let mut buf = CodeBuffer::with_capacity(64);
    buf.put(0, 6);
    buf.truncate(7);
}

#[test]
fn register_sets() {
    let mut set = GprSet::of(&[Gpr::R15, Gpr::Rcx, Gpr::Rdi]);
    assert_eq!(set.len(), 3);
    assert_eq!(set.first(), Some(Gpr::Rcx));
    assert_eq!(set.iter().collect::<Vec<_>>(), [Gpr::Rcx, Gpr::Rdi, Gpr::R15]);
    set.remove(Gpr::Rcx);
    set.insert(Gpr::Rax);
    set.insert(Gpr::Rax);
    assert_eq!(set, GprSet::EMPTY.with(Gpr::Rax).with(Gpr::Rdi).with(Gpr::R15));
    assert!(set.contains(Gpr::R15) && !set.without(Gpr::R15).contains(Gpr::R15));
    let other = GprSet::of(&[Gpr::R15, Gpr::R8]);
    assert_eq!(set.union(other).len(), 4);
    assert_eq!(set.intersect(other), GprSet::of(&[Gpr::R15]));
    assert_eq!(set.minus(other), GprSet::of(&[Gpr::Rax, Gpr::Rdi]));
    assert_eq!(GprSet::of(&Gpr::ALL).iter().collect::<Vec<_>>(), Gpr::ALL);
    assert_eq!(GprSet::EMPTY.first(), None);
    assert!(GprSet::EMPTY.is_empty());
    assert_eq!(format!("{:?}", XmmSet::of(&[Xmm::Xmm9])), "{Xmm9}");
    for i in 0..16 {
        assert_eq!(Gpr::from_index(i).index(), i);
        assert_eq!(Xmm::from_index(i).index(), i);
    }
}

/// Both rewrites of a condition, against what the condition says of all pairs
/// of small numbers.
#[test]
fn rewritten_conditions_agree() {
    let holds = |cond: Cond, left: i8, right: i8| {
        let (unsigned_left, unsigned_right) = (left as u8, right as u8);
        let (difference, overflow) = left.overflowing_sub(right);
        match cond {
            Cond::O => overflow,
            Cond::No => !overflow,
            Cond::B => unsigned_left < unsigned_right,
            Cond::Ae => unsigned_left >= unsigned_right,
            Cond::E => left == right,
            Cond::Ne => left != right,
            Cond::Be => unsigned_left <= unsigned_right,
            Cond::A => unsigned_left > unsigned_right,
            Cond::S => difference < 0,
            Cond::Ns => difference >= 0,
            Cond::P => difference.count_ones() % 2 == 0,
            Cond::Np => difference.count_ones() % 2 == 1,
            Cond::L => left < right,
            Cond::Ge => left >= right,
            Cond::Le => left <= right,
            Cond::G => left > right,
        }
    };
    for cond in Cond::ALL {
        // Parity only survives the swap as the flag of an unordered comparison.
        let swaps = !matches!(cond, Cond::O | Cond::No | Cond::S | Cond::Ns | Cond::P | Cond::Np);
        assert_eq!(cond.invert().invert(), cond);
        let numbers = || (i8::MIN..=i8::MAX).step_by(if cfg!(miri) { 17 } else { 1 });
        for left in numbers() {
            for right in numbers() {
                assert_ne!(holds(cond, left, right), holds(cond.invert(), left, right));
                if swaps {
                    let swapped = cond.swap_operands();
                    assert_eq!(holds(cond, left, right), holds(swapped, right, left));
                }
            }
        }
    }
}
