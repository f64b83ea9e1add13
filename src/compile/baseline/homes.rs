//! Homes: which locals live in registers, and in which.
//!
//! Owns the choice, by how often each is used, and which parameters are in the registers that they came
//! in for a while. Where the others lie is the frame's business.

use std::mem;

use super::Compiler;
use super::frame::NOWHERE;
use super::registers::{Operand, Registers, slot};
use super::value::Entry;
use crate::asm::{Gpr, GprSet, Xmm, XmmSet};
use crate::compile::CompileOptions;
use crate::compile::abi::{CALLEE_SAVED, FLOAT_SCRATCH, Location};
use crate::module::Facts;

/// The locals with the most uses, of one register class, hottest first, and of those with as many the
/// lower one.
struct Hottest<const N: usize> {
    /// The uses, and below them the local with all bits inverted: the greater, the hotter.
    found: [u64; N],
    len: usize,
}

impl<const N: usize> Hottest<N> {
    fn new() -> Self {
        Hottest { found: [0; N], len: 0 }
    }

    // Without a branch that depends on the uses: they are hard to foresee.
    fn offer(&mut self, uses: u32, local: u32) {
        let mut colder = u64::from(uses) << 32 | u64::from(!local);
        for place in &mut self.found[..self.len] {
            (*place, colder) = ((*place).max(colder), (*place).min(colder));
        }
        if let Some(place) = self.found.get_mut(self.len) {
            *place = colder;
            self.len += 1;
        }
    }

    /// `(uses, local)`
    fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.found[..self.len].iter().map(|found| ((found >> 32) as u32, !(*found as u32)))
    }
}

/// A home in a callee-saved register costs a push and a pop; fewer uses are better off in a slot.
const WORTH_SAVING: u32 = 2;
/// The base of memory 0 does not move while code runs, so that it competes for a home as if it were one
/// more local, used by every load and store. This stands for its index, above those of all locals: of
/// equals, the lower wins.
const MEMORY_BASE: u32 = u32::MAX - 1;
/// This stands for the fuel that is left, which is used by every charge, and loses to all equals.
const FUEL: u32 = u32::MAX;
/// With fewer accesses, each had better load the base.
const WORTH_A_BASE: u32 = 2;
/// Temporaries that a leaf function keeps at least, of either class.
const LEAST_TEMPORARIES: usize = 4;
/// Caller-saved registers, the homes of leaf functions' locals, in the order of preference. Never
/// rax, which takes results.
const LEAF_HOMES: [Gpr; 7] = [Gpr::Rsi, Gpr::Rdi, Gpr::R8, Gpr::R9, Gpr::Rcx, Gpr::Rdx, Gpr::R10];
/// Caller-saved registers that are homes in functions that call, too.
const KEPT_HOMES: [Gpr; 4] = [Gpr::Rsi, Gpr::Rdi, Gpr::R8, Gpr::R9];
/// How many uses a call's saving and restoring of a home costs.
const KEEPING: u32 = 4;
/// Registers that may hold temporaries, if they are no homes.
const TEMPORARIES: GprSet =
    GprSet::of(&[Gpr::Rax, Gpr::Rcx, Gpr::Rdx, Gpr::Rsi, Gpr::Rdi, Gpr::R8, Gpr::R9, Gpr::R10]);

