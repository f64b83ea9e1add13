//! Generates well-typed functions that come to an end, from a seed.
//!
//! What is generated, as flat text:
//!
//! - functions with up to ten parameters and up to ten results of any number type, so that some
//!   travel on the stack and in return areas; each calls only functions before it, so that nothing
//!   recurses; a third of them are so small that they may be put in the place of calls;
//! - arithmetic, comparison and conversion, whose divisions and truncations trap now and then;
//! - a memory, globals and tables that they share: see `state`;
//! - blocks, loops and ifs with parameters and results, nested, with operands of their surroundings
//!   below them on the stack; `br`, `br_if`, `br_table` and `return` with values, and code behind
//!   them that nothing reaches;
//! - loops that count: each has a local of its own, which every way back to its start decrements
//!   and tests, so that it is taken a few times at most.
//!
//! The cost of a function is estimated while it is made, calls included and multiplied by the
//! loops around it; what would exceed a bound is not made.

mod calls;
mod state;
mod straight;

use std::fmt::Write as _;

use wasm_mini::{ValType, Value};

use super::Random;

/// How many operators a call may execute, about.
const MAX_COST: u64 = 20_000;
/// How deep blocks and expressions nest.
const MAX_DEPTH: usize = 6;

/// A generated module and the signatures of its functions, which are exported as `f0`, `f1`, …
pub struct Generated {
    pub text: String,
    pub functions: Vec<Signature>,
}

#[derive(Clone, Debug)]
pub struct Signature {
    pub params: Vec<ValType>,
    pub results: Vec<ValType>,
    /// What a call of it costs, about.
    cost: u64,
}

/// The module of this seed.
pub fn module(seed: u64) -> Generated {
    let mut random = Random::new(seed);
    let count = 1 + random.below(8);
    let mut functions: Vec<Signature> = Vec::new();
    let mut text = format!("(module\n{}", state::definitions(&mut random, count));
    for index in 0..count {
        let is_straight = random.one_in(3);
        let signature =
            if is_straight { straight::signature(&mut random) } else { signature(&mut random) };
        let mut function = Function::new(&mut random, &functions, signature);
        if is_straight {
            function.locals.truncate(function.signature.params.len());
            function.variables = (0..function.locals.len()).collect();
            function.straight_body();
        } else {
            function.body();
        }
        let Function { signature, locals, code, cost, .. } = function;
        let _ = write!(
            text,
            "(func $f{index} (export \"f{index}\") (param {}) (result {}) (local {})\n{code})\n",
            list(&signature.params),
            list(&signature.results),
            list(&locals[signature.params.len()..]),
        );
        functions.push(Signature { cost, ..signature });
    }
    text.push(')');
    Generated { text, functions }
}

/// Arguments for these parameters.
pub fn arguments(random: &mut Random, params: &[ValType]) -> Vec<Value> {
    params.iter().map(|ty| argument(random, *ty)).collect()
}

fn argument(random: &mut Random, ty: ValType) -> Value {
    let bits = random.integer();
    match ty {
        ValType::I32 => Value::I32(bits as i32),
        ValType::I64 => Value::I64(bits as i64),
        ValType::F32 => Value::F32(f32::from_bits(bits as u32)),
        ValType::V128 => Value::V128(u128::from(bits) << 64 | u128::from(random.integer())),
        _ => Value::F64(f64::from_bits(bits)),
    }
}

fn signature(random: &mut Random) -> Signature {
    let (most, least) = if random.one_in(3) { (11, 0) } else { (4, 1) };
    let params = types(random, most, least);
    let most = if random.one_in(4) { 11 } else { 3 };
    Signature { params, results: types(random, most, 0), cost: 0 }
}

fn types(random: &mut Random, end: usize, least: usize) -> Vec<ValType> {
    (0..least + random.below(end)).map(|_| any_type(random)).collect()
}

fn any_type(random: &mut Random) -> ValType {
    match random.below(8) {
        0..=3 => ValType::I32,
        4 | 5 => ValType::I64,
        6 => ValType::F32,
        _ => ValType::F64,
    }
}

