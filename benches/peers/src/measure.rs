//! The measurements, one file each.

mod calls;
mod code_size;
mod execution;
mod first_result;
mod hundred;
mod instances;
mod throughput;
mod traps;

use std::time::Duration;

use crate::engines::Engines;
use crate::race::Plan;
use crate::report::Section;

/// All of them, in the order of the report.
pub fn all(engines: &Engines, quick: bool) -> Vec<Section> {
    let plan = |batch| Plan { rounds: if quick { 5 } else { 201 }, batch };
    let short = plan(Duration::from_millis(1));
    // What takes long by itself needs fewer rounds to meet a calm moment.
    let long = Plan { rounds: if quick { 3 } else { 31 }, batch: Duration::from_millis(5) };
    let measurements: [&dyn Fn() -> Vec<Section>; 8] = [
        &|| calls::measure(engines, short),
        &|| vec![first_result::measure(engines, short)],
        &|| vec![hundred::measure(engines, short)],
        &|| vec![throughput::measure(engines, long)],
        &|| vec![code_size::measure(engines)],
        &|| execution::measure(engines, long),
        &|| vec![traps::measure(engines, short)],
        &|| vec![instances::measure(engines, short)],
    ];
    let sections = measurements.iter().flat_map(|measure| {
        let sections = measure();
        sections.iter().for_each(|section| println!("{}", section.text()));
        sections
    });
    sections.collect()
}
