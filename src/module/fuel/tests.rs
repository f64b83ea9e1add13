//! The plan against its definition: on any path through a body that traps nowhere, what is charged is
//! what the operators on it cost. Paths are taken at random through bodies of real programs and of
//! wasm-smith's.

use std::collections::HashMap;

use wasmparser::Operator;

use super::Charge;
use crate::module::{self, Limits, Validation};

/// A small generator (xorshift64*).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

/// A body as a list of operators, and where its blocks begin and end.
struct Body<'a> {
    operators: Vec<(Operator<'a>, u32)>,
    /// By the index of the operator that opens a block: those of its `else`, if any, and its `end`.
    blocks: HashMap<usize, (Option<usize>, usize)>,
}

impl<'a> Body<'a> {
    fn read(body: &module::ValidBody<'a>) -> Body<'a> {
        let operators: Vec<_> = body
            .operators()
            .into_iter_with_offsets()
            .map(|operator| operator.expect("a valid body"))
            .map(|(operator, at)| (operator, at as u32))
            .collect();
        let (mut open, mut blocks) = (Vec::new(), HashMap::new());
        for (index, (operator, _)) in operators.iter().enumerate() {
            match operator {
                Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                    open.push((index, None));
                }
                Operator::Else => open.last_mut().expect("an if").1 = Some(index),
                Operator::End => {
                    if let Some((start, otherwise)) = open.pop() {
                        blocks.insert(start, (otherwise, index));
                    }
                }
                _ => {}
            }
        }
        Body { operators, blocks }
    }

    /// Follows a random path to the function's end: what its operators cost, and what is charged.
    /// `None` if the path traps, or does not end soon.
    fn follow(&self, charges: &HashMap<u32, u32>, random: &mut Random) -> Option<(u64, u64)> {
        let (mut cost, mut charged) = (1_u64, 0_u64);
        // The operators that opened the blocks that are open.
        let mut open: Vec<usize> = Vec::new();
        let mut at = 0;
        for _ in 0..10_000 {
            let (operator, offset) = &self.operators[at];
            charged += u64::from(charges.get(offset).copied().unwrap_or(0));
            let mut depth = None;
            match operator {
                Operator::Nop | Operator::Drop => {}
                Operator::Block { .. } | Operator::Loop { .. } => open.push(at),
                Operator::If { .. } => {
                    cost += 1;
                    open.push(at);
                    if random.below(2) == 0 {
                        let (otherwise, end) = self.blocks[&at];
                        at = match otherwise {
                            Some(otherwise) => otherwise,
                            // The `end` itself closes the block.
                            None => end - 1,
                        };
                    }
                }
                Operator::Else => {
                    let start = open.pop().expect("an if");
                    at = self.blocks[&start].1;
                }
                Operator::End => {
                    if open.pop().is_none() {
                        return Some((cost, charged));
                    }
                }
                Operator::Unreachable => return None,
                Operator::Return => return Some((cost, charged)),
                Operator::Br { relative_depth } => {
                    cost += 1;
                    depth = Some(*relative_depth);
                }
                Operator::BrIf { relative_depth } => {
                    cost += 1;
                    depth = (random.below(2) == 0).then_some(*relative_depth);
                }
                Operator::BrTable { targets } => {
                    cost += 1;
                    let chosen = random.below(targets.len() as usize + 1);
                    let mut targets_in_order = targets.targets().map(|depth| depth.expect("valid"));
                    depth = Some(targets_in_order.nth(chosen).unwrap_or(targets.default()));
                }
                _ => cost += 1,
            }
            if let Some(depth) = depth {
                let Some(target) = open.len().checked_sub(1 + depth as usize) else {
                    return Some((cost, charged));
                };
                let start = open[target];
                if let Operator::Loop { .. } = self.operators[start].0 {
                    open.truncate(target + 1);
                    at = start;
                } else {
                    open.truncate(target);
                    at = self.blocks[&start].1;
                }
            }
            at += 1;
        }
        None
    }
}

/// How often to do something that is done `times` times: less often in Miri.
const fn times(times: u64) -> u64 {
    if cfg!(miri) { times.div_ceil(100) } else { times }
}

/// Follows `paths` through each body of a module; returns how many came to an end.
fn check(binary: &[u8], paths: usize, random: &mut Random) -> u64 {
    let (_, bodies) = module::load_whole(binary, &Limits::default()).expect("a module");
    let mut validation = Validation::default();
    let mut ended = 0;
    for function in bodies.functions() {
        let body = bodies.validate(function, &mut validation).expect("a valid body");
        validation.plan_fuel(&body);
        let charges = &validation.facts.charges;
        assert!(charges.is_sorted_by(|a, b| a.at < b.at), "{charges:?}");
        assert!(charges.iter().all(|charge| charge.units > 0), "{charges:?}");
        let by_place = charges.iter().map(|Charge { at, units }| (*at, *units)).collect();
        let body = Body::read(&body);
        for _ in 0..paths {
            if let Some((cost, charged)) = body.follow(&by_place, random) {
                assert_eq!(charged, cost, "function {function}: {charges:?}");
                ended += 1;
            }
        }
    }
    ended
}

