//! The choice of a tier: what each needs, and one compiler out of two.

use std::fmt;
use std::str::FromStr;

use super::abi::Layout;
#[cfg(feature = "baseline")]
use super::baseline;
#[cfg(feature = "cranelift")]
use super::cranelift;
use super::{CompileOptions, CompiledCode, CpuFeatures};
use crate::error::LoadError;
use crate::module::{ModuleInfo, ValidBody, Validation};

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

/// A tier with what it needs to know of the machine.
pub(crate) enum Backend {
    #[cfg(feature = "baseline")]
    Baseline,
    #[cfg(feature = "cranelift")]
    Cranelift(::cranelift_codegen::isa::OwnedTargetIsa),
}

impl Backend {
    /// # Errors
    ///
    /// The tier is not in this build, or does not know the machine.
    pub fn new(tier: Tier, cpu: CpuFeatures) -> Result<Backend, String> {
        match tier {
            #[cfg(feature = "baseline")]
            Tier::Baseline => {
                let _ = cpu;
                Ok(Backend::Baseline)
            }
            #[cfg(feature = "cranelift")]
            Tier::Cranelift => cranelift::isa(cpu).map(Backend::Cranelift),
            #[allow(unreachable_patterns)]
            _ => Err(format!("the {tier} tier is not in this build (cargo feature `{tier}`)")),
        }
    }
}

/// Everything that turning one body into code needs, kept from body to body.
pub(crate) struct Worker {
    pub validation: Validation,
    compiler: Compiler,
}

enum Compiler {
    #[cfg(feature = "baseline")]
    Baseline(Box<baseline::Compiler>),
    #[cfg(feature = "cranelift")]
    Cranelift(Box<cranelift::Compiler>),
}

impl Worker {
    pub fn new(backend: &Backend, options: CompileOptions) -> Worker {
        let compiler = match backend {
            #[cfg(feature = "baseline")]
            Backend::Baseline => Compiler::Baseline(Box::new(baseline::Compiler::new(options))),
            #[cfg(feature = "cranelift")]
            Backend::Cranelift(isa) => {
                Compiler::Cranelift(Box::new(cranelift::Compiler::new(isa.clone(), options)))
            }
        };
        Worker { validation: Validation::default(), compiler }
    }

    /// Compiles a body that this worker has just validated.
    pub fn compile(
        &mut self,
        info: &ModuleInfo,
        layout: &Layout,
        body: &ValidBody<'_>,
        out: &mut CompiledCode,
    ) -> Result<(), LoadError> {
        let facts = &self.validation.facts;
        match &mut self.compiler {
            #[cfg(feature = "baseline")]
            Compiler::Baseline(compiler) => {
                // The operators that need it are not there yet.
                let _ = layout;
                compiler.compile(info, body, facts, out)
            }
            #[cfg(feature = "cranelift")]
            Compiler::Cranelift(compiler) => compiler.compile(info, layout, body, facts, out),
        }
    }
}
