//! From the bodies of a module to its machine code, on as many threads as it is worth.
//!
//! Bodies are compiled in batches of neighbours, which large modules share out among threads. The code
//! is laid end to end in the order of the functions, so that it does not depend on how many threads
//! there were. Nor does the error that is reported: it is the first in that order, unless there is more code
//! than the limit.
//!
//! The baseline tier's code goes where it will run as soon as all before it is there, while it is still
//! in the processor's cache, and its buffers are used again. Cranelift's waits to be linked. One thread
//! at a time puts code in place; the others go on meanwhile, since to wait and be woken takes longer.

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
use crate::module::{Bodies, Late, ModuleInfo, SmallFunctions, Tail, check_code, check_limit};

/// The bytes of the bodies in a batch when so many are left: at most milliseconds of each tier's work, and
/// less towards the end, where threads wait for the last batch.
fn batch_bytes(tier: Tier, left: usize) -> usize {
    const MANY: usize = 64;
    match tier {
        Tier::Baseline => (left / MANY).clamp(4 << 10, 64 << 10),
        Tier::Cranelift => (left / MANY).clamp(2 << 10, 8 << 10),
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
    bodies: &'j Bodies<'j>,
    foreign: Option<Foreign<'j>>,
    /// The size of all bodies.
    bytes: usize,
    /// How much code has been counted so far, of all batches.
    code_bytes: AtomicU64,
}

/// The code of one batch.
#[derive(Default)]
struct Part {
    code: CompiledCode,
    /// The size of its bodies.
    bytes: usize,
    foreign: Range<u32>,
    timings: Option<Timings>,
}

/// What there is of a module behind its head.
pub(super) struct Sources<'a> {
    pub bodies: Bodies<'a>,
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
    let bytes = bodies.bytes();
    let other = foreign.as_ref().map(|foreign| foreign.function);
    let small = SmallFunctions::among(&bodies, other, layout.fuel.is_some());
    let in_segments = match engine.tier() {
        #[cfg(feature = "cranelift")]
        Tier::Cranelift => info.functions_in_segments(),
        _ => Default::default(),
    };
    let unit = Unit { info, type_ids, layout, small, in_segments };
    let code_bytes = AtomicU64::new(0);
    let job = Job { engine, unit, bodies: &bodies, foreign, bytes, code_bytes };
    let mut all = Compiled::default();
    if engine.tier() == Tier::Cranelift {
        all.code = Code::Chunks(Vec::new());
    }
    if bytes <= too_few_to_share(engine.tier()) {
        let late = tail.read(info, engine.limits())?;
        clock.lap(|timings| &mut timings.parse);
        let mut worker = engine.worker();
        let mut part = Part::default();
        job.compile(bodies.functions(), &mut worker, &mut part)?;
        engine.retire(worker);
        // It is all of the module's code: no more room than that.
        all.append(&mut part, engine, bytes, bytes)?;
        clock.add(part.timings);
        return Ok((all, late));
    }
    all.functions.reserve_exact(bodies.functions().len());
    let placed = Placed { all, next: 0, bytes: 0, timings: Timings::default(), result: Ok(()) };
    job.compile_shared(Batches::new(split(&bodies, engine.tier()), placed), tail, clock)
}

/// Cuts the functions into batches.
fn split(bodies: &Bodies<'_>, tier: Tier) -> Vec<Range<u32>> {
    let mut batches = Vec::new();
    let Range { mut start, end } = bodies.functions();
    let (mut size, mut left) = (0, bodies.bytes());
    for function in bodies.functions() {
        size += bodies.len(function);
        if size >= batch_bytes(tier, left) || function + 1 == end {
            batches.push(start..function + 1);
            start = function + 1;
            left -= mem::take(&mut size);
        }
    }
    batches
}

/// The batches of a module, which threads share.
struct Batches {
    /// Which functions are in each.
    functions: Vec<Range<u32>>,
    /// How many have been begun, in order.
    begun: AtomicUsize,
    /// What became of each, until it is in place.
    finished: Vec<Mutex<Option<Result<Part, LoadError>>>>,
    placed: Mutex<Placed>,
    /// Buffers to be used again.
    spare: Mutex<Vec<Part>>,
}

/// What is in place.
struct Placed {
    /// Of all batches before `next`.
    all: Compiled,
    next: usize,
    /// The size of their bodies.
    bytes: usize,
    timings: Timings,
    /// What is wrong with the last of them, if anything is.
    result: Result<(), LoadError>,
}

