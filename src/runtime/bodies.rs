//! From the bodies of a module to its machine code, on as many threads as it is worth.
//!
//! Bodies are compiled in batches of neighbours. Large modules share them out among threads, the
//! largest batch first; the code is laid end to end in the order of the functions, so that it does
//! not depend on how many threads there were. The error that is reported is the first in that order.

use std::mem;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::engine::Engine;
use super::module::{Clock, Timings};
use crate::compile::abi::Layout;
use crate::compile::{
    CallSite, CompiledCode, CompiledFunction, FUNCTION_ALIGNMENT, Relocation, Tier, TrapSite,
    Worker,
};
use crate::error::LoadError;
use crate::module::{Body, Facts, ModuleInfo, ValidBody, check_limit};

/// The bytes of the bodies in a batch: some ten milliseconds of each tier's work.
const fn batch_bytes(tier: Tier) -> usize {
    match tier {
        Tier::Baseline => 256 << 10,
        Tier::Cranelift => 8 << 10,
    }
}

/// Machine code for one function that no tier made.
pub(super) struct Foreign<'a> {
    pub function: u32,
    pub code: &'a [u8],
}

/// The code of a module, and what the runtime must know of it. Offsets are from the start of the
/// first chunk.
pub(super) struct Compiled {
    /// The code, to be laid end to end, each at a multiple of [`FUNCTION_ALIGNMENT`].
    pub chunks: Vec<Vec<u8>>,
    pub functions: Vec<CompiledFunction>,
    pub relocations: Vec<Relocation>,
    pub traps: Vec<TrapSite>,
    pub calls: Vec<CallSite>,
    /// For each of `functions`: see [`super::code_map::CodeMap`].
    pub plain: Vec<bool>,
    pub tiers: Vec<Option<Tier>>,
    pub foreign: Range<u32>,
}

impl Compiled {
    /// How much room the code takes.
    pub fn len(&self) -> usize {
        self.functions.last().map_or(0, |function| function.code.end as usize)
    }
}

/// What all threads read.
struct Job<'j> {
    engine: &'j Engine,
    info: &'j ModuleInfo,
    layout: &'j Layout,
    foreign: Option<&'j Foreign<'j>>,
    /// How much code there is so far.
    code_bytes: AtomicU64,
}

/// The code of one batch.
#[derive(Default)]
struct Part {
    code: CompiledCode,
    plain: Vec<bool>,
    tiers: Vec<Option<Tier>>,
    foreign: Range<u32>,
    timings: Option<Timings>,
}

/// Validates and compiles all bodies.
pub(super) fn compile(
    engine: &Engine,
    info: &ModuleInfo,
    layout: &Layout,
    bodies: Vec<Body<'_>>,
    foreign: Option<&Foreign<'_>>,
    clock: &mut Clock,
) -> Result<Compiled, LoadError> {
    let job = Job { engine, info, layout, foreign, code_bytes: AtomicU64::new(0) };
    let bytes: usize = bodies.iter().map(Body::len).sum();
    let batch = batch_bytes(engine.tier());
    if bytes <= batch {
        let mut worker = engine.worker();
        let part = job.compile(bodies, &mut worker)?;
        engine.retire(worker);
        return Ok(Compiled::new(part, clock));
    }
    let batches = split(bodies, batch);
    let threads = engine.compile_threads().min(batches.len());
    let parts = job.compile_shared(batches, threads)?;
    Ok(join(parts, clock))
}