#[test]
fn programs_are_charged_what_they_cost() {
    let mut random = Random::new(1);
    for folder in ["fixtures", "benches/kernels"] {
        let folder = format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"));
        let mut ended = 0;
        let entries = std::fs::read_dir(folder).expect("the programs");
        let mut texts: Vec<_> = entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "wat"))
            .map(|path| std::fs::read(path).expect("a program"))
            .collect();
        if cfg!(miri) {
            texts.sort_by_key(Vec::len);
            texts.truncate(6);
        }
        for text in texts {
            let binary = wat::parse_bytes(&text).expect("a program");
            ended += check(&binary, times(200) as usize, &mut random);
        }
        assert!(ended > times(500), "{ended} paths ended");
    }
}

#[test]
#[cfg_attr(miri, ignore = "generating them alone takes minutes for each")]
fn generated_bodies_are_charged_what_they_cost() {
    let mut ended = 0;
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let bytes: Vec<u8> = (0..2000).map(|_| random.below(256) as u8).collect();
        let config = wasm_smith::Config {
            min_funcs: 2,
            max_imports: 0,
            allow_start_export: false,
            gc_enabled: false,
            compact_imports_enabled: false,
            exceptions_enabled: false,
            tail_call_enabled: false,
            threads_enabled: false,
            memory64_enabled: false,
            relaxed_simd_enabled: false,
            extended_const_enabled: false,
            wide_arithmetic_enabled: false,
            max_memories: 1,
            max_instructions: 300,
            ..wasm_smith::Config::default()
        };
        let mut bytes = arbitrary::Unstructured::new(&bytes);
        let Ok(generated) = wasm_smith::Module::new(config, &mut bytes) else { continue };
        let binary = generated.to_bytes();
        // What is beyond WebAssembly 2.0 after all is refused.
        if module::load_whole(&binary, &Limits::default()).is_ok_and(|(_, bodies)| {
            let mut validation = Validation::default();
            bodies.functions().all(|function| bodies.validate(function, &mut validation).is_ok())
        }) {
            ended += check(&binary, 20, &mut random);
        }
    }
    assert!(ended > 1_500, "{ended} paths ended");
}

/// The charges of a module's only function: how many operators stand before each, and the units.
fn plan(text: &str) -> Vec<(usize, u32)> {
    let binary = wat::parse_str(text).expect("a module");
    let (_, bodies) = module::load_whole(&binary, &Limits::default()).expect("a module");
    let mut validation = Validation::default();
    let body = bodies.validate(bodies.functions().start, &mut validation).expect("a valid body");
    validation.plan_fuel(&body);
    let body = Body::read(&body);
    let index = |charge: &Charge| body.operators.iter().position(|(_, at)| *at == charge.at);
    let charges = &validation.facts.charges;
    charges.iter().map(|charge| (index(charge).expect("an operator"), charge.units)).collect()
}

#[test]
fn straight_code_is_charged_once() {
    assert_eq!(plan("(module (func))"), [(0, 1)]);
    assert_eq!(plan("(module (func (nop) (drop (i32.const 1)) (block (nop))))"), [(0, 2)]);
    let text = "(module (func (param i32)
        (if (local.get 0) (then (nop)))
        (block (br_if 0 (local.get 0)) (local.set 0 (local.get 0)))
        (local.set 0 (i32.const 1))))";
    // What follows an `if` or a block costs nothing more: no branch leads past it.
    assert_eq!(plan(text), [(0, 1 + 2 + 2 + 2), (7, 2)]);
}

#[test]
fn a_loop_is_charged_once_in_each_iteration() {
    let tested_at_its_end = "(module (func (param i32)
        (loop (local.set 0 (local.get 0)) (br_if 0 (local.get 0)))))";
    assert_eq!(plan(tested_at_its_end), [(0, 1), (1, 4)]);
    // The branch back pays for the next test.
    let tested_at_its_top = "(module (func (param i32)
        (block (loop (br_if 1 (local.get 0)) (local.set 0 (local.get 0)) (br 0)))))";
    assert_eq!(plan(tested_at_its_top), [(0, 1 + 2), (4, 2 + 1 + 2)]);
    assert_eq!(plan("(module (func (loop (br 0))))"), [(0, 1), (1, 1)]);
}

#[test]
fn arms_are_charged_for_what_they_differ_in() {
    let text = "(module (func (param i32)
        (if (local.get 0)
          (then (local.set 0 (i32.const 1)))
          (else (local.set 0 (i32.add (local.get 0) (i32.const 1)))))))";
    assert_eq!(plan(text), [(0, 1 + 2 + 2), (5, 2)]);
}

#[test]
fn what_cannot_be_reached_costs_nothing() {
    let text = "(module (func (param i32)
        (return) (local.set 0 (i32.const 1)) (loop (br_if 0 (local.get 0)))))";
    assert_eq!(plan(text), [(0, 1)]);
}
