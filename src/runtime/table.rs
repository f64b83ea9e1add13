//! Tables: elements of functions, copied for indirect calls, or of external references.

use std::collections::TryReserveError;
use std::io;
use std::mem;

use super::growth::Refusal;
use crate::compile::abi::{VmFuncRef, VmFunction, VmTable, VmTableFunction};
use crate::module::{TableType, ValType};

/// The null element of a table of functions.
const NULL: VmTableFunction = VmTableFunction {
    function: VmFunction { code: std::ptr::null(), vmctx: std::ptr::null_mut() },
    type_id: 0,
    func_ref: std::ptr::null(),
};

/// How many elements are written at a time, where a guest may have to end.
pub(super) const PIECE: usize = 1 << 14;

/// The elements of one table.
pub(super) struct Table(Elements);

enum Elements {
    Functions(Vec<VmTableFunction>),
    /// As compiled code has them: see [`super::value::ExternRef`].
    Externs(Vec<u64>),
}

/// Refuses a size beyond what the type and `limit`, the engine's, allow.
pub(super) fn check_elements(ty: TableType, elements: u64, limit: u32) -> Result<u32, Refusal> {
    let most = ty.max.unwrap_or(u32::MAX);
    match u32::try_from(elements) {
        Ok(elements) if elements <= most.min(limit) => Ok(elements),
        _ if elements <= u64::from(most) => {
            let what = "the number of elements of a table (`Limits::table_elements`)";
            Err(Refusal::Limit { what, actual: elements, limit: u64::from(limit) })
        }
        _ => Err(Refusal::Type(u64::from(most))),
    }
}

/// The most elements that a table can have.
pub(super) fn max_elements(ty: TableType, limit: u32) -> u64 {
    u64::from(ty.max.unwrap_or(u32::MAX).min(limit))
}

/// An element as it travels in a register: the address of a [`VmFuncRef`], or an external
/// reference; 0 is null.
pub(super) type RawRef = u64;

/// The element of a table of functions that refers to this.
///
/// # Safety
///
/// `reference` is 0 or the address of a live [`VmFuncRef`].
unsafe fn element(reference: RawRef) -> VmTableFunction {
    let func_ref = reference as *const VmFuncRef;
    // SAFETY: the caller vouches for it.
    match unsafe { func_ref.as_ref() } {
        Some(VmFuncRef { function, type_id }) => {
            VmTableFunction { function: *function, type_id: *type_id, func_ref }
        }
        None => NULL,
    }
}

/// As [`Table::grow_to`], on the elements. Where they must move, that is done here and in pieces: what
/// an allocator does takes the time that it takes.
fn grow<T: Copy>(
    elements: &mut Vec<T>,
    len: usize,
    element: T,
    mut go_on: impl FnMut() -> bool,
) -> Result<bool, TryReserveError> {
    let before = elements.len();
    if len > elements.capacity() {
        let mut moved = Vec::new();
        // A guest that grows its table one by one moves it as rarely as a vector does.
        let enough = len.max(2 * elements.capacity());
        moved.try_reserve_exact(enough).or_else(|_| moved.try_reserve_exact(len))?;
        for piece in elements.chunks(PIECE) {
            moved.extend_from_slice(piece);
            if !go_on() {
                return Ok(false);
            }
        }
        *elements = moved;
    }
    while elements.len() < len {
        let next = (len - elements.len()).min(PIECE);
        elements.resize(elements.len() + next, element);
        if !go_on() {
            elements.truncate(before);
            return Ok(false);
        }
    }
    Ok(true)
}

impl Table {
    /// A table without elements.
    pub fn new(ty: TableType) -> Table {
        Table(match ty.element {
            ValType::FuncRef => Elements::Functions(Vec::new()),
            _ => Elements::Externs(Vec::new()),
        })
    }

    pub fn len(&self) -> u32 {
        let len = match &self.0 {
            Elements::Functions(elements) => elements.len(),
            Elements::Externs(elements) => elements.len(),
        };
        len as u32
    }

    /// What compiled code must know of the table now.
    pub fn vm(&mut self) -> VmTable {
        let len = self.len() as usize;
        let base = match &mut self.0 {
            Elements::Functions(elements) => elements.as_mut_ptr().cast(),
            Elements::Externs(elements) => elements.as_mut_ptr().cast(),
        };
        VmTable { base, len }
    }