/// Cuts the bodies into batches of about that many bytes.
fn split(bodies: Vec<Body<'_>>, bytes: usize) -> Vec<Vec<Body<'_>>> {
    let mut batches = Vec::new();
    let (mut batch, mut size) = (Vec::new(), 0);
    for body in bodies {
        size += body.len();
        batch.push(body);
        if size >= bytes {
            batches.push(mem::take(&mut batch));
            size = 0;
        }
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

impl Job<'_> {
    /// Compiles the batches on so many threads, this one among them.
    fn compile_shared(
        &self,
        batches: Vec<Vec<Body<'_>>>,
        threads: usize,
    ) -> Result<Vec<Part>, LoadError> {
        let mut order: Vec<usize> = (0..batches.len()).collect();
        // A large one that begins last would leave the other threads idle.
        order.sort_by_key(|i| std::cmp::Reverse(batches[*i].iter().map(Body::len).sum::<usize>()));
        let batches: Vec<_> = batches.into_iter().map(|batch| Mutex::new(Some(batch))).collect();
        let parts: Vec<Mutex<Option<Part>>> = batches.iter().map(|_| Mutex::default()).collect();
        let next = AtomicUsize::new(0);
        // The first batch that failed. Those before it are still compiled, for one may fail too.
        let failed = AtomicUsize::new(usize::MAX);
        let failure = Mutex::new(None);

        let work = || {
            let mut worker = self.engine.worker();
            while let Some(i) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                if *i > failed.load(Ordering::Relaxed) {
                    continue;
                }
                let Some(batch) = take(&batches[*i]) else { continue };
                match self.compile(batch, &mut worker) {
                    Ok(part) => *lock(&parts[*i]) = Some(part),
                    Err(error) => {
                        let mut failure = lock(&failure);
                        if failed.fetch_min(*i, Ordering::Relaxed) > *i {
                            *failure = Some(error);
                        }
                    }
                }
            }
            self.engine.retire(worker);
        };
        thread::scope(|scope| {
            for _ in 1..threads {
                // A system that gives no thread leaves the work to those that there are.
                let name = thread::Builder::new().name("wasm-mini compile".to_string());
                let _ = name.spawn_scoped(scope, work);
            }
            work();
        });
        match take(&failure) {
            Some(error) => Err(error),
            None => {
                let parts = parts.iter().map(|part| take(part).expect("all were compiled"));
                Ok(parts.collect())
            }
        }
    }

    /// Compiles one batch.
    fn compile(&self, bodies: Vec<Body<'_>>, worker: &mut Worker) -> Result<Part, LoadError> {
        let mut clock = Clock::new(self.engine.collects_timings());
        let limits = self.engine.limits();
        let mut part = Part::default();
        // Most code is less than three times as large as its body; what is not used costs nothing.
        part.code.bytes.reserve(3 * bodies.iter().map(Body::len).sum::<usize>());
        part.code.functions.reserve_exact(bodies.len());
        part.plain.reserve_exact(bodies.len());
        part.tiers.reserve_exact(bodies.len());
        for body in bodies {
            let body = body.validate(&mut worker.validation)?;
            clock.lap(|timings| &mut timings.validate);
            let what = "the number of a function's locals (`Limits::function_locals`)";
            let locals = worker.validation.facts.locals.len();
            check_limit(what, locals as u64, limits.function_locals)?;
            let before = part.code.bytes.len();
            match self.foreign {
                Some(foreign) if foreign.function == body.function => {
                    part.foreign = foreign.append_to(&mut part.code);
                    part.plain.push(false);
                    part.tiers.push(None);
                }
                _ => self.compile_body(&body, worker, &mut part)?,
            }
            clock.lap(|timings| &mut timings.compile);
            let added = (part.code.bytes.len() - before) as u64;
            limits.check_code(self.code_bytes.fetch_add(added, Ordering::Relaxed) + added)?;
        }
        part.timings = clock.timings();
        Ok(part)
    }

    fn compile_body(
        &self,
        body: &ValidBody<'_>,
        worker: &mut Worker,
        part: &mut Part,
    ) -> Result<(), LoadError> {
        let code = &mut part.code;
        let sites = code.traps.len() + code.calls.len();
        let tier = worker.compile(self.engine.backend(), self.info, self.layout, body, code)?;
        let alone = sites == code.traps.len() + code.calls.len()
            && code.functions.last().is_some_and(|function| !function.reads_context);
        part.tiers.push(Some(tier));
        part.plain.push(alone && is_plain(body, &worker.validation.facts));
        Ok(())
    }
}

/// Whether a function that has no trap site and does not read its context can be called like any other
/// function of that type: it ends soon, calls nobody, and its frame is small.
fn is_plain(body: &ValidBody<'_>, facts: &Facts) -> bool {
    // No more values than operators, and no slot larger than 16 bytes: a frame of some KiB at most.
    let small = body.len() <= 256 && facts.locals.len() <= 64;
    small && !facts.makes_calls && !facts.has_loops
}

impl Foreign<'_> {
    fn append_to(&self, out: &mut CompiledCode) -> Range<u32> {
        out.bytes.resize(out.bytes.len().next_multiple_of(FUNCTION_ALIGNMENT), 0xcc);
        let start = out.bytes.len() as u32;
        out.bytes.extend_from_slice(self.code);
        let code = start..out.bytes.len() as u32;
        let function = CompiledFunction {
            function: self.function,
            code: code.clone(),
            frameless: true,
            reads_context: true,
        };
        out.functions.push(function);
        code
    }
}

