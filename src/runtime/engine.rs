//! Policy and what modules share: the tier, limits, the memory for code, and workers that are used
//! again.

use std::fmt;
use std::io;
use std::num::NonZero;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use super::code::{CodeRegion, Draft, LARGE};
use super::func::nanoseconds;
use super::growth::Accounts;
use super::pool::Pool;
use super::trampolines;
use crate::compile::{Backend, CompileOptions, CpuFeatures, Tier, Worker};
use crate::module::Limits;

/// How much address space a region for code reserves. Nothing of it is memory until it is used.
const REGION: usize = 256 << 20;
/// How many idle workers an engine keeps.
const IDLE_WORKERS: usize = 8;

/// How a running guest learns that it is to end: see
/// [`Instance::interrupt_handle`](crate::Instance::interrupt_handle).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interruption {
    /// By the signal SIGURG to the guest's thread. Compiled code does nothing for it.
    #[default]
    Signal,
    /// By a flag that compiled code tests at the start of functions and loops: for programs that can
    /// have no handler for SIGURG, where a system call must not be interrupted by a signal, or where a
    /// sandbox forbids to send signals with data (`rt_tgsigqueueinfo`).
    Polled,
}

/// How modules are compiled, and the memory that their code lives in.
///
/// Cheap to clone; clones are the same engine. Engines are independent of each other. Most programs
/// need none: [`Module::new`](crate::Module::new) uses [`Engine::shared`].
///
/// ```
/// use wasm_mini::{Engine, Module, Tier};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// for tier in Tier::available() {
///     let engine = Engine::builder().tier(*tier).build()?;
///     Module::with_engine(&engine, b"\0asm\x01\0\0\0")?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    timings: bool,
    interruption: Interruption,
    /// In nanoseconds; 0 for none.
    deadline: u64,
    limits: Limits,
    /// 0 for as many as there are processors.
    compile_threads: usize,
    /// What a new instance has of it, if there is fuel.
    fuel: Option<u64>,
    processors: OnceLock<usize>,
    backend: Backend,
    regions: Mutex<Vec<Arc<CodeRegion>>>,
    pool: Pool,
    accounts: Accounts,
    // Boxed: they are large, and moved out and in with each module.
    #[expect(clippy::vec_box)]
    workers: Mutex<Vec<Box<Worker>>>,
}

impl Engine {
    /// An engine that compiles with that tier.
    ///
    /// # Errors
    ///
    /// This build lacks the tier, the processor lacks SSE4.1, or the system has no memory for the
    /// trampolines.
    pub fn new(tier: Tier) -> io::Result<Engine> {
        Engine::builder().tier(tier).build()
    }

    /// The settings of a new engine, to be changed before it is built.
    pub fn builder() -> EngineBuilder {
        EngineBuilder {
            tier: Tier::default(),
            timings: false,
            limits: Limits::default(),
            compile_threads: 0,
            cpu: CpuFeatures::detect(),
            mixed_tiers: false,
            interruption: Interruption::default(),
            deadline: None,
            fuel: None,
        }
    }

