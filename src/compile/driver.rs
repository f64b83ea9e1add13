//! The choice of a tier: what each needs, and one compiler out of two.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
#[cfg(feature = "cranelift")]
use std::sync::OnceLock;

#[cfg(feature = "cranelift")]
use ::cranelift_codegen::isa::OwnedTargetIsa;

use super::abi::Layout;
#[cfg(feature = "baseline")]
use super::baseline;
#[cfg(feature = "cranelift")]
use super::cranelift;
use super::{CompileOptions, CompiledCode};
use crate::error::LoadError;
#[cfg(feature = "cranelift")]
use crate::module::{Facts, check_limit};
use crate::module::{ModuleInfo, SmallFunctions, ValidBody, Validation};

/// Which compiler makes a module's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// The hand-rolled single-pass compiler: the fastest to a first result. Feature `baseline`.
    Baseline,
    /// Cranelift: the fastest code. Feature `cranelift`.
    Cranelift,
}

impl Tier {
    /// The tiers that this build has.
    #[must_use]
    pub const fn available() -> &'static [Tier] {
        match (cfg!(feature = "baseline"), cfg!(feature = "cranelift")) {
            (true, true) => &[Tier::Baseline, Tier::Cranelift],
            (true, false) => &[Tier::Baseline],
            (false, true) => &[Tier::Cranelift],
            (false, false) => &[],
        }
    }
}

impl Default for Tier {
    /// Cranelift where it is built in.
    fn default() -> Tier {
        if cfg!(feature = "cranelift") { Tier::Cranelift } else { Tier::Baseline }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tier::Baseline => "baseline",
            Tier::Cranelift => "cranelift",
        })
    }
}

impl FromStr for Tier {
    type Err = String;

    fn from_str(name: &str) -> Result<Tier, String> {
        match name {
            "baseline" => Ok(Tier::Baseline),
            "cranelift" => Ok(Tier::Cranelift),
            _ => Err(format!("`{name}` is no tier: there are `baseline` and `cranelift`")),
        }
    }
}

/// The tier of an engine, with what it needs to know of the machine.
pub(crate) struct Backend {
    tier: Tier,
    options: CompileOptions,
    /// Made when Cranelift is first needed.
    #[cfg(feature = "cranelift")]
    isa: OnceLock<Result<OwnedTargetIsa, String>>,
}

impl Backend {
    /// # Errors
    ///
    /// The tier is not in this build.
    pub fn new(tier: Tier, options: CompileOptions) -> Result<Backend, String> {
        if !Tier::available().contains(&tier) {
            return Err(format!("the {tier} tier is not in this build (cargo feature `{tier}`)"));
        }
        Ok(Backend {
            tier,
            options,
            #[cfg(feature = "cranelift")]
            isa: OnceLock::new(),
        })
    }

    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Cranelift's description of the machine.
    #[cfg(feature = "cranelift")]
    pub fn isa(&self) -> Result<OwnedTargetIsa, LoadError> {
        let isa = self.isa.get_or_init(|| cranelift::isa(self.options.cpu));
        isa.clone().map_err(|message| LoadError::Compile { function: 0, message })
    }
}

/// The largest body that Cranelift gets, in bytes: it takes about 3 s and 300 bytes of memory for each
/// byte of a body of this size.
#[cfg(feature = "cranelift")]
const MAX_CRANELIFT_BODY: usize = 1 << 20;
/// The deepest nesting of loops that Cranelift gets: its time grows with the cube of the depth, to about
/// half a second here.
#[cfg(feature = "cranelift")]
const MAX_CRANELIFT_LOOP_DEPTH: u32 = 500;

/// Which tier compiles a body for an engine of the Cranelift tier. No program that people write comes
/// near these bounds; they are there so that the time that a module takes is bounded.
#[cfg(feature = "cranelift")]
fn for_cranelift(body: &ValidBody<'_>, facts: &Facts) -> Result<Tier, LoadError> {
    let (depth, limit) = (facts.max_loop_depth, MAX_CRANELIFT_LOOP_DEPTH);
    if depth <= limit && body.len() <= MAX_CRANELIFT_BODY {
        return Ok(Tier::Cranelift);
    }
    if cfg!(feature = "baseline") {
        return Ok(Tier::Baseline);
    }
    // Without the other tier, large bodies take their time, and deep nesting is refused.
    check_limit("the depth of nested loops", depth, limit)?;
    Ok(Tier::Cranelift)
}

/// A module whose bodies are compiled one by one.
pub(crate) struct Unit<'m> {
    pub info: &'m ModuleInfo,
    /// For each of the module's types a number, not 0, that equal types share wherever they come from.
    pub type_ids: &'m [u32],
    pub layout: &'m Layout,
    /// What may take the place of calls.
    pub small: SmallFunctions<'m>,
    /// The functions that indirect calls are likely to reach.
    #[cfg_attr(not(feature = "cranelift"), expect(dead_code))]
    pub in_segments: HashSet<u32>,
}

/// Everything that turning one body into code needs, kept from body to body.
#[derive(Default)]
pub(crate) struct Worker {
    pub validation: Validation,
    #[cfg(feature = "baseline")]
    baseline: Option<Box<baseline::Compiler>>,
    #[cfg(feature = "cranelift")]
    cranelift: Option<Box<cranelift::Compiler>>,
}

impl Worker {
    /// Compiles a body that this worker has just validated, with the backend's tier, or with the
    /// baseline tier where Cranelift would take too long: functions of both can call each other.
    pub fn compile(
        &mut self,
        backend: &Backend,
        unit: &Unit<'_>,
        body: &ValidBody<'_>,
        out: &mut CompiledCode,
    ) -> Result<(), LoadError> {
        let tier = match backend.tier {
            #[cfg(feature = "cranelift")]
            Tier::Cranelift => for_cranelift(body, &self.validation.facts)?,
            tier => tier,
        };
        #[cfg(all(feature = "baseline", feature = "cranelift"))]
        let tier = match tier {
            Tier::Baseline if backend.options.mixed_tiers && body.function % 2 == 1 => {
                Tier::Cranelift
            }
            tier => tier,
        };
        self.compile_with(tier, backend, unit, body, out)
    }

    /// As [`Worker::compile`], with that tier and no other.
    pub fn compile_with(
        &mut self,
        tier: Tier,
        backend: &Backend,
        unit: &Unit<'_>,
        body: &ValidBody<'_>,
        out: &mut CompiledCode,
    ) -> Result<(), LoadError> {
        if unit.layout.fuel.is_some() {
            self.validation.plan_fuel(body);
        }
        let facts = &self.validation.facts;
        match tier {
            #[cfg(feature = "baseline")]
            Tier::Baseline => {
                let new = || Box::new(baseline::Compiler::new(backend.options));
                self.baseline.get_or_insert_with(new).compile(unit, body, facts, out)
            }
            #[cfg(feature = "cranelift")]
            Tier::Cranelift => {
                let compiler = match &mut self.cranelift {
                    Some(compiler) => compiler,
                    none => none.insert(Box::new(cranelift::Compiler::new(
                        backend.isa()?,
                        backend.options,
                    ))),
                };
                compiler.compile(unit, body, facts, out)
            }
            #[allow(unreachable_patterns)]
            _ => unreachable!("a backend's tier is in this build"),
        }
    }
}
