//! The measurements, one file each, in parts that can be made alone.

mod batch;
mod calls;
mod checks;
mod code_size;
mod execution;
mod first_result;
mod host_calls;
mod hundred;
mod instances;
mod kernels;
mod linear;
pub mod modules;
mod throughput;
mod traps;

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::engines::Engines;
use crate::race::Plan;
use crate::report::Section;

/// The parts, in the order of the report: each has a place of its own in it.
pub const PARTS: [&str; 8] =
    ["calls", "compile", "linear", "kernels", "traps", "checks", "instances", "modules"];

/// Makes the measurements of a part.
pub fn part(
    part: &str,
    crate_dir: &Path,
    engines: &Engines,
    quick: bool,
) -> io::Result<Vec<Section>> {
    let plan = |batch| Plan { rounds: if quick { 5 } else { 201 }, batch };
    let short = plan(Duration::from_millis(1));
    // What takes long by itself needs fewer rounds to meet a calm moment.
    let long = Plan { rounds: if quick { 6 } else { 31 }, batch: Duration::from_millis(5) };
    Ok(match part {
        "calls" => {
            let mut sections = calls::measure(engines, short);
            sections.push(batch::measure(engines, short));
            sections.push(host_calls::measure(engines, short));
            sections
        }
        "compile" => vec![
            first_result::measure(engines, short),
            hundred::measure(engines, short),
            throughput::measure(engines, long),
            code_size::measure(engines),
        ],
        "linear" => vec![linear::measure(quick)],
        "kernels" => {
            let mut sections = execution::measure(engines, long);
            sections.push(kernels::measure(crate_dir, engines, long)?);
            sections
        }
        "traps" => vec![traps::measure(engines, short)],
        "checks" => checks::measure(long, quick),
        "instances" => instances::measure(engines, short),
        "modules" => modules::measure(crate_dir, engines, quick)?,
        _ => return Err(io::Error::other(format!("{part} is none of {}", PARTS.join(", ")))),
    })
}
