//! Function types as numbers: equal types have the same number in every module of the process.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::module::FuncType;

#[derive(Default)]
struct Interned {
    /// The type with each number, 0 left out, and how many modules use it. Some have none: see
    /// [`MOST_IDLE`].
    types: Vec<(FuncType, usize)>,
    numbers: HashMap<FuncType, u32>,
    /// Numbers that stand for nothing.
    free: Vec<u32>,
    /// How many numbers nobody uses that still stand for a type.
    idle: usize,
}

/// How many types keep their numbers although nobody uses them, because the next module is likely to
/// use them again: finding a type takes a fraction of the time of making and forgetting it.
const MOST_IDLE: usize = 64;
/// Types with more parameters and results are not kept, so that idle ones take little memory.
const MOST_KEPT: usize = 16;

impl Interned {
    /// The type's number, with one more user.
    fn number(&mut self, ty: &FuncType) -> u32 {
        if let Some(number) = self.numbers.get(ty) {
            let (_, users) = &mut self.types[*number as usize - 1];
            self.idle -= usize::from(*users == 0);
            *users += 1;
            return *number;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.types.push((FuncType::new([], []), 0));
            self.types.len() as u32
        });
        self.types[number as usize - 1] = (ty.clone(), 1);
        self.numbers.insert(ty.clone(), number);
        number
    }

    /// Takes one user from a number.
    fn release(&mut self, number: u32) {
        let (ty, users) = &mut self.types[number as usize - 1];
        *users -= 1;
        if *users > 0 {
            return;
        }
        if self.idle < MOST_IDLE && ty.params().len() + ty.results().len() <= MOST_KEPT {
            self.idle += 1;
            return;
        }
        let ty = std::mem::replace(ty, FuncType::new([], []));
        self.numbers.remove(&ty);
        self.free.push(number);
    }
}

static INTERNED: LazyLock<Mutex<Interned>> = LazyLock::new(Mutex::default);

/// The numbers of some types, held as long as somebody may compare them.
#[derive(Debug, Default)]
pub(super) struct TypeIds(Vec<u32>);

impl TypeIds {
    pub fn intern(types: &[FuncType]) -> TypeIds {
        if types.is_empty() {
            return TypeIds::default();
        }
        let mut interned = INTERNED.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = types.iter().map(|ty| interned.number(ty));
        TypeIds(ids.collect())
    }

    pub fn ids(&self) -> &[u32] {
        &self.0
    }
}

impl Drop for TypeIds {
    fn drop(&mut self) {
        if self.0.is_empty() {
            return;
        }
        let mut interned = INTERNED.lock().unwrap_or_else(PoisonError::into_inner);
        for id in &self.0 {
            interned.release(*id);
        }
    }
}

/// The type that a number in use stands for.
pub(super) fn type_of(id: u32) -> Option<FuncType> {
    let interned = INTERNED.lock().unwrap_or_else(PoisonError::into_inner);
    let (ty, users) = interned.types.get((id as usize).checked_sub(1)?)?;
    (*users > 0).then(|| ty.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::ValType;

    #[test]
    fn equal_types_share_a_number_while_it_is_in_use() {
        let unusual = FuncType::new([ValType::F32; 9], [ValType::I64; 3]);
        let one = TypeIds::intern(&[FuncType::new([], []), unusual.clone()]);
        let other = TypeIds::intern(std::slice::from_ref(&unusual));
        assert_eq!(one.ids()[1], other.ids()[0]);
        assert!(one.ids().iter().all(|id| *id != 0) && one.ids()[0] != one.ids()[1]);
        let id = other.ids()[0];
        drop(one);
        assert_eq!(type_of(id), Some(unusual));
        drop(other);
        assert_eq!(type_of(id), None);
    }

    #[test]
    fn few_numbers_stay_although_nobody_uses_them() {
        let mut interned = Interned::default();
        let types: Vec<_> = (0..3 * MOST_IDLE)
            .map(|at| {
                let params =
                    (0..8).map(|bit| if at >> bit & 1 == 0 { ValType::I32 } else { ValType::I64 });
                FuncType::new(params.collect::<Vec<_>>(), [])
            })
            .chain([FuncType::new([ValType::F64; MOST_KEPT + 1], [])])
            .collect();
        for _ in 0..3 {
            let numbers: Vec<u32> = types.iter().map(|ty| interned.number(ty)).collect();
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!((sorted.len(), interned.idle), (types.len(), 0));
            // The largest one first, when there would be room.
            for number in numbers.iter().rev() {
                interned.release(*number);
            }
            assert_eq!((interned.idle, interned.numbers.len()), (MOST_IDLE, MOST_IDLE));
            assert_eq!(interned.types.len(), types.len());
        }
    }
}