    pub fn get(&self, index: u32) -> Option<RawRef> {
        match &self.0 {
            Elements::Functions(elements) => {
                elements.get(index as usize).map(|element| element.func_ref as u64)
            }
            Elements::Externs(elements) => elements.get(index as usize).copied(),
        }
    }

    /// Adds elements, all the same, until there are so many, piece by piece; `false` if `go_on` said
    /// after one of them that it should not, which leaves the table as it was. It may have moved then.
    ///
    /// # Safety
    ///
    /// `reference` is null or a live reference of the table's type.
    pub unsafe fn grow_to(
        &mut self,
        len: u32,
        reference: RawRef,
        go_on: impl FnMut() -> bool,
    ) -> io::Result<bool> {
        let grown = match &mut self.0 {
            Elements::Functions(elements) => {
                // SAFETY: the caller vouches for the reference.
                grow(elements, len as usize, unsafe { element(reference) }, go_on)
            }
            Elements::Externs(elements) => grow(elements, len as usize, reference, go_on),
        };
        grown.map_err(|_| {
            let message = format!("no memory for a table of {len} elements");
            io::Error::new(io::ErrorKind::OutOfMemory, message)
        })
    }

    /// Makes it as it was when it had that many elements and nothing was written.
    pub fn reset(&mut self, len: u32) {
        let len = len as usize;
        match &mut self.0 {
            Elements::Functions(elements) => {
                elements.truncate(len);
                elements.fill(NULL);
            }
            Elements::Externs(elements) => {
                elements.truncate(len);
                elements.fill(0);
            }
        }
    }

    /// Writes the references from `start` on, all or none: `None` if they do not fit.
    ///
    /// # Safety
    ///
    /// They are null or live references of the table's type.
    pub unsafe fn write(
        &mut self,
        start: u32,
        references: impl ExactSizeIterator<Item = RawRef>,
    ) -> Option<()> {
        let start = start as usize;
        let end = start.checked_add(references.len())?;
        match &mut self.0 {
            Elements::Functions(elements) => {
                for (slot, reference) in elements.get_mut(start..end)?.iter_mut().zip(references) {
                    // SAFETY: the caller vouches for the references.
                    *slot = unsafe { element(reference) };
                }
            }
            Elements::Externs(elements) => {
                for (slot, reference) in elements.get_mut(start..end)?.iter_mut().zip(references) {
                    *slot = reference;
                }
            }
        }
        Some(())
    }

    /// The references in a range, `None` if it reaches past the end.
    pub fn read(&self, start: u32, len: u32) -> Option<Vec<RawRef>> {
        let end = start.checked_add(len).filter(|end| *end <= self.len())?;
        Some((start..end).map(|index| self.get(index).unwrap_or(0)).collect())
    }
}

// Elements are read by compiled code at a fixed distance from each other.
const _: () = assert!(mem::size_of::<VmTableFunction>() == 32);

#[cfg(test)]
mod tests {
    use super::*;

    /// A growth that is given up after any piece leaves the elements that there were.
    #[test]
    fn a_table_grows_or_stays() {
        for (before, after) in [(0, 3 * PIECE), (10, 11), (2 * PIECE + 5, 4 * PIECE)] {
            let first: Vec<usize> = (0..before).collect();
            for spare in [0, after] {
                let mut pieces = 0;
                loop {
                    let mut elements = first.clone();
                    elements.reserve_exact(spare);
                    let mut asked = 0;
                    let go_on = || {
                        asked += 1;
                        asked <= pieces
                    };
                    let grown = grow(&mut elements, after, 7777, go_on).expect("room");
                    assert_eq!(elements[..before], first);
                    if grown {
                        assert_eq!((elements.len(), asked), (after, pieces));
                        assert!(elements[before..].iter().all(|element| *element == 7777));
                        break;
                    }
                    assert_eq!((elements.len(), asked), (before, pieces + 1));
                    pieces += 1;
                }
                assert!(pieces * PIECE >= after - before, "{pieces} pieces");
            }
        }
    }
}
