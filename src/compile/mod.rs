//! From validated bodies to machine code that cannot run yet.
//!
//! Two tiers, each in its own room, which never import each other: [`baseline`] emits bytes in one
//! pass, [`cranelift`] goes through Cranelift's IR. What they share is data, [`CompiledCode`], and
//! the contract in [`abi`]. This room makes no memory executable and has no `unsafe`.

pub(crate) mod abi;
#[cfg(feature = "baseline")]
pub(crate) mod baseline;
pub(crate) mod batch;
#[cfg(feature = "cranelift")]
pub(crate) mod cranelift;
mod driver;
#[cfg(feature = "listing")]
pub mod listing;
mod runs;
pub(crate) mod trampoline;

use std::ops::Range;

pub use driver::Tier;
pub(crate) use driver::{Backend, Unit, Worker};

use crate::error::{NotPlain, TrapCode};
use crate::module::{Facts, ValidBody};

/// The code of a module's functions, laid end to end, and what the runtime must know of it.
///
/// All offsets are bytes from the start of `bytes`. A tier appends to every list, function by
/// function; within a function, `traps`, `inlined` and `calls` are sorted by offset.
#[derive(Debug, Default)]
pub(crate) struct CompiledCode {
    pub bytes: Vec<u8>,
    /// The defined functions in the order of their indices.
    pub functions: Vec<CompiledFunction>,
    pub relocations: Vec<Relocation>,
    pub traps: Vec<TrapSite>,
    /// Those of `traps` that belong to a function in the place of a call.
    pub inlined: Vec<InlinedSite>,
    pub calls: Vec<CallSite>,
    /// For each operator that emitted something: where its code starts. Filled only on request.
    pub operators: Option<Vec<OperatorStart>>,
    /// The jump tables and constants at the ends of functions. Filled only on request, too.
    #[cfg_attr(not(feature = "listing"), allow(dead_code))]
    pub data: Vec<Range<u32>>,
}

/// Where a batch's code starts, and each function that has something aligned inside: at a multiple of
/// this. Between functions there is `int3`, or nothing.
pub(crate) const CODE_ALIGNMENT: usize = 16;

/// One function's place in [`CompiledCode`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CompiledFunction {
    /// The function's index, imports counted.
    pub function: u32,
    pub code: Range<u32>,
    /// It keeps no frame pointer: at a trap inside it, the return address is at rsp.
    pub frameless: bool,
    /// Which tier compiled it, if one did.
    pub tier: Option<Tier>,
    /// Whether it is plain and can be called without an entry. If not, why not.
    pub plain: Result<(), NotPlain>,
}

/// What a tier has made of a function.
struct Made {
    calls: bool,
    traps: bool,
    /// Its code reads [`VMCTX`](abi::VMCTX).
    reads_context: bool,
}

/// Whether a function can be called like any other function of that type: it cannot trap, does not
/// read its context, ends soon, calls nobody, and its frame is small.
fn plain(body: &ValidBody<'_>, facts: &Facts, made: &Made) -> Result<(), NotPlain> {
    // No more values than operators, and no slot larger than 16 bytes: a frame of some KiB at most.
    let small = body.len() <= 256 && facts.locals.len() <= 64;
    let against = [
        (facts.makes_calls || facts.calls_runtime || made.calls, NotPlain::Calls),
        (facts.has_loops, NotPlain::Loops),
        (made.traps, NotPlain::Traps),
        (made.reads_context, NotPlain::Instance),
        (!small, NotPlain::Large),
    ];
    against.into_iter().find(|(is, _)| *is).map_or(Ok(()), |(_, why)| Err(why))
}

/// A 4-byte field that takes the distance from its own end to the start of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Relocation {
    pub offset: u32,
    /// The target's index, imports counted; always a defined function.
    pub function: u32,
}

/// An instruction that traps: one code each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TrapSite {
    /// Where the instruction starts.
    pub offset: u32,
    pub code: TrapCode,
    /// Where the operator stands in the binary module; the call, if it is of an [`InlinedSite`].
    pub wasm_offset: u32,
}

/// What a backtrace shows before the frame of the code itself: the function that the instruction is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InlinedSite {
    /// That of the [`TrapSite`].
    pub offset: u32,
    /// The function's index, imports counted.
    pub function: u32,
    /// Where the operator stands in the binary module.
    pub wasm_offset: u32,
}

/// A call that may show up in a backtrace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallSite {
    /// The return address: the offset behind the call instruction.
    pub return_offset: u32,
    /// Where the operator stands in the binary module.
    pub wasm_offset: u32,
}

/// Where the code of an operator starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OperatorStart {
    pub offset: u32,
    /// Where the operator stands in the binary module.
    pub wasm_offset: u32,
}

/// What the machine can do beyond SSE4.1, the least that this crate compiles for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CpuFeatures {
    pub popcnt: bool,
    pub lzcnt: bool,
    pub bmi1: bool,
    pub bmi2: bool,
    pub avx: bool,
    pub avx2: bool,
}

impl CpuFeatures {
    /// Those of the machine that this runs on.
    pub fn detect() -> CpuFeatures {
        CpuFeatures {
            popcnt: std::is_x86_feature_detected!("popcnt"),
            lzcnt: std::is_x86_feature_detected!("lzcnt"),
            bmi1: std::is_x86_feature_detected!("bmi1"),
            bmi2: std::is_x86_feature_detected!("bmi2"),
            avx: std::is_x86_feature_detected!("avx"),
            avx2: std::is_x86_feature_detected!("avx2"),
        }
    }

    /// The same without one of them; `None` if there is none of that name. What has no AVX has no AVX2.
    pub fn without(mut self, name: &str) -> Option<CpuFeatures> {
        match name {
            "popcnt" => self.popcnt = false,
            "lzcnt" => self.lzcnt = false,
            "bmi1" => self.bmi1 = false,
            "bmi2" => self.bmi2 = false,
            "avx" => (self.avx, self.avx2) = (false, false),
            "avx2" => self.avx2 = false,
            _ => return None,
        }
        Some(self)
    }

    /// The least that is compiled for.
    pub const FLOOR: CpuFeatures = CpuFeatures {
        popcnt: false,
        lzcnt: false,
        bmi1: false,
        bmi2: false,
        avx: false,
        avx2: false,
    };
}

/// How to compile, for either tier.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CompileOptions {
    pub cpu: CpuFeatures,
    /// Let the tiers take turns, function by function.
    #[cfg_attr(not(all(feature = "baseline", feature = "cranelift")), allow(dead_code))]
    pub mixed_tiers: bool,
    /// Fill [`CompiledCode::operators`].
    pub record_operators: bool,
    /// Test [`STOP`](abi::STOP) at loop headers and function entries, and call
    /// [`Poll`](abi::Builtin::Poll) if it is set.
    pub polls: bool,
    /// Refuse a function of more code than this, in bytes.
    #[cfg_attr(not(feature = "baseline"), allow(dead_code))]
    pub max_code: u32,
}

impl CompileOptions {
    /// For every machine, and nothing out of the ordinary.
    #[cfg(any(test, feature = "listing"))]
    pub const PLAIN: CompileOptions = CompileOptions {
        cpu: CpuFeatures::FLOOR,
        mixed_tiers: false,
        record_operators: false,
        polls: false,
        max_code: 1 << 30,
    };
}