    /// The engine that [`Module::new`](crate::Module::new) uses: one for the process, made at the
    /// first call.
    ///
    /// # Errors
    ///
    /// As for [`Engine::new`].
    pub fn shared() -> io::Result<&'static Engine> {
        static SHARED: OnceLock<Engine> = OnceLock::new();
        if let Some(engine) = SHARED.get() {
            return Ok(engine);
        }
        let engine = Engine::builder().build()?;
        Ok(SHARED.get_or_init(|| engine))
    }

    /// The tier that this engine compiles with.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.0.backend.tier()
    }

    /// How guests of this engine are interrupted.
    #[must_use]
    pub fn interruption(&self) -> Interruption {
        self.0.interruption
    }

    /// How long outermost calls may take, in nanoseconds; 0 for as long as they like.
    pub(super) fn deadline(&self) -> u64 {
        self.0.deadline
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// How many threads may compile a large module.
    pub(super) fn compile_threads(&self) -> usize {
        match self.0.compile_threads {
            // Asking reads files.
            0 => *self
                .0
                .processors
                .get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get)),
            threads => threads,
        }
    }

    pub(super) fn collects_timings(&self) -> bool {
        self.0.timings
    }

    /// The fuel that a new instance has; `None` if compiled code takes none.
    pub(super) fn fuel(&self) -> Option<u64> {
        self.0.fuel
    }

    pub(super) fn backend(&self) -> &Backend {
        &self.0.backend
    }

    /// Room for so much code, in a region that has it or in a new one.
    pub(super) fn allocate_code(&self, len: usize) -> io::Result<Draft> {
        let mut regions = self.0.regions.lock().unwrap_or_else(PoisonError::into_inner);
        regions.retain(|region| !region.is_frozen());
        let is_large = len >= LARGE;
        for region in regions.iter().filter(|region| region.is_huge() == is_large) {
            if let Some(draft) = region.allocate(len) {
                return draft;
            }
        }
        let region = CodeRegion::reserve(REGION.max(len), is_large)?;
        let draft = region.allocate(len).ok_or(io::ErrorKind::OutOfMemory)?;
        regions.push(region);
        draft
    }

    /// Address space for the memories of instances.
    pub(super) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// What the live instances use together.
    pub(super) fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    /// A worker, used before if there is one.
    pub(super) fn worker(&self) -> Box<Worker> {
        self.0.workers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Gives a worker back.
    pub(super) fn retire(&self, worker: Box<Worker>) {
        let mut workers = self.0.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if workers.len() < IDLE_WORKERS {
            workers.push(worker);
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("tier", &self.tier()).finish_non_exhaustive()
    }
}

/// The settings of an [`Engine`] that is not built yet.
#[derive(Clone, Debug)]
#[must_use]
pub struct EngineBuilder {
    tier: Tier,
    timings: bool,
    limits: Limits,
    compile_threads: usize,
    cpu: CpuFeatures,
    mixed_tiers: bool,
    interruption: Interruption,
    deadline: Option<Duration>,
    fuel: Option<u64>,
}

impl EngineBuilder {
    /// Which compiler to use. By default Cranelift, or the baseline compiler where Cranelift is
    /// not built in.
    pub fn tier(mut self, tier: Tier) -> EngineBuilder {
        self.tier = tier;
        self
    }

    /// Whether modules tell how long each phase of their making took:
    /// [`Module::timings`](crate::Module::timings). Off by default, because reading the clock takes
    /// longer than compiling a small function.
    pub fn timings(mut self, on: bool) -> EngineBuilder {
        self.timings = on;
        self
    }

    /// How large modules may be, and how much their guests may ask for.
    pub fn limits(mut self, limits: Limits) -> EngineBuilder {
        self.limits = limits;
        self
    }

    /// How many threads compile a large module, the caller's among them; small ones never leave it.
    /// 0, the default, means as many as there are processors. What comes out is the same.
    pub fn compile_threads(mut self, threads: usize) -> EngineBuilder {
        self.compile_threads = threads;
        self
    }

    /// How running guests are interrupted; by a signal, by default.
    pub fn interruption(mut self, interruption: Interruption) -> EngineBuilder {
        self.interruption = interruption;
        self
    }

    /// How long a call of a guest may take, start functions included, before it ends with
    /// [`TrapCode::Interrupted`](crate::TrapCode::Interrupted). For outermost calls: one that a
    /// function of the host makes belongs to the call that it is in. By default there is no deadline,
    /// and looking for one costs nothing.
    /// [`TypedFunc::call_with_deadline`](crate::TypedFunc::call_with_deadline) sets another for one
    /// call.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasm_mini::{Engine, Imports, Instance, Module, TrapCode};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let engine = Engine::builder().deadline(Duration::from_millis(5)).build()?;
    /// let module = Module::with_engine(&engine, r#"(module (func (export "f") (loop (br 0))))"#)?;
    /// let f = Instance::new(&module, &Imports::none())?.func::<fn()>("f")?;
    /// assert_eq!(f().unwrap_err().code(), TrapCode::Interrupted);
    /// # Ok(())
    /// # }
    /// ```
    pub fn deadline(mut self, deadline: Duration) -> EngineBuilder {
        self.deadline = Some(deadline);
        self
    }

    /// Makes guests pay for what they execute, and gives each new instance so many units, of which
    /// its start function pays too: see [`Fuel`](crate::Fuel). Off by default: it costs time.
    pub fn fuel(mut self, initial: u64) -> EngineBuilder {
        self.fuel = Some(initial);
        self
    }

    /// Compiles only for what every supported processor has: SSE4.1. For tests and for comparing.
    pub fn portable_code(mut self) -> EngineBuilder {
        self.cpu = CpuFeatures::FLOOR;
        self
    }

    /// Compiles as for a processor that lacks these of what this one has: `popcnt`, `lzcnt`, `bmi1`,
    /// `bmi2`, `avx` or `avx2`. For tests.
    ///
    /// # Panics
    ///
    /// There is no feature of that name.
    #[doc(hidden)]
    pub fn without_cpu_features(mut self, names: &[&str]) -> EngineBuilder {
        for name in names {
            let known = self.cpu.without(name);
            self.cpu = known.unwrap_or_else(|| panic!("`{name}` is no feature that is used"));
        }
        self
    }

    /// Lets Cranelift compile every other function of an engine of the baseline tier: for tests of
    /// calls from tier to tier.
    #[doc(hidden)]
    pub fn mixed_tiers(mut self) -> EngineBuilder {
        self.mixed_tiers = true;
        self
    }

    /// Makes the engine.
    ///
    /// # Errors
    ///
    /// As for [`Engine::new`].
    pub fn build(self) -> io::Result<Engine> {
        let EngineBuilder {
            tier, timings, limits, compile_threads, cpu, mixed_tiers, fuel, ..
        } = self;
        let interruption = self.interruption;
        let refused = |why| io::Error::new(io::ErrorKind::Unsupported, why);
        let max_code = limits.max_code();
        let polls = interruption == Interruption::Polled;
        let options = CompileOptions { cpu, record_operators: false, mixed_tiers, polls, max_code };
        let backend = Backend::new(tier, options).map_err(refused)?;
        // Hypervisors can hide one of these from a processor that has both.
        let (ssse3, sse41) =
            (std::is_x86_feature_detected!("ssse3"), std::is_x86_feature_detected!("sse4.1"));
        if !ssse3 || !sse41 {
            return Err(refused("this processor lacks SSSE3 or SSE4.1".to_string()));
        }
        trampolines::ensure()?;
        Ok(Engine(Arc::new(Inner {
            timings,
            interruption,
            deadline: self.deadline.map_or(0, |deadline| nanoseconds(deadline).max(1)),
            limits,
            compile_threads,
            fuel,
            processors: OnceLock::new(),
            backend,
            regions: Mutex::default(),
            pool: Pool::default(),
            accounts: Accounts::new(&limits),
            workers: Mutex::default(),
        })))
    }
}
