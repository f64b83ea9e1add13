//! Instances that are linked live and die together.
//!
//! Linked instances hold each other's addresses: an import's, a function reference in a shared
//! table. So they form a *group*, which counts the handles to any of its members and frees all of
//! them when the last handle goes. Linking two groups makes them one. Cycles among instances are
//! therefore no leak; a host function's closure that holds a handle to its own group is one.

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

use super::instance::Inner;

/// What the members of a group share.
pub(super) struct Group {
    /// Handles to members, from outside.
    handles: Cell<usize>,
    members: RefCell<Vec<NonNull<Inner>>>,
}

/// A counted handle to an instance. Not `Send`: the count is not atomic, and the instance is its
/// thread's.
pub(super) struct Handle(NonNull<Inner>);

impl Handle {
    /// Makes an instance the only member of a new group.
    pub fn new(inner: Box<Inner>) -> Handle {
        let member = NonNull::from(Box::leak(inner));
        let group = Group { handles: Cell::new(1), members: RefCell::new(vec![member]) };
        let group = NonNull::from(Box::leak(Box::new(group)));
        let handle = Handle(member);
        handle.group.set(Some(group));
        handle
    }

    /// A handle to a member that is known to be alive by its address.
    ///
    /// # Safety
    ///
    /// The instance is a member of a group with at least one handle.
    pub unsafe fn from_member(member: NonNull<Inner>) -> Handle {
        // SAFETY: it is counted before anyone gets it.
        let handle = unsafe { Handle::uncounted(member) };
        let handles = &handle.shared().handles;
        handles.set(handles.get() + 1);
        handle
    }

    /// A handle that is not counted, and must not be dropped.
    ///
    /// # Safety
    ///
    /// The instance is a member of a group that has another handle as long as this one is used.
    pub unsafe fn uncounted(member: NonNull<Inner>) -> Handle {
        Handle(member)
    }

    fn shared(&self) -> &Group {
        let group = self.group.get().expect("every instance is in a group from the beginning");
        // SAFETY: the group lives as long as there is a handle to one of its members: this one.
        unsafe { group.as_ref() }
    }

    /// Makes the groups of both instances one.
    pub fn link(&self, other: &Handle) {
        let (kept, merged) = (self.shared(), other.shared());
        if std::ptr::eq(kept, merged) {
            return;
        }
        let merged = NonNull::from(merged);
        let group = self.group.get();
        // SAFETY: the merged group's members are alive, as this handle's group is; nobody refers to
        // the merged group any more once they all point to the other one, so it can be freed.
        unsafe {
            let merged = Box::from_raw(merged.as_ptr());
            for member in merged.members.take() {
                member.as_ref().group.set(group);
                kept.members.borrow_mut().push(member);
            }
            kept.handles.set(kept.handles.get() + merged.handles.get());
        }
    }

    /// Calls `f` with the members of this instance's group until it returns something.
    pub fn find_member<T>(&self, mut f: impl FnMut(&Inner) -> Option<T>) -> Option<T> {
        // SAFETY: members live as long as their group.
        self.shared().members.borrow().iter().find_map(|member| f(unsafe { member.as_ref() }))
    }
}

impl Clone for Handle {
    fn clone(&self) -> Handle {
        // SAFETY: this handle is one to its group.
        unsafe { Handle::from_member(self.0) }
    }
}

impl std::ops::Deref for Handle {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        // SAFETY: a member lives as long as there is a handle to its group.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let group = self.shared();
        let handles = group.handles.get() - 1;
        group.handles.set(handles);
        if handles > 0 {
            return;
        }
        let group = NonNull::from(group);
        // SAFETY: this was the last handle, so nobody reaches the group or its members any more,
        // except members each other, and they do not while they are dropped. Both were leaked boxes.
        unsafe {
            let group = Box::from_raw(group.as_ptr());
            for member in group.members.take() {
                drop(Box::from_raw(member.as_ptr()));
            }
        }
    }
}
