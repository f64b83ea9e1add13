//! Arguments and results where the convention has them, for crossings that go through a
//! [`RegisterFile`]: written and read here from both sides, without taking anything from the heap.

use std::marker::PhantomData;

use super::enter::{Arguments, enter};
use super::{interrupt, trampolines};
use crate::compile::abi::{Slot, Slots, VmFunction};
use crate::compile::trampoline::RegisterFile;
use crate::module::ValType;

/// How much of a signature's arguments and results travels in memory, in 8-byte words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InMemory {
    /// The stack arguments: an even number.
    pub stack: usize,
    /// The return area: an even number.
    pub area: usize,
}

impl InMemory {
    pub const fn of(params: &[ValType], results: &[ValType]) -> InMemory {
        let (mut arguments, mut returned) = (Slots::params(), Slots::results());
        let mut i = 0;
        while i < results.len() {
            returned.next(results[i]);
            i += 1;
        }
        i = 0;
        while i < params.len() {
            arguments.next(params[i]);
            i += 1;
        }
        let area = returned.memory_bytes() as usize / 8;
        if area > 0 {
            arguments.next(ValType::I64);
        }
        InMemory { stack: arguments.memory_bytes() as usize / 8, area }
    }

    pub const fn words(self) -> usize {
        self.stack + self.area
    }
}

/// A call from the host, with its arguments and then its results.
pub(super) struct FileCall<'w> {
    file: RegisterFile,
    area: *const u64,
    words: PhantomData<&'w mut [u64]>,
}

impl<'w> FileCall<'w> {
    /// Places arguments. `words` is [`InMemory::words`] long.
    pub fn new(
        words: &'w mut [u64],
        memory: InMemory,
        arguments: impl Iterator<Item = (ValType, u128)>,
    ) -> FileCall<'w> {
        let mut file = RegisterFile::default();
        let (stack, area) = words.split_at_mut(memory.stack);
        let mut slots = Slots::params();
        let mut place = |ty: ValType, raw: u128| match slots.next(ty) {
            Slot::Int(number) => file.ints[number] = raw as u64,
            Slot::Float(number) => file.floats[number] = raw,
            Slot::Memory(offset) => {
                let at = offset as usize / 8;
                stack[at] = raw as u64;
                if ty == ValType::V128 {
                    stack[at + 1] = (raw >> 64) as u64;
                }
            }
        };
        for (ty, raw) in arguments {
            place(ty, raw);
        }
        let area = area.as_mut_ptr();
        if memory.area > 0 {
            place(ValType::I64, area as u128);
        }
        (file.stack, file.stack_words) = (stack.as_ptr(), memory.stack);
        FileCall { file, area, words: PhantomData }
    }

    /// Makes the call; returns whether it came to its end.
    ///
    /// # Safety
    ///
    /// The arguments are of the function's signature, which `memory` was made for, and the
    /// function's instance is alive and of this thread.
    pub unsafe fn enter(&mut self, function: VmFunction) -> bool {
        let VmFunction { code, vmctx } = function;
        let spread = VmFunction { code: trampolines::spread(), vmctx };
        let mut arguments = Arguments::new();
        arguments.set(Slot::Int(0), (&raw mut self.file) as u64);
        arguments.set(Slot::Int(1), code as u64);
        // SAFETY: the caller vouches for function and arguments; the file, the stack words and the
        // return area, which are borrowed, live until the call is over.
        let returned = unsafe { interrupt::call_with_default(vmctx, || enter(spread, arguments)) };
        returned.flatten().is_some()
    }

    /// What returns the results' bits, one after the other, given their types.
    pub fn results(&self) -> impl FnMut(ValType) -> u128 {
        let mut slots = Slots::results();
        move |ty| match slots.next(ty) {
            Slot::Int(number) => u128::from(self.file.int_results[number]),
            Slot::Float(number) => self.file.float_results[number],
            Slot::Memory(offset) => {
                // SAFETY: the area is as large as the signature's results make it.
                unsafe {
                    let at = self.area.byte_add(offset as usize);
                    let high = if ty == ValType::V128 { at.add(1).read() } else { 0 };
                    u128::from(at.read()) | u128::from(high) << 64
                }
            }
        }
    }
}

/// A call of the host, in the file that a crossing has filled.
pub(super) struct HostCall {
    file: *mut RegisterFile,
    arguments: Slots,
}

