//! Who may have how much: what the instances of an engine use together, and what an instance's
//! limiter says when a memory or a table is about to grow.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::LinkError;
use crate::module::Limits;

/// A memory or a table that is about to be made or to grow: what a limiter decides on.
/// See [`Instance::with_limiter`](crate::Instance::with_limiter).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Growth {
    /// What grows.
    pub resource: Resource,
    /// Its index in the module that defines it, imports counted.
    pub index: u32,
    /// Its size now, 0 before it is made: bytes of a memory, elements of a table.
    pub current: u64,
    /// The size that it shall have.
    pub desired: u64,
    /// The size that it can have at most, by its type and by the engine's [`Limits`].
    pub maximum: u64,
}

/// What can grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// A linear memory, measured in bytes.
    Memory,
    /// A table, measured in elements.
    Table,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Resource::Memory => "memory",
            Resource::Table => "table",
        })
    }
}

/// Approves a growth, or refuses it.
pub(super) type Limiter = Box<dyn Fn(&Growth) -> bool>;

/// Why something was not made, or does not grow.
pub(super) enum Refusal {
    /// Its type forbids it; the most that it allows, in the type's unit.
    Type(u64),
    /// A limit of the engine forbids it.
    Limit { what: &'static str, actual: u64, limit: u64 },
    /// The instance's limiter said no.
    Limiter,
    /// The instance's limiter panicked.
    Panic(Box<dyn Any + Send>),
    /// The system has no memory for it.
    System(io::Error),
    /// The guest that wanted it is to end before it is done.
    Interrupted,
}

impl Refusal {
    /// As the error of an instantiation; goes on with a limiter's panic.
    pub fn into_link_error(self, resource: Resource, desired: u64) -> LinkError {
        match self {
            Refusal::Limit { what, actual, limit } => LinkError::Limit { what, actual, limit },
            Refusal::Limiter => LinkError::Refused { what: resource.to_string(), desired },
            Refusal::Panic(payload) => resume_unwind(payload),
            Refusal::System(error) => LinkError::Resources(error),
            Refusal::Interrupted => unreachable!("no guest runs while its table is made"),
            // Validation compares a type's minimum with its maximum.
            Refusal::Type(limit) => {
                LinkError::Limit { what: "the minimum of a type", actual: desired, limit }
            }
        }
    }

    /// Why, as the end of a sentence; goes on with a limiter's panic.
    pub fn reason(self) -> String {
        match self {
            Refusal::Type(max) => format!("its maximum is {max}"),
            Refusal::Limit { what, actual, limit } => {
                format!("{what} would be {actual}, and this engine allows {limit}")
            }
            Refusal::Limiter => "its instance's limiter refused".to_string(),
            Refusal::Panic(payload) => resume_unwind(payload),
            Refusal::System(error) => format!("the system refused: {error}"),
            Refusal::Interrupted => unreachable!("the host is not interrupted"),
        }
    }
}

/// How much of something the live instances of an engine have together. What has no limit is not
/// counted, so that threads need not agree on it.
pub(super) struct Account {
    used: AtomicU64,
    /// [`u64::MAX`] for none.
    limit: u64,
    /// What it is, with the limit's name.
    what: &'static str,
}

impl Account {
    fn new(what: &'static str, limit: u64) -> Account {
        Account { used: AtomicU64::new(0), limit, what }
    }

    /// Counts so much more, unless it is too much.
    pub fn take(&self, amount: u64) -> Result<(), Refusal> {
        if self.limit == u64::MAX {
            return Ok(());
        }
        let more = |used: u64| used.checked_add(amount).filter(|sum| *sum <= self.limit);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(()),
            Err(used) => {
                let actual = used.saturating_add(amount);
                Err(Refusal::Limit { what: self.what, actual, limit: self.limit })
            }
        }
    }

    /// Counts so much less.
    pub fn give_back(&self, amount: u64) {
        if self.limit != u64::MAX {
            self.used.fetch_sub(amount, Ordering::Relaxed);
        }
    }
}

/// What all instances of an engine share in.
pub(super) struct Accounts {
    pub instances: Account,
    pub memory_bytes: Account,
    pub table_elements: Account,
}

impl Accounts {
    pub fn new(limits: &Limits) -> Accounts {
        Accounts {
            instances: Account::new(
                "the number of live instances (`Limits::instances`)",
                limits.instances,
            ),
            memory_bytes: Account::new(
                "the size of all memories in bytes (`Limits::total_memory_bytes`)",
                limits.total_memory_bytes,
            ),
            table_elements: Account::new(
                "the number of elements of all tables (`Limits::total_table_elements`)",
                limits.total_table_elements,
            ),
        }
    }

    fn of(&self, resource: Resource) -> &Account {
        match resource {
            Resource::Memory => &self.memory_bytes,
            Resource::Table => &self.table_elements,
        }
    }

    /// Counts a growth that its type and limit allow, and asks the limiter. What fails afterwards is
    /// to be [taken back](Accounts::take_back).
    pub fn approve(&self, growth: &Growth, limiter: Option<&Limiter>) -> Result<(), Refusal> {
        if growth.desired == growth.current {
            return Ok(());
        }
        self.of(growth.resource).take(growth.desired - growth.current)?;
        let Some(limiter) = limiter else { return Ok(()) };
        let refusal = match catch_unwind(AssertUnwindSafe(|| limiter(growth))) {
            Ok(true) => return Ok(()),
            Ok(false) => Refusal::Limiter,
            Err(payload) => Refusal::Panic(payload),
        };
        self.take_back(growth);
        Err(refusal)
    }

    /// Says that an approved growth did not happen.
    pub fn take_back(&self, growth: &Growth) {
        self.of(growth.resource).give_back(growth.desired - growth.current);
    }
}