impl Batches {
    fn new(functions: Vec<Range<u32>>, placed: Placed) -> Batches {
        Batches {
            begun: AtomicUsize::new(0),
            finished: functions.iter().map(|_| Mutex::new(None)).collect(),
            placed: Mutex::new(placed),
            spare: Mutex::new(Vec::new()),
            functions,
        }
    }

    /// Lets no other batch begin.
    fn stop(&self) {
        self.begun.store(self.functions.len(), Ordering::Relaxed);
    }

    /// Compiles batches until all have been begun.
    fn work(&self, job: &Job<'_>) {
        let mut worker = job.engine.worker();
        loop {
            let at = self.begun.fetch_add(1, Ordering::Relaxed);
            let Some(functions) = self.functions.get(at) else { break };
            let mut part = lock(&self.spare).pop().unwrap_or_default();
            let compiled = job.compile(functions.clone(), &mut worker, &mut part);
            if compiled.is_err() {
                // Those before it have been begun, and will tell if one of them fails too.
                self.stop();
            }
            *lock(&self.finished[at]) = Some(compiled.map(|()| part));
            // If another thread is placing, it may have looked for this batch just before it was there. Then
            // the next that comes places it, or `compile_shared` at the end.
            if let Ok(mut placed) = self.placed.try_lock() {
                self.place(&mut placed, job);
            }
        }
        job.engine.retire(worker);
    }

    /// Puts in place what is finished, as far as all before it is.
    fn place(&self, placed: &mut Placed, job: &Job<'_>) {
        while placed.result.is_ok()
            && let Some(finished) = self.finished.get(placed.next)
            && let Some(compiled) = lock(finished).take()
        {
            placed.next += 1;
            placed.result = compiled.and_then(|mut part| {
                if let Some(timings) = part.timings.take() {
                    placed.timings.add(timings);
                }
                placed.bytes += part.bytes;
                placed.all.append(&mut part, job.engine, placed.bytes, job.bytes)?;
                lock(&self.spare).push(part);
                Ok(())
            });
            if placed.result.is_err() {
                self.stop();
            }
        }
    }
}