fn list(types: &[ValType]) -> String {
    types.iter().map(|ty| ty.name()).collect::<Vec<_>>().join(" ")
}

fn block_type(params: &[ValType], results: &[ValType]) -> String {
    match (params, results) {
        ([], []) => String::new(),
        ([], _) => format!("(result {})", list(results)),
        _ => format!("(param {}) (result {})", list(params), list(results)),
    }
}

/// A block that can be branched to.
#[derive(Clone)]
struct Label {
    /// What a branch takes.
    types: Vec<ValType>,
    /// For a loop the local that counts down: a branch must decrement and test it.
    counter: Option<usize>,
}

impl Label {
    /// Of a block that is no loop.
    fn plain(types: &[ValType]) -> Label {
        Label { types: types.to_vec(), counter: None }
    }
}

/// One function, half done.
struct Function<'a> {
    random: &'a mut Random,
    callees: &'a [Signature],
    signature: Signature,
    locals: Vec<ValType>,
    /// The locals that are no loop's counter.
    variables: Vec<usize>,
    /// Two more, where the results of float arithmetic are looked at.
    copies: [usize; 2],
    labels: Vec<Label>,
    code: String,
    cost: u64,
    /// How often what is made now runs.
    times: u64,
    /// How many operators there may still be.
    room: usize,
}

impl<'a> Function<'a> {
    fn new(random: &'a mut Random, callees: &'a [Signature], signature: Signature) -> Self {
        let mut locals = signature.params.clone();
        let most = if random.one_in(5) { 24 } else { 6 };
        locals.extend(types(random, most, 1));
        let variables = (0..locals.len()).collect();
        locals.extend([ValType::F32, ValType::F64]);
        Function {
            variables,
            copies: [locals.len() - 2, locals.len() - 1],
            labels: vec![Label::plain(&signature.results)],
            room: 30 + random.below(250),
            random,
            callees,
            signature,
            locals,
            code: String::new(),
            cost: 0,
            times: 1,
        }
    }

    fn body(&mut self) {
        for _ in 0..1 + self.random.below(6) {
            self.statement(0);
        }
        let results = self.signature.results.clone();
        self.values(&results, 0);
    }

    fn op(&mut self, text: impl AsRef<str>) {
        self.code.push_str(text.as_ref());
        self.code.push('\n');
        self.cost += self.times;
        self.room = self.room.saturating_sub(1);
    }

    /// Whether something small is to be made now.
    fn is_tight(&self, depth: usize) -> bool {
        depth >= MAX_DEPTH || self.room == 0 || self.cost > MAX_COST
    }

    fn values(&mut self, types: &[ValType], depth: usize) {
        for ty in types {
            self.value(*ty, depth);
        }
    }

    fn local_of(&mut self, ty: ValType) -> Option<usize> {
        let fitting: Vec<_> =
            self.variables.iter().copied().filter(|local| self.locals[*local] == ty).collect();
        (!fitting.is_empty()).then(|| *self.random.pick(&fitting))
    }

    fn constant(&mut self, ty: ValType) {
        let bits = self.random.integer();
        let text = match ty {
            ValType::I32 => format!("i32.const {}", bits as i32),
            ValType::I64 => format!("i64.const {}", bits as i64),
            ValType::F32 => match self.random.below(3) {
                0 => format!("f32.const nan:0x{:x}", bits as u32 & 0x7f_ffff | 1),
                1 => "f32.const -0".to_string(),
                _ => format!("f32.const {}", bits as u16),
            },
            _ => match self.random.below(3) {
                0 => format!("f64.const -nan:0x{:x}", bits & 0xf_ffff_ffff_ffff | 1),
                1 => "f64.const inf".to_string(),
                _ => format!("f64.const {}", bits as i32),
            },
        };
        self.op(text);
    }