/// Choosing homes.
impl Compiler {
    /// Gives the locals that are used most their homes in registers, and the others none. Returns the
    /// general ones.
    pub(super) fn assign_homes(&mut self, facts: &Facts, makes_calls: bool) -> GprSet {
        self.memory_base = None;
        self.fuel_home = None;
        self.locals.clear();
        let locals = (0..).zip(&facts.locals);
        self.locals.extend(locals.map(|(local, ty)| Entry::of_local(*ty, local, NOWHERE)));

        let mut gprs = Hottest::<8>::new();
        let mut xmms = Hottest::<11>::new();
        for (local, (ty, uses)) in facts.locals.iter().zip(&facts.uses).enumerate() {
            if *uses == 0 {
                continue;
            }
            if ty.is_vector_class() {
                xmms.offer(*uses, local as u32);
            } else {
                gprs.offer(*uses, local as u32);
            }
        }
        if facts.memory_accesses >= WORTH_A_BASE {
            gprs.offer(facts.memory_accesses, MEMORY_BASE);
        }
        if facts.has_loops && !facts.charges.is_empty() {
            gprs.offer(facts.charge_weight, FUEL);
        }
        let gpr_homes = self.assign_gprs(&gprs, facts, makes_calls);
        let xmm_homes = self.assign_xmms(&xmms, facts, makes_calls);
        let all_xmms = Xmm::ALL.into_iter().fold(XmmSet::EMPTY, XmmSet::with);
        self.registers = Registers::new(
            TEMPORARIES.minus(gpr_homes),
            all_xmms.minus(xmm_homes).without(FLOAT_SCRATCH),
        );
        gpr_homes
    }

    fn assign_gprs(&mut self, hottest: &Hottest<8>, facts: &Facts, makes_calls: bool) -> GprSet {
        let mut homes = GprSet::EMPTY;
        let mut free = GprSet::EMPTY;
        if !makes_calls {
            free = GprSet::of(&LEAF_HOMES).minus(insisted_on(facts, &self.options));
        }
        let most = TEMPORARIES.len() - LEAST_TEMPORARIES;
        // Parameters first stay where they are, so that nobody else takes their place.
        for (_, local) in hottest.iter() {
            if let Some(Location::Gpr(arrival)) = self.arrival(local)
                && free.contains(arrival)
                && homes.len() < most
            {
                self.locals[local as usize].operand = Operand::Gpr(arrival);
                homes.insert(arrival);
            }
        }
        for (uses, local) in hottest.iter() {
            let is_local = local < MEMORY_BASE;
            if is_local && self.locals[local as usize].operand != NOWHERE {
                continue;
            }
            let free = free.minus(homes);
            let caller_saved = match free.is_empty() {
                true => None,
                false => LEAF_HOMES.into_iter().find(|home| free.contains(*home)),
            };
            let home = match caller_saved {
                Some(home) if homes.minus(CALLEE_SAVED).len() < most => Some(home),
                _ if uses >= WORTH_SAVING => CALLEE_SAVED.minus(homes).first(),
                _ => None,
            };
            let home = home.or_else(|| {
                let free = KEPT_HOMES.into_iter().find(|home| !homes.contains(*home));
                free.filter(|_| makes_calls && is_worth_keeping(uses, facts))
            });
            if let Some(home) = home {
                match local {
                    MEMORY_BASE => self.memory_base = Some(home),
                    FUEL => self.fuel_home = Some(home),
                    _ => self.locals[local as usize].operand = Operand::Gpr(home),
                }
                homes.insert(home);
            }
        }
        homes
    }

    /// All xmm registers are the caller's to save.
    fn assign_xmms(&mut self, hottest: &Hottest<11>, facts: &Facts, makes_calls: bool) -> XmmSet {
        let mut homes = XmmSet::EMPTY;
        for (_, local) in hottest.iter() {
            if let Some(Location::Xmm(arrival)) = self.arrival(local)
                && !makes_calls
            {
                self.locals[local as usize].operand = Operand::Xmm(arrival);
                homes.insert(arrival);
            }
        }
        // From the top, because results and temporaries start at the bottom.
        let mut free = Xmm::ALL.into_iter().rev().filter(|xmm| *xmm != FLOAT_SCRATCH);
        for (uses, local) in hottest.iter() {
            if self.locals[local as usize].operand == NOWHERE
                && (!makes_calls || is_worth_keeping(uses, facts))
                && let Some(home) = free.find(|home| !homes.contains(*home))
            {
                self.locals[local as usize].operand = Operand::Xmm(home);
                homes.insert(home);
            }
        }
        homes
    }
}

