//! What the operators of a body cost in fuel, and where it is charged: the plan that both tiers follow.
//!
//! An operator costs one unit, those that only mark a place nothing, and entering a function one. What
//! bulk operators cost by their length is the tiers' to charge, in the units of [`BYTES_LOG`] and
//! [`ELEMENTS_LOG`].
//!
//! # Stretches
//!
//! A *stretch* is what is executed exactly as often as its first operator, as long as nothing traps: it
//! is charged as a whole, before that operator. It need not be contiguous. What follows a block belongs
//! to the stretch in which the block was opened, unless a branch leads from inside the block to
//! somewhere beyond it.
//!
//! Three identities save charges without changing what any path through the body costs:
//!
//! - a loop's header is charged by those who come there, the code before the loop and the branches
//!   back, if they come unconditionally: one charge per iteration of a loop that is tested at its top;
//! - of the two arms of an `if`, both are charged with what the cheaper one costs before the `if`;
//! - a stretch that costs nothing is not charged.

use wasmparser::{BlockType, BrTable, FrameKind, FrameStack, VisitOperator, VisitSimdOperator};

use super::facts::{LOOP_WEIGHT, MAX_WEIGHED_DEPTH, ValidBody};

/// The binary logarithm of how many bytes cost one unit in a bulk operator on memories.
pub(crate) const BYTES_LOG: u8 = 6;
/// The binary logarithm of how many elements cost one unit in a bulk operator on tables.
pub(crate) const ELEMENTS_LOG: u8 = 1;

/// A place where compiled code takes fuel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    /// Where the operator stands in the binary module before which it is taken.
    pub at: u32,
    /// Never 0, and below 2^31.
    pub units: u32,
}

/// What one stretch costs, as far as is known.
struct Stretch {
    at: u32,
    units: u32,
    /// How many loops it is in.
    loop_depth: u32,
    /// Others are charged with it.
    dissolved: bool,
}

impl Stretch {
    fn add(&mut self, units: u32) {
        // No body has so many operators.
        self.units = self.units.saturating_add(units).min(i32::MAX as u32);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Function,
    Block,
    Loop,
    If,
    Else,
}

/// No stretch, or no edge.
const NONE: usize = usize::MAX;

/// An open block.
struct Frame {
    kind: Kind,
    /// The stretch in which it was opened, or [`NONE`] if that cannot be reached.
    opening: usize,
    /// A loop's header, or the first arm of an `if`.
    first: usize,
    /// The second arm.
    second: usize,
    /// The outermost frame that a branch inside leads to.
    outermost_target: usize,
    /// Whether a branch leads here.
    is_target: bool,
    /// Whether the end is reached otherwise, besides what reaches it at the `end` operator.
    falls_through: bool,
    /// Whether a branch back to this loop is conditional.
    conditional_back: bool,
    /// The last unconditional branch back to this loop: an index of `edges`.
    back: usize,
}

/// Makes plans, and keeps its allocations from one to the next.
#[derive(Default)]
pub(crate) struct Planner {
    stretches: Vec<Stretch>,
    frames: Vec<Frame>,
    /// Unconditional branches back to loops: the stretch, and the edge before.
    edges: Vec<(usize, usize)>,
    /// The stretch of the operator at hand, or [`NONE`] if that cannot be reached.
    current: usize,
    loop_depth: u32,
    /// Whether a stretch begins behind the operator at hand.
    begins: bool,
}

impl Planner {
    /// Replaces `charges` by those of this body, in the order of their places. Returns how often they
    /// are taken, weighted as the uses of locals are in [`Facts`](super::Facts).
    pub fn plan(&mut self, body: &ValidBody<'_>, charges: &mut Vec<Charge>) -> u32 {
        self.stretches.clear();
        self.frames.clear();
        self.edges.clear();
        self.loop_depth = 0;
        self.begins = false;
        let mut operators = body.reader();
        self.begin_stretch();
        self.place(operators.original_position());
        self.charge(1);
        self.open(Kind::Function, NONE);
        while !operators.eof() {
            // The body is valid, so reading it again cannot fail.
            if operators.visit_operator(self).is_err() {
                break;
            }
            self.place(operators.original_position());
        }
        charges.clear();
        let mut weight = 0_u32;
        for Stretch { at, units, loop_depth, .. } in &self.stretches {
            if *units > 0 {
                charges.push(Charge { at: *at, units: *units });
                let weighed = LOOP_WEIGHT.pow((*loop_depth).min(MAX_WEIGHED_DEPTH));
                weight = weight.saturating_add(weighed);
            }
        }
        weight
    }