    /// Pushes one value.
    fn value(&mut self, ty: ValType, depth: usize) {
        let choice =
            if self.is_tight(depth) { self.random.below(2) } else { self.random.below(24) };
        match choice {
            0 => self.constant(ty),
            1 | 2 => match self.local_of(ty) {
                Some(local) => self.op(format!("local.get {local}")),
                None => self.constant(ty),
            },
            3 => {
                self.value(ty, depth + 1);
                if let Some(local) = self.local_of(ty) {
                    self.op(format!("local.tee {local}"));
                }
            }
            4 | 5 => self.select(ty, depth),
            6 => self.block(&[ty], depth),
            7 => self.if_else(&[ty], depth),
            8 => self.counted_loop(&[ty], depth),
            9 => self.early_exit(ty, depth),
            10 => self.call_for(ty, depth),
            11 => self.narrow_or_widen(ty, depth),
            12..=15 => self.shared_value(ty, depth),
            _ => match ty {
                ValType::I32 | ValType::I64 => self.arithmetic(ty, depth),
                _ => self.float_arithmetic(ty, depth),
            },
        }
    }

    fn select(&mut self, ty: ValType, depth: usize) {
        self.value(ty, depth + 1);
        self.value(ty, depth + 1);
        self.value(ValType::I32, depth + 1);
        if self.random.one_in(2) {
            self.op("select");
        } else {
            self.op(format!("select (result {})", ty.name()));
        }
    }

    /// An i32 whose register may have anything in its upper half, or an i64 that must not show it.
    fn narrow_or_widen(&mut self, ty: ValType, depth: usize) {
        match ty {
            ValType::I32 => {
                self.value(ValType::I64, depth + 1);
                self.op("i32.wrap_i64");
            }
            ValType::I64 => {
                self.value(ValType::I32, depth + 1);
                let sign = *self.random.pick(&["s", "u", "u"]);
                self.op(format!("i64.extend_i32_{sign}"));
            }
            _ => self.constant(ty),
        }
    }

    fn arithmetic(&mut self, ty: ValType, depth: usize) {
        const BINARY: [&str; 11] =
            ["add", "sub", "mul", "and", "or", "xor", "shl", "shr_s", "shr_u", "rotl", "rotr"];
        const DIVISION: [&str; 4] = ["div_s", "div_u", "rem_s", "rem_u"];
        const COMPARISON: [&str; 10] =
            ["eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"];
        let name = ty.name();
        let other = if self.random.one_in(2) { ValType::I32 } else { ValType::I64 };
        match self.random.below(15) {
            0 | 1 => {
                self.value(ty, depth + 1);
                let mut unary = vec!["clz", "ctz", "popcnt", "extend8_s", "extend16_s"];
                if ty == ValType::I64 {
                    unary.push("extend32_s");
                }
                let operator = *self.random.pick(&unary);
                self.op(format!("{name}.{operator}"));
            }
            2 => {
                self.value(ty, depth + 1);
                self.value(ty, depth + 1);
                // Few divisors are zero by chance; some are made odd, so that none is.
                if self.random.one_in(2) {
                    self.op(format!("{name}.const 1"));
                    self.op(format!("{name}.or"));
                }
                let operator = *self.random.pick(&DIVISION);
                self.op(format!("{name}.{operator}"));
            }
            3 => self.narrow_or_widen(ty, depth),
            14 => self.of_float(ty, depth),
            4..=6 if ty == ValType::I32 => {
                self.value(other, depth + 1);
                self.value(other, depth + 1);
                let operator = *self.random.pick(&COMPARISON);
                self.op(format!("{}.{operator}", other.name()));
            }
            7 if ty == ValType::I32 => {
                self.value(other, depth + 1);
                self.op(format!("{}.eqz", other.name()));
            }
            _ => {
                self.value(ty, depth + 1);
                self.value(ty, depth + 1);
                let operator = *self.random.pick(&BINARY);
                self.op(format!("{name}.{operator}"));
            }
        }
    }

