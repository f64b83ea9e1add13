//! Labels and the fields that wait for them.
//!
//! Owns the two arrays behind labels. Each unbound label heads a chain of
//! fixups threaded through one shared array, so a new label, a new fixup and a
//! binding are a few stores each and nothing is hashed or allocated per label.

use super::buffer::CodeBuffer;

/// A position in the code, known now or later.
///
/// Only meaningful to the assembler that made it, until that is cleared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Label(u32);

/// What a field becomes once its label is bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FixupKind {
    /// A signed byte, relative to the end of the field.
    Rel8,
    /// A signed 32-bit number, relative to the end of the field.
    Rel32,
    /// The label's offset is added to the 32-bit field.
    Add32,
    /// The label's offset is subtracted from the 32-bit field.
    Sub32,
}

impl FixupKind {
    /// Writes the field at `at`, given the offset of the label.
    #[inline]
    pub(super) fn apply(self, buf: &mut CodeBuffer, at: u32, target: u32) {
        match self {
            Self::Rel8 => {
                let distance = target.wrapping_sub(at + 1).cast_signed();
                let Ok(rel8) = i8::try_from(distance) else {
                    panic!("short jump at {at:#x} cannot reach {target:#x}");
                };
                buf.patch_u8(at, rel8.cast_unsigned());
            }
            Self::Rel32 => buf.patch_u32(at, target.wrapping_sub(at + 4)),
            Self::Add32 => buf.add_u32(at, target),
            Self::Sub32 => buf.add_u32(at, target.wrapping_neg()),
        }
    }
}

/// End of a chain, and the offset of an unbound label: no offset gets this far.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct LabelState {
    /// Where the label is bound, or `NONE`.
    offset: u32,
    /// The latest fixup waiting for it, or `NONE`.
    fixups: u32,
}

#[derive(Clone, Copy, Debug)]
struct Fixup {
    /// Offset of the field.
    at: u32,
    /// The next fixup of the same label, or the next free one, or `NONE`.
    next: u32,
    kind: FixupKind,
}

/// The labels of one assembler.
#[derive(Debug)]
pub(super) struct Labels {
    labels: Vec<LabelState>,
    fixups: Vec<Fixup>,
    /// Head of the chain of resolved fixups, to be used again.
    free: u32,
}

impl Labels {
    pub(super) const fn new() -> Self {
        Self { labels: Vec::new(), fixups: Vec::new(), free: NONE }
    }

    /// Forgets every label but keeps the allocations.
    pub(super) fn clear(&mut self) {
        self.labels.clear();
        self.fixups.clear();
        self.free = NONE;
    }

    #[inline]
    pub(super) fn new_label(&mut self) -> Label {
        let label = Label(self.labels.len() as u32);
        self.labels.push(LabelState { offset: NONE, fixups: NONE });
        label
    }

    #[inline]
    pub(super) fn offset(&self, label: Label) -> Option<u32> {
        let offset = self.labels[label.0 as usize].offset;
        (offset != NONE).then_some(offset)
    }

    /// Writes the field at `at` now if `label` is bound, otherwise as soon as
    /// it is.
    #[inline]
    pub(super) fn resolve(&mut self, label: Label, buf: &mut CodeBuffer, at: u32, kind: FixupKind) {
        match self.offset(label) {
            Some(target) => kind.apply(buf, at, target),
            None => self.wait(label, at, kind),
        }
    }

    /// Chains a fixup to `label`, which must be unbound.
    #[inline]
    pub(super) fn wait(&mut self, label: Label, at: u32, kind: FixupKind) {
        let state = &mut self.labels[label.0 as usize];
        debug_assert_eq!(state.offset, NONE, "a bound label resolves at once");
        let fixup = Fixup { at, next: state.fixups, kind };
        if let Some(slot) = self.fixups.get_mut(self.free as usize) {
            state.fixups = self.free;
            self.free = slot.next;
            *slot = fixup;
        } else {
            state.fixups = self.fixups.len() as u32;
            self.fixups.push(fixup);
        }
    }

    /// Puts `label` at the end of the code and resolves what waited for it.
    #[inline]
    pub(super) fn bind(&mut self, label: Label, buf: &mut CodeBuffer) {
        let state = &mut self.labels[label.0 as usize];
        debug_assert_eq!(state.offset, NONE, "label bound twice");
        let target = buf.offset();
        state.offset = target;
        let mut pending = std::mem::replace(&mut state.fixups, NONE);
        while let Some(fixup) = self.fixups.get_mut(pending as usize) {
            fixup.kind.apply(buf, fixup.at, target);
            let next = std::mem::replace(&mut fixup.next, self.free);
            self.free = pending;
            pending = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not visible from outside, where a lost entry is only a waste.
    #[test]
    fn resolved_fixups_are_used_again() {
        let mut labels = Labels::new();
        let mut buf = CodeBuffer::new();
        buf.put(0, 16);
        for _ in 0..100 {
            let (first, second) = (labels.new_label(), labels.new_label());
            for at in [0, 4, 8] {
                labels.wait(first, at, FixupKind::Rel32);
            }
            labels.wait(second, 12, FixupKind::Rel32);
            labels.bind(first, &mut buf);
            labels.wait(second, 0, FixupKind::Rel32);
            labels.bind(second, &mut buf);
            assert_eq!(labels.fixups.len(), 4);
        }
        let lost = labels.new_label();
        labels.wait(lost, 0, FixupKind::Rel32);
        labels.clear();
        assert!(labels.fixups.is_empty());
    }
}
