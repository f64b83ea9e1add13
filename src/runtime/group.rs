//! Instances that are linked live and die together.
//!
//! Linked instances hold each other's addresses: an import's, a function reference in a shared
//! table. So they form a *group*, which counts the handles to any of its members and frees all of
//! them when the last handle goes. Linking two groups makes them one. Cycles among instances are
//! therefore no leak; a host function's closure that holds a handle to its own group is one.
//!
//! A group is nothing of its own: one member, its *head*, has the count, and all members form a ring.
//! Most groups have one member, and cost nothing.

use std::cell::Cell;
use std::ptr::NonNull;

use super::instance::Inner;

/// What an instance notes of its group. The instance is alone until it is linked.
pub(super) struct Membership {
    /// The head of the group; `None` for the head itself.
    head: Cell<Option<NonNull<Inner>>>,
    /// The next member on the ring; `None` for this one itself.
    next: Cell<Option<NonNull<Inner>>>,
    /// Handles to members, from outside. The head's counts.
    handles: Cell<usize>,
    /// The number of members. The head's counts.
    members: Cell<usize>,
}

impl Membership {
    /// That of an instance which is alone, and which one handle is about to be made to.
    pub fn alone() -> Membership {
        Membership {
            head: Cell::new(None),
            next: Cell::new(None),
            handles: Cell::new(1),
            members: Cell::new(1),
        }
    }
}

/// A counted handle to an instance. Not `Send`: the count is not atomic, and the instance is its
/// thread's.
pub(super) struct Handle(NonNull<Inner>);

impl Handle {
    /// The first handle to an instance that is alone.
    ///
    /// # Safety
    ///
    /// It is the only handle to this instance, which [`Inner::allocate`] made.
    pub unsafe fn first(inner: NonNull<Inner>) -> Handle {
        Handle(inner)
    }

    /// A handle to a member that is known to be alive by its address.
    ///
    /// # Safety
    ///
    /// The instance is a member of a group with at least one handle.
    pub unsafe fn from_member(member: NonNull<Inner>) -> Handle {
        // SAFETY: it is counted before anyone gets it.
        let handle = unsafe { Handle::uncounted(member) };
        let handles = &handle.head().membership.handles;
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

    /// The head of the group.
    fn head(&self) -> &Inner {
        match self.membership.head.get() {
            // SAFETY: all members live as long as there is a handle to one of them: this one.
            Some(head) => unsafe { head.as_ref() },
            None => self,
        }
    }

    /// The members of the group, this one first.
    fn members(&self) -> impl Iterator<Item = NonNull<Inner>> {
        let first = self.0;
        std::iter::successors(Some(first), move |member| {
            // SAFETY: as for `head`.
            let next = unsafe { member.as_ref() }.membership.next.get()?;
            (next != first).then_some(next)
        })
    }

    /// Makes the groups of both instances one.
    pub fn link(&self, other: &Handle) {
        let (one, two) = (self.head(), other.head());
        if std::ptr::eq(one, two) {
            return;
        }
        // The members of the smaller group get a new head.
        let (kept, (merged, member)) =
            if one.membership.members.get() < two.membership.members.get() {
                (other, (one, self))
            } else {
                (self, (two, other))
            };
        let (head, total) = (kept.head_pointer(), &kept.head().membership);
        total.handles.set(total.handles.get() + merged.membership.handles.get());
        total.members.set(total.members.get() + merged.membership.members.get());
        for member in member.members() {
            // SAFETY: as for `head`.
            unsafe { member.as_ref() }.membership.head.set(Some(head));
        }
        // Two rings become one when a member of each gets the other's successor.
        let next_of = |handle: &Handle| handle.membership.next.get().unwrap_or(handle.0);
        let (after_kept, after_member) = (next_of(kept), next_of(member));
        kept.membership.next.set(Some(after_member));
        member.membership.next.set(Some(after_kept));
    }

    fn head_pointer(&self) -> NonNull<Inner> {
        self.membership.head.get().unwrap_or(self.0)
    }

    /// Calls `f` with the members of this instance's group until it returns something.
    pub fn find_member<T>(&self, mut f: impl FnMut(&Inner) -> Option<T>) -> Option<T> {
        // SAFETY: as for `head`.
        self.members().find_map(|member| f(unsafe { member.as_ref() }))
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
        let head = &self.head().membership;
        let handles = head.handles.get() - 1;
        head.handles.set(handles);
        if handles > 0 {
            return;
        }
        let mut rest = self.membership.next.get();
        while let Some(member) = rest.filter(|member| *member != self.0) {
            // SAFETY: this was the last handle, so nobody reaches the group's members any more,
            // except members each other, and they do not while they are freed.
            unsafe {
                rest = member.as_ref().membership.next.get();
                Inner::free(member);
            }
        }
        // SAFETY: as above.
        unsafe { Inner::free(self.0) };
    }
}