    /// The parameters of a block: pushed, and known.
    fn block_params(&mut self, depth: usize) -> Vec<ValType> {
        if !self.random.one_in(3) {
            return Vec::new();
        }
        let params = types(self.random, 3, 1);
        self.values(&params, depth + 1);
        params
    }

    /// Consumes a block's parameters, and does something small with them.
    fn consume(&mut self, params: &[ValType]) {
        for ty in params.iter().rev() {
            match self.local_of(*ty) {
                Some(local) if self.random.one_in(2) => self.op(format!("local.set {local}")),
                _ => self.op("drop"),
            }
        }
    }

    fn within(&mut self, label: Label, make: impl FnOnce(&mut Self)) {
        self.labels.push(label);
        make(self);
        self.labels.pop();
    }

    fn block(&mut self, results: &[ValType], depth: usize) {
        let params = self.block_params(depth);
        let ty = block_type(&params, results);
        self.op(format!("block {ty}"));
        self.within(Label::plain(results), |this| {
            this.consume(&params);
            this.statements(depth + 1);
            this.values(results, depth + 1);
            if this.random.one_in(3) {
                // All the same whether it is taken.
                this.value(ValType::I32, depth + 1);
                this.op("br_if 0");
            }
        });
        self.op("end");
    }

    fn if_else(&mut self, results: &[ValType], depth: usize) {
        let params = self.block_params(depth);
        self.value(ValType::I32, depth + 1);
        let ty = block_type(&params, results);
        self.op(format!("if {ty}"));
        let otherwise = !results.is_empty() || !params.is_empty() || self.random.one_in(2);
        self.within(Label::plain(results), |this| {
            for arm in 0..1 + usize::from(otherwise) {
                if arm == 1 {
                    this.op("else");
                }
                this.consume(&params);
                this.statements(depth + 1);
                this.values(results, depth + 1);
            }
        });
        self.op("end");
    }

    /// A loop whose parameters are what it also leaves, now and then.
    fn counted_loop(&mut self, results: &[ValType], depth: usize) {
        let trips = 1 + self.random.below(5) as u64;
        if self.cost + self.times * trips * 40 > MAX_COST {
            return self.values(results, depth + 1);
        }
        let counter = self.locals.len();
        self.locals.push(ValType::I32);
        self.op(format!("i32.const {trips}"));
        self.op(format!("local.set {counter}"));
        let params = self.block_params(depth);
        let ty = block_type(&params, results);
        self.op(format!("loop {ty}"));
        let times = self.times;
        self.times *= trips + 1;
        let label = Label { types: params.clone(), counter: Some(counter) };
        self.within(label, |this| {
            this.consume(&params);
            this.statements(depth + 1);
            if this.random.one_in(2) {
                this.values(&params, depth + 1);
                this.count_down(counter);
                this.op("br_if 0");
                this.consume(&params);
            } else {
                this.count_down(counter);
                this.op("if");
                this.within(Label::plain(&[]), |this| {
                    this.values(&params, depth + 1);
                    this.op("br 1");
                    this.dead_code();
                });
                this.op("end");
            }
            this.values(results, depth + 1);
        });
        self.times = times;
        self.op("end");
    }

    /// Pushes whether the loop may go round once more.
    fn count_down(&mut self, counter: usize) {
        self.op(format!("local.get {counter}"));
        self.op("i32.const 1");
        self.op("i32.sub");
        self.op(format!("local.tee {counter}"));
        self.op("i32.const 0");
        self.op("i32.gt_s");
    }

    /// What nothing reaches, on a stack that fits any type.
    fn dead_code(&mut self) {
        if self.random.one_in(2) {
            return;
        }
        match self.random.below(6) {
            0 => self.op("i32.add\ndrop"),
            1 => self.op("block (result i64)\nunreachable\nend\ni64.const 1\ni64.div_s\ndrop"),
            2 => self.op("loop\nbr 0\nend"),
            3 => self.op("i32.const 1\nif (result f64)\nf64.const 1\nelse\nunreachable\nend\ndrop"),
            4 => self.op("select\ndrop"),
            _ => self.op("drop\ndrop\nunreachable"),
        }
    }