    /// Has the next operator begin a stretch.
    fn begin_stretch(&mut self) {
        self.current = self.stretches.len();
        self.begins = true;
        let loop_depth = self.loop_depth;
        self.stretches.push(Stretch { at: 0, units: 0, loop_depth, dissolved: false });
    }

    /// The next operator stands here.
    fn place(&mut self, at: u64) {
        if std::mem::take(&mut self.begins)
            && let Some(stretch) = self.stretches.last_mut()
        {
            // Engines refuse modules of 4 GiB long before.
            stretch.at = at as u32;
        }
    }

    fn charge(&mut self, units: u32) {
        if self.current != NONE {
            self.stretches[self.current].add(units);
        }
    }

    /// Opens a block whose first operator begins the stretch `first`, if any.
    fn open(&mut self, kind: Kind, opening: usize) {
        let is_new = opening != NONE && matches!(kind, Kind::Loop | Kind::If);
        self.loop_depth += u32::from(kind == Kind::Loop);
        let mut first = NONE;
        if is_new {
            self.begin_stretch();
            first = self.current;
        }
        self.frames.push(Frame {
            kind,
            opening,
            first,
            second: NONE,
            outermost_target: usize::MAX,
            is_target: false,
            falls_through: false,
            conditional_back: false,
            back: NONE,
        });
    }

    /// Notes a branch. What follows it is not its business.
    fn branch(&mut self, depth: u32, conditional: bool) {
        if self.current == NONE {
            return;
        }
        let target = self.frames.len() - 1 - depth as usize;
        let frame = &mut self.frames[target];
        frame.is_target = true;
        if frame.kind == Kind::Loop {
            if conditional {
                frame.conditional_back = true;
            } else {
                self.edges.push((self.current, frame.back));
                frame.back = self.edges.len() - 1;
            }
        }
        if let Some(innermost) = self.frames.last_mut() {
            innermost.outermost_target = innermost.outermost_target.min(target);
        }
    }

    fn else_(&mut self) {
        let is_reached = self.current != NONE;
        let Some(frame) = self.frames.last_mut() else { return };
        frame.kind = Kind::Else;
        frame.falls_through = is_reached;
        if frame.opening != NONE {
            let second = self.stretches.len();
            frame.second = second;
            self.begin_stretch();
        }
    }

    fn end(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        self.loop_depth -= u32::from(frame.kind == Kind::Loop);
        let Some(parent) = self.frames.last_mut() else { return };
        parent.outermost_target = parent.outermost_target.min(frame.outermost_target);
        if frame.opening == NONE {
            // What cannot be reached has no branches either.
            self.current = NONE;
            return;
        }
        match frame.kind {
            Kind::Loop => self.dissolve(&frame),
            Kind::Else => self.share(&frame),
            Kind::Function | Kind::Block | Kind::If => {}
        }
        let is_left = frame.outermost_target < self.frames.len();
        let goes_on = self.current != NONE;
        let meets = match frame.kind {
            // A branch to a loop does not lead to its end.
            Kind::Loop => false,
            // The other arm is empty.
            Kind::If => true,
            _ => frame.is_target || frame.falls_through,
        };
        if !goes_on && !meets {
            return;
        }
        if !is_left {
            self.current = frame.opening;
        } else if meets {
            self.begin_stretch();
        }
    }