/// Parameters in slots that are where they arrived, too.
impl Compiler {
    /// Behind the stores to the slots. Until [`Compiler::stop_lingering`] the home of such a parameter is
    /// the register that it came in, if that is nobody's: functions look at their parameters first, and
    /// would wait for what they have just stored.
    ///
    /// Its slot always has the same content. So where paths meet nothing has to be moved, even if the
    /// lingering ended on one of them. As long as it lasts, the register has that content on every path,
    /// too: it is none for temporaries, and no path leads back.
    pub(super) fn start_lingering(&mut self, facts: &Facts) {
        let insisted_on = insisted_on(facts, &self.options);
        for local in 0..self.signature.params.len() {
            let Registers { gprs, xmms, .. } = &self.registers;
            let arrival = match self.signature.params[local] {
                Location::Gpr(register)
                    if gprs.minus(insisted_on).contains(register)
                        && gprs.len() > LEAST_TEMPORARIES =>
                {
                    Operand::Gpr(register)
                }
                Location::Xmm(register)
                    if xmms.contains(register) && xmms.len() > LEAST_TEMPORARIES =>
                {
                    Operand::Xmm(register)
                }
                _ => continue,
            };
            if let Operand::Slot(offset) = self.locals[local].operand {
                self.lingering.push((local as u32, offset));
                self.locals[local].operand = arrival;
                self.registers.set_aside(arrival);
            }
        }
        self.registers.choose_merge_xmm();
    }

    /// Before a loop's head, a small function in the place of a call, and behind what overwrites the
    /// registers: from here on the homes are the slots alone.
    pub(super) fn stop_lingering(&mut self) {
        while let Some((local, offset)) = self.lingering.pop() {
            let home = Operand::Slot(offset);
            let arrival = mem::replace(&mut self.locals[local as usize].operand, home);
            for height in self.stack.settled()..self.stack.len() {
                if self.stack.get(height).local() == Some(local) {
                    self.stack.move_local(height, home);
                }
            }
            self.registers.take_back(arrival);
            self.release(arrival);
        }
    }

    /// The local has been written where it lives: if that is not its slot, its slot follows.
    #[cold]
    pub(super) fn write_through(&mut self, local: u32) {
        if let Some((_, offset)) = self.lingering.iter().find(|(other, _)| *other == local) {
            let Entry { ty, operand, .. } = self.locals[local as usize];
            self.store(ty, slot(*offset), operand);
        }
    }
}

/// The registers of parameters that instructions of the function insist on.
fn insisted_on(facts: &Facts, options: &CompileOptions) -> GprSet {
    let mut registers = GprSet::EMPTY;
    if facts.divides {
        registers.insert(Gpr::Rdx);
    }
    if facts.rotates || facts.shifts && !options.cpu.bmi2 {
        registers.insert(Gpr::Rcx);
    }
    registers
}

/// Whether a local that is used so often had better be in a register that calls overwrite than in a
/// slot.
fn is_worth_keeping(uses: u32, facts: &Facts) -> bool {
    uses > facts.calls.saturating_mul(KEEPING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_come_first_and_of_equals_the_lower() {
        // Few different numbers of uses, so that there are ties; more than there is room for, and fewer.
        let uses = |local: u32| local.wrapping_mul(0x9E37_79B9) >> 29;
        for locals in 0..20_u32 {
            let offered = (0..locals).chain([MEMORY_BASE, FUEL]).map(|local| (uses(local), local));
            let mut hottest = Hottest::<8>::new();
            offered.clone().for_each(|(uses, local)| hottest.offer(uses, local));
            let mut sorted: Vec<_> = offered.collect();
            sorted.sort_by_key(|(uses, _)| std::cmp::Reverse(*uses));
            sorted.truncate(8);
            assert_eq!(hottest.iter().collect::<Vec<_>>(), sorted);
        }
    }
}