    /// A value, or else a branch out of some block with what that takes.
    fn early_exit(&mut self, ty: ValType, depth: usize) {
        self.value(ValType::I32, depth + 1);
        self.op(format!("if (result {})", ty.name()));
        self.within(Label::plain(&[ty]), |this| {
            if this.random.one_in(2) {
                this.value(ty, depth + 1);
                this.op("else");
                this.branch(depth + 1);
            } else {
                this.branch(depth + 1);
                this.op("else");
                this.value(ty, depth + 1);
            }
        });
        self.op("end");
    }

    /// Leaves for good: what follows is not reached. To a loop's start it may stay, and then traps.
    fn branch(&mut self, depth: usize) {
        let depth_of = |labels: &[Label], at: usize| labels.len() - 1 - at;
        let at = self.random.below(self.labels.len());
        let label = self.labels[at].clone();
        let to = depth_of(&self.labels, at);
        if let Some(counter) = label.counter {
            self.count_down(counter);
            self.op("if");
            self.within(Label::plain(&[]), |this| {
                this.values(&label.types, depth + 1);
                this.op(format!("br {}", to + 1));
            });
            self.op("end");
            self.return_(depth);
        } else if self.random.one_in(3) {
            // Every label that takes the same, in any order.
            let same: Vec<_> = (0..self.labels.len())
                .filter(|at| {
                    self.labels[*at].counter.is_none() && self.labels[*at].types == label.types
                })
                .map(|at| depth_of(&self.labels, at))
                .collect();
            self.values(&label.types, depth + 1);
            self.value(ValType::I32, depth + 1);
            if self.random.one_in(2) {
                self.op("i32.const 3\ni32.and");
            }
            let targets: String = (0..1 + self.random.below(5))
                .map(|_| format!("{} ", self.random.pick(&same)))
                .collect();
            self.op(format!("br_table {targets}"));
        } else {
            self.values(&label.types, depth + 1);
            self.op(format!("br {to}"));
        }
        self.dead_code();
    }

    fn return_(&mut self, depth: usize) {
        if self.random.one_in(8) {
            self.op("unreachable");
            return;
        }
        let results = self.signature.results.clone();
        self.values(&results, depth + 1);
        self.op("return");
    }

    fn statements(&mut self, depth: usize) {
        if self.is_tight(depth) {
            return;
        }
        for _ in 0..self.random.below(3) {
            self.statement(depth);
        }
    }

    /// Something that leaves the stack as it was.
    fn statement(&mut self, depth: usize) {
        if self.is_tight(depth) {
            return;
        }
        match self.random.below(22) {
            0..=5 => {
                let local = *self.random.pick(&self.variables);
                self.value(self.locals[local], depth + 1);
                let write = if self.random.one_in(4) { "tee" } else { "set" };
                self.op(format!("local.{write} {local}"));
                if write == "tee" {
                    self.op("drop");
                }
            }
            6 | 7 => {
                let results = types(self.random, 4, 0);
                self.block(&results, depth + 1);
                self.consume(&results);
            }
            8 | 9 => {
                let results = types(self.random, 3, 0);
                self.if_else(&results, depth + 1);
                self.consume(&results);
            }
            10 | 11 => {
                let results = types(self.random, 3, 0);
                self.counted_loop(&results, depth + 1);
                self.consume(&results);
            }
            12 => {
                self.value(ValType::I32, depth + 1);
                self.op("if");
                self.within(Label::plain(&[]), |this| this.branch(depth + 1));
                self.op("end");
            }
            13 | 20 => {
                if let Some(index) = self.any_call(depth) {
                    let results = self.callees[index].results.clone();
                    self.consume(&results);
                }
            }
            14..=19 => self.shared_statement(depth),
            _ => {
                let ty = any_type(self.random);
                self.value(ty, depth + 1);
                self.op("nop");
                self.op("drop");
            }
        }
    }
}
