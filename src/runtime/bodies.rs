//! From the bodies of a module to its machine code, on as many threads as it is worth.
//!
//! Bodies are compiled in batches of neighbours, which large modules share out among threads. The code
//! is laid end to end in the order of the functions, so that it does not depend on how many threads
//! there were. Nor does the error that is reported: it is the first in that order.
//!
//! The baseline tier's code goes where it will run as soon as all before it is there, while it is still
//! in the processor's cache, and its buffers are used again. Cranelift's waits to be linked.

use std::io;
use std::mem;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::code::Draft;
use super::engine::Engine;
use super::module::{Clock, Timings};
use crate::compile::abi::Layout;
use crate::compile::{
    CODE_ALIGNMENT, CallSite, CompiledCode, CompiledFunction, InlinedSite, Relocation, Tier,
    TrapSite, Unit, Worker,
};
use crate::error::{LoadError, NotPlain};
use crate::module::{Body, Late, ModuleInfo, SmallFunctions, Tail, check_code, check_limit};

/// The bytes of the bodies in a batch: at most milliseconds of each tier's work, and so many batches
/// that the last ones do not leave a thread waiting for long.
fn batch_bytes(tier: Tier, bodies: usize) -> usize {
    const MANY: usize = 64;
    match tier {
        Tier::Baseline => (bodies / MANY).clamp(8 << 10, 64 << 10),
        Tier::Cranelift => 8 << 10,
    }
}

/// Bodies of so few bytes are one thread's work: starting another would take longer.
const fn too_few_to_share(tier: Tier) -> usize {
    match tier {
        Tier::Baseline => 64 << 10,
        Tier::Cranelift => 8 << 10,
    }
}

/// How much code to expect of bodies of so many bytes; more than most have.
const fn expected_code(bodies: usize) -> usize {
    bodies / 2 * 5
}

/// Machine code for one function that no tier made.
pub(super) struct Foreign<'a> {
    pub function: u32,
    pub code: &'a [u8],
}

/// The code of a module, and what the runtime must know of it. Offsets are from the start of the
/// code.
#[derive(Default)]
pub(super) struct Compiled {
    pub code: Code,
    pub functions: Vec<CompiledFunction>,
    pub relocations: Vec<Relocation>,
    pub traps: Vec<TrapSite>,
    pub inlined: Vec<InlinedSite>,
    pub calls: Vec<CallSite>,
    pub foreign: Range<u32>,
}

/// Where the code is.
pub(super) enum Code {
    /// Where it will run; calls are not connected. `None` while there is none.
    Placed(Option<Draft>),
    /// In parts to be laid end to end, each at a multiple of [`CODE_ALIGNMENT`].
    Chunks(Vec<Vec<u8>>),
}

impl Default for Code {
    fn default() -> Code {
        Code::Placed(None)
    }
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
    unit: Unit<'j>,
    foreign: Option<Foreign<'j>>,
    /// The size of all bodies.
    bytes: usize,
    /// How much code there is so far.
    code_bytes: AtomicU64,
}

/// The code of one batch.
#[derive(Default)]
struct Part {
    code: CompiledCode,
    foreign: Range<u32>,
    timings: Option<Timings>,
}

/// What there is of a module behind its head.
pub(super) struct Sources<'a> {
    pub bodies: Vec<Body<'a>>,
    pub foreign: Option<Foreign<'a>>,
    pub tail: Tail<'a>,
}

/// Validates and compiles all bodies, and reads what stands behind them. What is wrong there is reported
/// before what is wrong with a body.
pub(super) fn compile(
    engine: &Engine,
    info: &ModuleInfo,
    type_ids: &[u32],
    layout: &Layout,
    sources: Sources<'_>,
    clock: &mut Clock,
) -> Result<(Compiled, Late), LoadError> {
    let Sources { bodies, foreign, tail } = sources;
    let bytes: usize = bodies.iter().map(Body::len).sum();
    let batch = batch_bytes(engine.tier(), bytes);
    let other = foreign.as_ref().map(|foreign| foreign.function);
    let small = SmallFunctions::among(&bodies, other, layout.fuel.is_some());
    let in_segments = match engine.tier() {
        #[cfg(feature = "cranelift")]
        Tier::Cranelift => info.functions_in_segments(),
        _ => Default::default(),
    };
    let unit = Unit { info, type_ids, layout, small, in_segments };
    let job = Job { engine, unit, foreign, bytes, code_bytes: AtomicU64::new(0) };
    let mut all = Compiled::default();
    if engine.tier() == Tier::Cranelift {
        all.code = Code::Chunks(Vec::new());
    }
    if bytes <= too_few_to_share(engine.tier()) {
        let late = tail.read(info, engine.limits())?;
        clock.lap(|timings| &mut timings.parse);
        let mut worker = engine.worker();
        let mut part = Part::default();
        job.compile(bodies, &mut worker, &mut part)?;
        engine.retire(worker);
        // It is all of the module's code: no more room than that.
        all.append(&mut part, engine, 0)?;
        clock.add(part.timings);
        return Ok((all, late));
    }
    let batches = split(bodies, batch);
    let threads = engine.compile_threads().min(batches.len());
    job.compile_shared(batches, threads, tail, all, clock)
}