/// Lays the parts end to end. The code itself stays where it is until it is linked.
fn join(parts: Vec<Part>, clock: &mut Clock) -> Compiled {
    let sum = |len: fn(&Part) -> usize| parts[1..].iter().map(len).sum();
    let (functions, relocations, traps, calls) = (
        sum(|part| part.code.functions.len()),
        sum(|part| part.code.relocations.len()),
        sum(|part| part.code.traps.len()),
        sum(|part| part.code.calls.len()),
    );
    let count = parts.len();
    let mut parts = parts.into_iter();
    let mut all = Compiled::new(parts.next().expect("a large module has parts"), clock);
    all.chunks.reserve_exact(count - 1);
    all.functions.reserve_exact(functions);
    all.relocations.reserve_exact(relocations);
    all.traps.reserve_exact(traps);
    all.calls.reserve_exact(calls);
    all.plain.reserve_exact(functions);
    all.tiers.reserve_exact(functions);
    for part in parts {
        all.append(part, clock);
    }
    all
}

impl Compiled {
    fn new(part: Part, clock: &mut Clock) -> Compiled {
        let Part { code, plain, tiers, foreign, timings } = part;
        clock.add(timings);
        let CompiledCode { bytes, functions, relocations, traps, calls, .. } = code;
        Compiled {
            chunks: vec![bytes],
            functions,
            relocations,
            traps,
            calls,
            plain,
            tiers,
            foreign,
        }
    }

    fn append(&mut self, part: Part, clock: &mut Clock) {
        let Part { code, plain, tiers, foreign, timings } = part;
        clock.add(timings);
        let start = self.len().next_multiple_of(FUNCTION_ALIGNMENT) as u32;
        let moved = |range: Range<u32>| range.start + start..range.end + start;
        self.functions.extend(code.functions.into_iter().map(|mut function| {
            function.code = moved(function.code);
            function
        }));
        self.relocations.extend(
            code.relocations
                .iter()
                .map(|relocation| Relocation { offset: relocation.offset + start, ..*relocation }),
        );
        let traps = code.traps.iter();
        self.traps.extend(traps.map(|site| TrapSite { offset: site.offset + start, ..*site }));
        self.calls.extend(
            code.calls
                .iter()
                .map(|site| CallSite { return_offset: site.return_offset + start, ..*site }),
        );
        self.plain.extend(plain);
        self.tiers.extend(tiers);
        if !foreign.is_empty() {
            self.foreign = moved(foreign);
        }
        self.chunks.push(code.bytes);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take<T>(mutex: &Mutex<Option<T>>) -> Option<T> {
    lock(mutex).take()
}
