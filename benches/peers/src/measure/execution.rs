//! How fast compiled code runs.

use std::hint::black_box;

use crate::engines::{self, BASELINE, CRANELIFT, Engines, WASMI, WASMTIME, WINCH};
use crate::programs;
use crate::race::{Contender, Plan, race};
use crate::report::{Goal, Section};

/// Measures calls of one export with these arguments in every engine.
macro_rules! run {
    ($engines:ident, $plan:ident, $name:literal, ($($arg:literal: $ty:ty),*) -> $result:ty) => {{
        let binary = programs::fixture($name);
        let mut contenders = Vec::new();
        for (name, engine) in &$engines.mini {
            let instance = engines::mini(engine, &binary);
            let func = instance.typed_func::<fn($($ty),*) -> $result>($name).expect("the export");
            contenders.push(Contender::new(*name, move || {
                func.call($(black_box($arg)),*).expect("no trap")
            }));
        }
        for (name, engine) in &$engines.wasmtime {
            let (mut store, instance) = engines::wasmtime(engine, &binary);
            let func = instance.get_typed_func::<($($ty,)*), $result>(&mut store, $name);
            let func = func.expect("the export");
            contenders.push(Contender::new(*name, move || {
                func.call(&mut store, ($(black_box($arg),)*)).expect("no trap")
            }));
        }
        let (mut store, instance) = engines::wasmi(&$engines.wasmi, &binary);
        let func = instance.get_typed_func::<($($ty,)*), $result>(&store, $name);
        let func = func.expect("the export");
        contenders.push(Contender::new(WASMI, move || {
            func.call(&mut store, ($(black_box($arg),)*)).expect("no trap")
        }));
        ($name, stringify!($($arg),*), race($plan, contenders))
    }};
}

pub fn measure(engines: &Engines, plan: Plan) -> Vec<Section> {
    let races = [
        run!(engines, plan, "fib", (27: i32) -> i32),
        run!(engines, plan, "collatz", (837_799: i64) -> i32),
        run!(engines, plan, "is_prime", (2_147_483_647: i32) -> i32),
        run!(engines, plan, "gcd", (7_540_113_804_746_346_429: i64, 4_660_046_610_375_530_309: i64) -> i64),
        run!(engines, plan, "fac", (100_000: i64) -> i64),
    ];
    let note = "One call of each fixture, least time. In parentheses: × wasmtime Cranelift.";
    let names = races[0].2.0.iter().map(|result| result.name.as_str());
    let header: Vec<&str> = std::iter::once("").chain(names).collect();
    let mut section = Section::new("Fixtures", note, &header);
    let mut product = [(BASELINE, 1.0), (WINCH, 1.0), (CRANELIFT, 1.0)];
    for (name, arguments, race) in &races {
        let mut row = vec![format!("{name}({arguments})")];
        for result in &race.0 {
            let ratio = race.ratio(&result.name, WASMTIME);
            let time = crate::report::duration(result.least);
            row.push(format!("{time} ({})", crate::report::times(ratio)));
        }
        section.rows.push(row);
        for (name, product) in &mut product {
            *product *= race.ratio(name, WASMTIME);
        }
    }
    let [baseline, winch, cranelift] =
        product.map(|(_, product): (_, f64)| product.powf(1.0 / races.len() as f64));
    let section = section
        .goal(Goal::at_most("cranelift, geometric mean, × wasmtime Cranelift", cranelift, 1.02))
        .goal(Goal::at_most(
            "baseline, geometric mean, at most 1.4 × wasmtime Cranelift",
            baseline,
            1.4,
        ))
        .goal(Goal::at_most("baseline, geometric mean, × wasmtime Winch", baseline / winch, 1.0));
    vec![section]
}