impl HostCall {
    /// # Safety
    ///
    /// The file is one that the crossing filled, and is there as long as this is.
    pub unsafe fn new(file: *mut RegisterFile) -> HostCall {
        HostCall { file, arguments: Slots::params() }
    }

    /// The next argument's bits.
    ///
    /// # Safety
    ///
    /// It is of that type.
    pub unsafe fn next(&mut self, ty: ValType) -> u128 {
        // SAFETY: `new`'s caller vouches for the file; stack arguments are as many as the signature
        // says.
        unsafe {
            match self.arguments.next(ty) {
                Slot::Int(number) => u128::from((*self.file).ints[number]),
                Slot::Float(number) => (*self.file).floats[number],
                Slot::Memory(offset) => {
                    let word = (*self.file).stack.byte_add(offset as usize);
                    let high = if ty == ValType::V128 { *word.add(1) } else { 0 };
                    u128::from(*word) | u128::from(high) << 64
                }
            }
        }
    }

    /// What leaves the results, one after the other, where the crossing takes them from. All
    /// arguments have been read.
    ///
    /// # Safety
    ///
    /// `memory` is of the function's signature, and what is passed on is of the results' types.
    pub unsafe fn results(mut self, memory: InMemory) -> impl FnMut(ValType, u128) {
        let area = match memory.area {
            0 => 0,
            // SAFETY: the area's address is the last argument of a signature that has one.
            _ => unsafe { self.next(ValType::I64) },
        } as u64 as *mut u64;
        let file = self.file;
        let mut slots = Slots::results();
        // SAFETY: `new`'s caller vouches for the file; this tells the crossing what to pop.
        unsafe { (*file).stack_words = memory.stack };
        // SAFETY: as above; the return area is as large as the signature says.
        move |ty, raw| unsafe {
            match slots.next(ty) {
                Slot::Int(number) => (*file).int_results[number] = raw as u64,
                Slot::Float(number) => (*file).float_results[number] = raw,
                Slot::Memory(offset) => {
                    let place = area.byte_add(offset as usize);
                    place.write(raw as u64);
                    if ty == ValType::V128 {
                        place.add(1).write((raw >> 64) as u64);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: [ValType; 5] =
        [ValType::I32, ValType::I64, ValType::F32, ValType::F64, ValType::V128];

    /// So many types, in an order that depends on the seed.
    fn types(count: usize, seed: u64) -> Vec<ValType> {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            random ^= random >> 12;
            random ^= random << 25;
            random ^= random >> 27;
            random >> 8
        };
        (0..count).map(|_| TYPES[next() as usize % TYPES.len()]).collect()
    }

    /// Different bits for each value, as many as its type has.
    fn bits(at: usize, ty: ValType) -> u128 {
        let bits = (at as u128 + 1) * 0x0101_0203_0405_0607_1011_1213_1415_1617;
        match ty {
            ValType::I32 | ValType::F32 => bits & u128::from(u32::MAX),
            ValType::V128 => bits,
            _ => bits & u128::from(u64::MAX),
        }
    }

    /// What one side places is what the other finds, with the crossings and the guest between them left
    /// out: the file of the call from the host is that of the call of the host.
    #[test]
    fn what_one_side_places_the_other_finds() {
        for (count, seed) in (0..40).flat_map(|count| (0..3).map(move |seed| (count, seed))) {
            let (params, results) = (types(count, seed), types((count * 7) % 23, seed + 50));
            let memory = InMemory::of(&params, &results);
            let mut words = vec![0; memory.words()];
            let arguments = params.iter().enumerate().map(|(at, ty)| (*ty, bits(at, *ty)));
            let mut call = FileCall::new(&mut words, memory, arguments);
            // SAFETY: the file is there until the call is over, and is asked for what was placed.
            unsafe {
                let mut host = HostCall::new(&raw mut call.file);
                for (at, ty) in params.iter().enumerate() {
                    assert_eq!(host.next(*ty), bits(at, *ty), "parameter {at} of {params:?}");
                }
                let mut place = host.results(memory);
                for (at, ty) in results.iter().enumerate() {
                    place(*ty, bits(at + 100, *ty));
                }
            }
            let mut found = call.results();
            for (at, ty) in results.iter().enumerate() {
                assert_eq!(found(*ty), bits(at + 100, *ty), "result {at} of {results:?}");
            }
        }
    }
}