    /// Charges those who come to a loop's header with what it costs, if they all come unconditionally
    /// and are charged themselves.
    fn dissolve(&mut self, frame: &Frame) {
        let header = frame.first;
        if frame.conditional_back || !self.edges_of(frame).all(|from| self.can_take(from, header)) {
            return;
        }
        let units = std::mem::take(&mut self.stretches[header].units);
        self.stretches[header].dissolved = true;
        self.stretches[frame.opening].add(units);
        let mut edge = frame.back;
        while let Some((from, before)) = self.edges.get(edge).copied() {
            self.stretches[from].add(units);
            edge = before;
        }
    }

    fn can_take(&self, from: usize, header: usize) -> bool {
        from != header && !self.stretches[from].dissolved
    }

    /// The stretches that end in a branch back to a loop.
    fn edges_of(&self, frame: &Frame) -> impl Iterator<Item = usize> {
        let mut edge = frame.back;
        std::iter::from_fn(move || {
            let (from, before) = *self.edges.get(edge)?;
            edge = before;
            Some(from)
        })
    }

    /// Charges what both arms of an `if` cost where it was opened.
    fn share(&mut self, frame: &Frame) {
        let common = self.stretches[frame.first].units.min(self.stretches[frame.second].units);
        self.stretches[frame.first].units -= common;
        self.stretches[frame.second].units -= common;
        self.stretches[frame.opening].add(common);
    }
}

/// What an operator costs, and what it does to the stretches.
macro_rules! plan_operator {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident $ann:tt)*) => {
        $(
            #[inline]
            fn $visit(&mut self $($(, $arg: $argty)*)?) {
                $($(let _ = &$arg;)*)?
                plan_operator!(@one self $op $($($arg)*)?);
            }
        )*
    };
    (@one $p:ident Nop) => {};
    (@one $p:ident Drop) => {};
    (@one $p:ident Block $ty:ident) => {{
        let _: BlockType = $ty;
        $p.open(Kind::Block, $p.current);
    }};
    (@one $p:ident Loop $ty:ident) => { $p.open(Kind::Loop, $p.current) };
    (@one $p:ident If $ty:ident) => {{
        $p.charge(1);
        $p.open(Kind::If, $p.current);
    }};
    (@one $p:ident Else) => { $p.else_() };
    (@one $p:ident End) => { $p.end() };
    (@one $p:ident Br $depth:ident) => {{
        $p.charge(1);
        $p.branch($depth, false);
        $p.current = NONE;
    }};
    (@one $p:ident BrIf $depth:ident) => {{
        $p.charge(1);
        $p.branch($depth, true);
        if $p.current != NONE {
            $p.begin_stretch();
        }
    }};
    (@one $p:ident BrTable $targets:ident) => {{
        let targets: BrTable<'_> = $targets;
        $p.charge(1);
        for depth in targets.targets().flatten().chain([targets.default()]) {
            $p.branch(depth, true);
        }
        $p.current = NONE;
    }};
    (@one $p:ident Return) => {{
        let function = $p.frames.len() as u32 - 1;
        $p.branch(function, false);
        $p.current = NONE;
    }};
    (@one $p:ident Unreachable) => { $p.current = NONE };
    (@one $p:ident $op:ident $($arg:ident)*) => { $p.charge(1) };
}

/// Validation has seen that blocks are closed and that each `else` has its `if`.
impl FrameStack for Planner {
    fn current_frame(&self) -> Option<FrameKind> {
        Some(FrameKind::If)
    }
}

impl<'a> VisitOperator<'a> for Planner {
    type Output = ();

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = ()>> {
        Some(self)
    }

    // Operators arrive one by one, never as this type.
    fn visit_operator(&mut self, _: &wasmparser::Operator<'a>) {}

    wasmparser::for_each_visit_operator!(plan_operator);
}

impl<'a> VisitSimdOperator<'a> for Planner {
    wasmparser::for_each_visit_simd_operator!(plan_operator);
}

#[cfg(test)]
mod tests;