impl Job<'_> {
    /// Compiles the batches on several threads, this one among them. This one reads the tail first.
    fn compile_shared(
        &self,
        batches: Batches,
        tail: Tail<'_>,
        clock: &mut Clock,
    ) -> Result<(Compiled, Late), LoadError> {
        let threads = self.engine.compile_threads().min(batches.functions.len());
        let late = thread::scope(|scope| {
            for _ in 1..threads {
                // A system that gives no thread leaves the work to those that there are.
                let name = thread::Builder::new().name("wasm-mini compile".to_string());
                let _ = name.spawn_scoped(scope, || batches.work(self));
            }
            let late = tail.read(self.unit.info, self.engine.limits());
            clock.lap(|timings| &mut timings.parse);
            if late.is_err() {
                batches.stop();
            }
            batches.work(self);
            late
        })?;
        batches.place(&mut lock(&batches.placed), self);
        let placed = batches.placed.into_inner().unwrap_or_else(PoisonError::into_inner);
        placed.result?;
        clock.add(Some(placed.timings));
        let mut all = placed.all;
        let len = all.len();
        if let Code::Placed(Some(draft)) = &mut all.code {
            draft.truncate(len);
        }
        Ok((all, late))
    }

    /// Compiles one batch.
    fn compile(
        &self,
        functions: Range<u32>,
        worker: &mut Worker,
        part: &mut Part,
    ) -> Result<(), LoadError> {
        let mut clock = Clock::new(self.engine.collects_timings());
        let limits = self.engine.limits();
        /// All that is made beyond the limit is less than this and one function, for each thread.
        const COUNTED_AT_ONCE: usize = 64 << 10;
        let mut counted = 0;
        part.bytes = 0;
        for function in functions {
            part.bytes += self.bodies.len(function);
            let body = self.bodies.validate(function, &mut worker.validation)?;
            clock.lap(|timings| &mut timings.validate);
            let what = "the number of a function's locals (`Limits::function_locals`)";
            let locals = worker.validation.facts.locals.len();
            check_limit(what, locals as u64, limits.function_locals)?;
            match &self.foreign {
                Some(foreign) if foreign.function == function => {
                    part.foreign = foreign.append_to(&mut part.code);
                }
                _ => worker.compile(self.engine.backend(), &self.unit, &body, &mut part.code)?,
            }
            clock.lap(|timings| &mut timings.compile);
            if part.code.bytes.len() - counted >= COUNTED_AT_ONCE {
                self.count(&part.code, &mut counted)?;
            }
        }
        self.count(&part.code, &mut counted)?;
        part.timings = clock.timings();
        Ok(())
    }

    /// Counts the code of a batch from its first `counted` bytes on, and refuses what is beyond the limit.
    fn count(&self, code: &CompiledCode, counted: &mut usize) -> Result<(), LoadError> {
        let more = (code.bytes.len() - mem::replace(counted, code.bytes.len())) as u64;
        let before = self.code_bytes.fetch_add(more, Ordering::Relaxed);
        check_code(before + more, self.engine.limits().max_code())
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

impl Compiled {
    /// Lays a part's code behind what there is, and empties the part. With it, there is the code of
    /// `done_bytes` of bodies; room is made for that of `all_bytes`. If they are the same, it is the last.
    fn append(
        &mut self,
        part: &mut Part,
        engine: &Engine,
        done_bytes: usize,
        all_bytes: usize,
    ) -> Result<(), LoadError> {
        let end = self.len();
        let start = end.next_multiple_of(CODE_ALIGNMENT);
        let is_last = done_bytes == all_bytes;
        let bytes = &mut part.code.bytes;
        match &mut self.code {
            Code::Chunks(chunks) => chunks.push(mem::take(bytes)),
            Code::Placed(draft) => {
                let len = start + bytes.len();
                let expected = if is_last { len } else { expected_code(all_bytes) };
                let place =
                    room(draft, len, end, expected, engine).map_err(LoadError::CodeMemory)?;
                // Padding must not run.
                place[end..start].fill(0xcc);
                place[start..len].copy_from_slice(bytes);
                bytes.clear();
            }
        }
        let CompiledCode { functions, relocations, traps, inlined, calls, .. } = &mut part.code;
        if start == 0 && is_last {
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
        let growth = all_bytes as f64 / done_bytes.max(1) as f64;
        extend(&mut self.functions, functions, growth, |function| {
            function.code = moved(function.code.clone());
        });
        extend(&mut self.relocations, relocations, growth, |site| site.offset += start);
        extend(&mut self.traps, traps, growth, |site| site.offset += start);
        extend(&mut self.inlined, inlined, growth, |site| site.offset += start);
        extend(&mut self.calls, calls, growth, |site| site.return_offset += start);
        let foreign = mem::take(&mut part.foreign);
        if !foreign.is_empty() {
            self.foreign = moved(foreign);
        }
        Ok(())
    }
}

/// Changes what a part has, and moves it to the end of a list, which will grow by that factor if the rest of
/// the module is like what is done. A list that is too small is made so large, if there is memory for it.
fn extend<T>(list: &mut Vec<T>, more: &mut Vec<T>, growth: f64, change: impl FnMut(&mut T)) {
    /// However long the rest is: it may be unlike.
    const MOST: f64 = 16.0;
    more.iter_mut().for_each(change);
    let len = list.len() + more.len();
    if list.capacity() < len {
        // One in eight to spare.
        let expected = (len as f64 * growth.min(MOST) * 1.125) as usize;
        // Without that much, `append` asks for less.
        let _ = list.try_reserve_exact(expected - list.len());
    }
    list.append(more);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::{Limits, load_whole};

    #[test]
    fn batches_are_all_bodies_in_order() {
        let functions = "(func (drop (i64.const 1000000000000)))".repeat(10_000);
        let binary = wat::parse_str(format!("(module {functions})")).expect("a module");
        let (_, bodies) = load_whole(&binary, &Limits::default()).expect("a module");
        for tier in [Tier::Baseline, Tier::Cranelift] {
            let batches = split(&bodies, tier);
            let mut end = bodies.functions().start;
            for batch in &batches {
                assert!(batch.start == end && !batch.is_empty(), "{batch:?} behind {end}");
                end = batch.end;
            }
            assert_eq!(end, bodies.functions().end);
            // Threads wait for the last one.
            let last = batches.last().expect("a batch").len();
            assert!(last <= 4096 / bodies.len(0) + 1, "{last} bodies");
        }
    }

    #[test]
    fn lists_are_made_as_large_as_they_will_become() {
        let mut list = Vec::new();
        let mut moves = 0;
        for done in 1..=100 {
            let capacity = list.capacity();
            extend(&mut list, &mut vec![done; 10], 100.0 / f64::from(done), |number| *number += 1);
            moves += usize::from(list.capacity() != capacity);
        }
        assert!(list.iter().copied().eq((1..=100).flat_map(|number| [number + 1; 10])));
        assert!((1000..=1250).contains(&list.capacity()), "{}", list.capacity());
        assert_eq!(moves, 2);
        // What no memory can hold is not asked for.
        extend(&mut list, &mut vec![0; 10_000], f64::INFINITY, |_| ());
        assert!(list.capacity() < 16 * 20_000);
    }
}