/// Cuts the bodies into batches of about that many bytes.
fn split(bodies: Vec<Body<'_>>, bytes: usize) -> Vec<Mutex<Vec<Body<'_>>>> {
    let mut batches = Vec::new();
    let (mut batch, mut size) = (Vec::new(), 0);
    for body in bodies {
        size += body.len();
        batch.push(body);
        if size >= bytes {
            batches.push(Mutex::new(mem::take(&mut batch)));
            size = 0;
        }
    }
    if !batch.is_empty() {
        batches.push(Mutex::new(batch));
    }
    batches
}

/// The batches that are finished.
struct Progress {
    /// Of all batches before `next`.
    all: Compiled,
    next: usize,
    /// Of batches from `next` on, those that were compiled.
    waiting: Vec<Option<Part>>,
    /// Buffers to be used again.
    spare: Vec<Part>,
    timings: Timings,
    /// The first batch that failed, and how.
    failure: Option<(usize, LoadError)>,
}

impl Job<'_> {
    /// Compiles the batches on so many threads, this one among them. This one reads the tail first.
    fn compile_shared(
        &self,
        batches: Vec<Mutex<Vec<Body<'_>>>>,
        threads: usize,
        tail: Tail<'_>,
        all: Compiled,
        clock: &mut Clock,
    ) -> Result<(Compiled, Late), LoadError> {
        let progress = Mutex::new(Progress {
            all,
            next: 0,
            waiting: batches.iter().map(|_| None).collect(),
            spare: Vec::new(),
            timings: Timings::default(),
            failure: None,
        });
        let begun = AtomicUsize::new(0);
        let work = || {
            let mut worker = self.engine.worker();
            loop {
                // Batches are begun in order. So when one has failed, those before it have been
                // begun, and will tell if one of them fails too.
                let mut part = {
                    let mut progress = lock(&progress);
                    if progress.failure.is_some() {
                        break;
                    }
                    progress.spare.pop().unwrap_or_default()
                };
                let at = begun.fetch_add(1, Ordering::Relaxed);
                let Some(batch) = batches.get(at) else { break };
                let compiled = self.compile(mem::take(&mut lock(batch)), &mut worker, &mut part);
                lock(&progress).finish(at, compiled.map(|()| part), self);
            }
            self.engine.retire(worker);
        };
        let late = thread::scope(|scope| {
            for _ in 1..threads {
                // A system that gives no thread leaves the work to those that there are.
                let name = thread::Builder::new().name("wasm-mini compile".to_string());
                let _ = name.spawn_scoped(scope, work);
            }
            let mut clock = Clock::new(self.engine.collects_timings());
            let late = tail.read(self.unit.info, self.engine.limits());
            clock.lap(|timings| &mut timings.parse);
            if let Some(timings) = clock.timings() {
                lock(&progress).timings.add(timings);
            }
            if late.is_err() {
                begun.store(batches.len(), Ordering::Relaxed);
            }
            work();
            late
        })?;
        let progress = progress.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, error)) = progress.failure {
            return Err(error);
        }
        clock.add(Some(progress.timings));
        let mut all = progress.all;
        let len = all.len();
        if let Code::Placed(Some(draft)) = &mut all.code {
            draft.truncate(len);
        }
        Ok((all, late))
    }

    /// Compiles one batch.
    fn compile(
        &self,
        bodies: Vec<Body<'_>>,
        worker: &mut Worker,
        part: &mut Part,
    ) -> Result<(), LoadError> {
        let mut clock = Clock::new(self.engine.collects_timings());
        let limits = self.engine.limits();
        for body in bodies {
            let body = body.validate(&mut worker.validation)?;
            clock.lap(|timings| &mut timings.validate);
            let what = "the number of a function's locals (`Limits::function_locals`)";
            let locals = worker.validation.facts.locals.len();
            check_limit(what, locals as u64, limits.function_locals)?;
            let before = part.code.bytes.len();
            match &self.foreign {
                Some(foreign) if foreign.function == body.function => {
                    part.foreign = foreign.append_to(&mut part.code);
                }
                _ => worker.compile(self.engine.backend(), &self.unit, &body, &mut part.code)?,
            }
            clock.lap(|timings| &mut timings.compile);
            let added = (part.code.bytes.len() - before) as u64;
            let all = self.code_bytes.fetch_add(added, Ordering::Relaxed) + added;
            check_code(all, limits.max_code())?;
        }
        part.timings = clock.timings();
        Ok(())
    }
}

