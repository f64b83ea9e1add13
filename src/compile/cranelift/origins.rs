//! Where in the module instructions come from.
//!
//! Owns what Cranelift is told to keep with them, and what that means: for traps, which tell of a function in
//! the place of a call as if it had been called, and for loads that became operands of other instructions.

use cranelift_codegen::ir::{SourceLoc, TrapCode as ClifTrapCode};

use crate::compile::{CallSite, InlinedSite, TrapSite};
use crate::module::SmallFunction;

/// The origins of a function's instructions.
///
/// While it is compiled, an operator is known by its *position*: the offset that it would have in the module
/// if the function had the operators of its callees behind its calls. So positions ascend in the order of
/// translation, and each stands for one operator.
#[derive(Default)]
pub(super) struct Origins {
    taken: Vec<Taken>,
    /// How many bytes of operators were taken in.
    bytes: u32,
    /// The positions of the accesses to memories.
    accesses: Vec<u32>,
}

/// A function in the place of a call.
struct Taken {
    /// The position of its first operator.
    start: u32,
    /// How far the operators behind it have moved.
    shift: u32,
    /// The offset of the call.
    call: u32,
    function: u32,
    /// The offset of its first operator.
    body: u32,
    /// How many bytes of operators.
    len: u32,
}

/// The traps of accesses to memories have codes from this one on, in turns.
const FIRST_ACCESS: u8 = 64;
const ACCESSES: usize = 128;

/// Which access a trap's code stands for, if it is of one, or that with any multiple of [`ACCESSES`] more.
pub(super) fn access_of(code: ClifTrapCode) -> Option<usize> {
    let number = usize::from(code.as_raw().get()).checked_sub(usize::from(FIRST_ACCESS))?;
    (number < ACCESSES).then_some(number)
}

impl Origins {
    pub(super) fn clear(&mut self) {
        self.taken.clear();
        self.accesses.clear();
        self.bytes = 0;
    }

    /// Notes that the operator at this position accesses a memory. Returns the code that the trap is to have:
    /// it stays with the access, where the position is lost if it becomes part of another instruction.
    pub(super) fn access(&mut self, position: SourceLoc) -> ClifTrapCode {
        let number = self.accesses.len() % ACCESSES;
        self.accesses.push(position.bits());
        ClifTrapCode::unwrap_user(FIRST_ACCESS + number as u8)
    }

    /// The position of the access with this code that is nearest to a position: to that of the instruction that
    /// it became part of.
    pub(super) fn position_of(&self, access: usize, near: u32) -> u32 {
        let turn = |turn: usize| self.accesses.get(access + turn * ACCESSES).copied();
        let (mut low, mut high) = (0, self.accesses.len() / ACCESSES + 1);
        while low < high {
            let middle = low.midpoint(high);
            if turn(middle).is_some_and(|position| position < near) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let candidates = [low.checked_sub(1).and_then(turn), turn(low)];
        let nearest = candidates.into_iter().flatten().min_by_key(|at| at.abs_diff(near));
        nearest.unwrap_or(near)
    }

    /// How many bytes of operators were taken in: so far has an operator of the function's own moved that
    /// stands behind all of them.
    pub(super) fn bytes(&self) -> u32 {
        self.bytes
    }

    /// Notes that this function takes the place of the call at this position. Returns the position of its
    /// first operator.
    pub(super) fn take(&mut self, small: &SmallFunction, call: u32) -> u32 {
        // Behind the call, which takes two bytes at least.
        let start = call + 1;
        let len = small.len();
        let before = self.bytes;
        self.bytes += len;
        self.taken.push(Taken {
            start,
            shift: self.bytes,
            call: call - before,
            function: small.function,
            body: small.offset as u32,
            len,
        });
        start
    }

    /// The offset of the function's own operator at a position, the call of what was taken in; and of what
    /// was taken in, the function and the offset of its operator.
    pub(super) fn locate(&self, position: u32) -> (u32, Option<(u32, u32)>) {
        self.locate_near(position, &mut 0)
    }

    /// As [`Inlined::locate`], sooner if `near` is from the position before, in the order of positions.
    fn locate_near(&self, position: u32, near: &mut usize) -> (u32, Option<(u32, u32)>) {
        let starts = |at: usize| self.taken.get(at).map_or(u32::MAX, |taken| taken.start);
        let is_behind = |at: usize| at == 0 || starts(at - 1) <= position;
        if !is_behind(*near) || position >= starts(*near) {
            *near = self.taken.partition_point(|taken| taken.start <= position);
        }
        match self.taken[..*near].last() {
            None => (position, None),
            Some(taken) if position - taken.start < taken.len => {
                (taken.call, Some((taken.function, taken.body + (position - taken.start))))
            }
            Some(taken) => (position - taken.shift, None),
        }
    }

    /// Gives trap sites their offsets in the module, where they have positions yet, and tells which of them
    /// were taken in.
    pub(super) fn locate_traps(&self, traps: &mut [TrapSite], inlined: &mut Vec<InlinedSite>) {
        if self.taken.is_empty() {
            return;
        }
        let mut near = 0;
        for trap in traps {
            let (own, callee) = self.locate_near(trap.wasm_offset, &mut near);
            trap.wasm_offset = own;
            if let Some((function, wasm_offset)) = callee {
                inlined.push(InlinedSite { offset: trap.offset, function, wasm_offset });
            }
        }
    }

    /// As [`Inlined::locate_traps`]. Nothing that is taken in calls.
    pub(super) fn locate_calls(&self, calls: &mut [CallSite]) {
        if self.taken.is_empty() {
            return;
        }
        let mut near = 0;
        for call in calls {
            (call.wasm_offset, _) = self.locate_near(call.wasm_offset, &mut near);
        }
    }
}
