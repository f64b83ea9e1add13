//! Function types as numbers: equal types have the same number in every module of the process.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::module::FuncType;

#[derive(Default)]
struct Interned {
    /// Each type's number and how many modules use it.
    by_type: HashMap<FuncType, (u32, usize)>,
    by_id: HashMap<u32, FuncType>,
    last: u32,
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
        let ids = types.iter().map(|ty| {
            if let Some((id, users)) = interned.by_type.get_mut(ty) {
                *users += 1;
                return *id;
            }
            // Not 0, and not one that is in use: numbers come round after four billion types.
            loop {
                interned.last = interned.last.wrapping_add(1);
                if interned.last != 0 && !interned.by_id.contains_key(&interned.last) {
                    break;
                }
            }
            let id = interned.last;
            interned.by_type.insert(ty.clone(), (id, 1));
            interned.by_id.insert(id, ty.clone());
            id
        });
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
            let Some(ty) = interned.by_id.get(id).cloned() else { continue };
            let Some((_, users)) = interned.by_type.get_mut(&ty) else { continue };
            *users -= 1;
            if *users == 0 {
                interned.by_type.remove(&ty);
                interned.by_id.remove(id);
            }
        }
    }
}

/// The type that a number in use stands for.
pub(super) fn type_of(id: u32) -> Option<FuncType> {
    INTERNED.lock().unwrap_or_else(PoisonError::into_inner).by_id.get(&id).cloned()
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
}
