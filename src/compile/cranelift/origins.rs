//! Where in the module instructions come from.
//!
//! Owns what Cranelift is told to keep with them, and what that means: for traps, which tell of a function in
//! the place of a call as if it had been called, and for loads that became operands of other instructions.

use cranelift_codegen::ir::{self, SourceLoc, TrapCode as ClifTrapCode};

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
    /// The accesses to memories: what their trap codes say of them, and their positions; sorted once all are
    /// there.
    accesses: Vec<(u8, u32)>,
    /// The positions of accesses that have the code of another, and that one's.
    shared: Vec<(u32, u32)>,
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

/// What a trap's code says of an access to a memory, if it is of one.
pub(super) fn access_of(code: ClifTrapCode) -> Option<u8> {
    let number = code.as_raw().get().checked_sub(FIRST_ACCESS)?;
    (usize::from(number) < ACCESSES).then_some(number)
}

impl Origins {
    pub(super) fn clear(&mut self) {
        self.taken.clear();
        self.accesses.clear();
        self.shared.clear();
        self.bytes = 0;
    }

    /// Notes that the operator at this position accesses a memory. Returns the code that the trap is to have:
    /// it stays with the access, where the position is lost if it becomes part of another instruction.
    pub(super) fn access(&mut self, position: SourceLoc) -> ClifTrapCode {
        let number = (self.accesses.len() % ACCESSES) as u8;
        self.accesses.push((number, position.bits()));
        ClifTrapCode::unwrap_user(FIRST_ACCESS + number)
    }

    /// Notes that the operator at this position has the code of an access before it, where it traps if either
    /// does.
    pub(super) fn share(&mut self, position: SourceLoc, with: SourceLoc) {
        self.shared.push((position.bits(), with.bits()));
    }

    /// Leaves only accesses that optimisation has left, so that codes which several have stand for fewer.
    pub(super) fn forget_dropped(&mut self, func: &ir::Function) {
        if self.accesses.len() <= ACCESSES {
            return;
        }
        self.accesses.clear();
        for inst in func.layout.blocks().flat_map(|block| func.layout.block_insts(block)) {
            let code = func.dfg.insts[inst].memflags_trap_code(&func.dfg);
            let Some(number) = code.and_then(access_of) else { continue };
            let position = func.srcloc(inst).bits();
            let shared = self.shared.binary_search_by_key(&position, |(position, _)| *position);
            self.accesses.push((number, shared.map_or(position, |at| self.shared[at].1)));
        }
        self.accesses.sort_unstable();
    }

    /// The position of an access with such a code, in an instruction of this position: the access itself, or
    /// what it became part of, which comes later. Cranelift's own instructions have no position; then `near`
    /// is that of one before.
    pub(super) fn position_of(&self, access: u8, position: Option<u32>, near: u32) -> u32 {
        let first = self.accesses.partition_point(|(number, _)| *number < access);
        let end = self.accesses.partition_point(|(number, _)| *number <= access);
        let same = &self.accesses[first..end];
        let at = position.unwrap_or(near);
        let after = same.partition_point(|(_, position)| *position <= at);
        let (before, behind) = (after.checked_sub(1).map(|at| same[at].1), same.get(after));
        let behind = behind.map(|(_, position)| *position);
        match (before, behind) {
            (Some(before), Some(behind)) if position.is_none() && behind - at < at - before => {
                behind
            }
            (Some(access), _) | (None, Some(access)) => access,
            (None, None) => at,
        }
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

    /// As [`Origins::locate`], sooner if `near` is from the position before, in the order of positions.
    fn locate_near(&self, position: u32, near: &mut usize) -> (u32, Option<(u32, u32)>) {
        let starts = |at: usize| self.taken.get(at).map_or(u32::MAX, |taken| taken.start);
        let is_behind = |at: usize| at == 0 || starts(at - 1) <= position;
        if !is_behind(*near) || position >= starts(*near) {
            *near = self.taken.partition_point(|taken| taken.start <= position);
        }
        match self.taken[..*near].last() {
            None => (position, None),
            // Of a function without operators, fuel is taken all the same.
            Some(taken) if position - taken.start < taken.len.max(1) => {
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

    /// As [`Origins::locate_traps`]. Nothing that is taken in calls.
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