impl Foreign<'_> {
    fn append_to(&self, out: &mut CompiledCode) -> Range<u32> {
        out.bytes.resize(out.bytes.len().next_multiple_of(CODE_ALIGNMENT), 0xcc);
        let start = out.bytes.len() as u32;
        out.bytes.extend_from_slice(self.code);
        let code = start..out.bytes.len() as u32;
        let function = CompiledFunction {
            function: self.function,
            code: code.clone(),
            frameless: true,
            tier: None,
            plain: Err(NotPlain::MachineCode),
        };
        out.functions.push(function);
        code
    }
}

impl Progress {
    /// Takes what became of a batch, and puts in place what can be.
    fn finish(&mut self, at: usize, compiled: Result<Part, LoadError>, job: &Job<'_>) {
        match compiled {
            Ok(part) => self.waiting[at] = Some(part),
            Err(error) => return self.fail(at, error),
        }
        while let Some(mut part) = self.waiting.get_mut(self.next).and_then(Option::take) {
            if let Some(timings) = part.timings.take() {
                self.timings.add(timings);
            }
            if let Err(error) = self.all.append(&mut part, job.engine, job.bytes) {
                return self.fail(self.next, error);
            }
            self.spare.push(part);
            self.next += 1;
        }
    }

    fn fail(&mut self, at: usize, error: LoadError) {
        if self.failure.as_ref().is_none_or(|(first, _)| at < *first) {
            self.failure = Some((at, error));
        }
    }
}

impl Compiled {
    /// Lays a part's code behind what there is, in room for the code of bodies of so many bytes, and
    /// empties the part.
    fn append(&mut self, part: &mut Part, engine: &Engine, bodies: usize) -> Result<(), LoadError> {
        let end = self.len();
        let start = end.next_multiple_of(CODE_ALIGNMENT);
        let bytes = &mut part.code.bytes;
        match &mut self.code {
            Code::Chunks(chunks) => chunks.push(mem::take(bytes)),
            Code::Placed(draft) => {
                let len = start + bytes.len();
                let place = room(draft, len, end, expected_code(bodies), engine)
                    .map_err(LoadError::CodeMemory)?;
                // Padding must not run.
                place[end..start].fill(0xcc);
                place[start..len].copy_from_slice(bytes);
                bytes.clear();
            }
        }
        let CompiledCode { functions, relocations, traps, inlined, calls, .. } = &mut part.code;
        if start == 0 && bodies == 0 {
            // The only one: its lists are the module's.
            self.functions = mem::take(functions);
            self.relocations = mem::take(relocations);
            self.traps = mem::take(traps);
            self.inlined = mem::take(inlined);
            self.calls = mem::take(calls);
            self.foreign = mem::take(&mut part.foreign);
            return Ok(());
        }
        let start = start as u32;
        let moved = |range: Range<u32>| range.start + start..range.end + start;
        self.functions.extend(functions.drain(..).map(|mut function| {
            function.code = moved(function.code);
            function
        }));
        let relocations = relocations.drain(..);
        self.relocations
            .extend(relocations.map(|site| Relocation { offset: site.offset + start, ..site }));
        let traps = traps.drain(..);
        self.traps.extend(traps.map(|site| TrapSite { offset: site.offset + start, ..site }));
        let inlined = inlined.drain(..);
        self.inlined
            .extend(inlined.map(|site| InlinedSite { offset: site.offset + start, ..site }));
        self.calls.extend(
            calls
                .drain(..)
                .map(|site| CallSite { return_offset: site.return_offset + start, ..site }),
        );
        let foreign = mem::take(&mut part.foreign);
        if !foreign.is_empty() {
            self.foreign = moved(foreign);
        }
        Ok(())
    }
}

/// Makes sure that a draft has `len` bytes, of which the first `used` keep their content; at least
/// `expected` if it must be made. Returns its bytes.
fn room<'d>(
    draft: &'d mut Option<Draft>,
    len: usize,
    used: usize,
    expected: usize,
    engine: &Engine,
) -> io::Result<&'d mut [u8]> {
    let have = draft.as_mut().map_or(0, |draft| draft.bytes_mut().len());
    if draft.is_none() || have < len {
        let mut larger = engine.allocate_code(len.max(expected).max(2 * have))?;
        if let Some(smaller) = draft {
            larger.bytes_mut()[..used].copy_from_slice(&smaller.bytes_mut()[..used]);
        }
        *draft = Some(larger);
    }
    Ok(draft.as_mut().expect("it was just made").bytes_mut())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
