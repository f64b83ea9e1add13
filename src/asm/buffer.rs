//! The growing byte buffer instructions are written to.
//!
//! Owns the bytes and the cursor. Knows nothing of instructions or labels, and
//! never makes memory executable: callers copy [`CodeBuffer::bytes`] out.

/// How many bytes one [`CodeBuffer::put`] stores, whatever it advances by.
const WINDOW: usize = 16;

/// Machine code under construction.
///
/// The storage is initialised ahead of the cursor, so that appending an
/// instruction is one bounds check, one fixed-size store and one addition.
#[derive(Debug, Default)]
pub struct CodeBuffer {
    /// Bytes before `cursor` are code; those after it are scratch.
    storage: Vec<u8>,
    /// A `u32` so that `cursor + WINDOW` provably cannot wrap.
    cursor: u32,
}

impl CodeBuffer {
    /// An empty buffer without storage.
    pub const fn new() -> Self {
        Self { storage: Vec::new(), cursor: 0 }
    }

    /// An empty buffer that takes `capacity` bytes before it grows.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { storage: vec![0; capacity + WINDOW], cursor: 0 }
    }

    /// The number of code bytes.
    #[inline]
    pub const fn len(&self) -> usize {
        self.cursor as usize
    }

    /// Whether there is no code yet.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.cursor == 0
    }

    /// Where the next byte goes.
    #[inline]
    pub const fn offset(&self) -> u32 {
        self.cursor
    }

    /// The code bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.storage[..self.len()]
    }

    /// Makes room so that the next `count` bytes are appended without growing.
    #[inline]
    pub fn reserve(&mut self, count: usize) {
        if self.storage.len() - self.len() < count + WINDOW {
            self.grow(count);
        }
    }

    /// Appends the low `len` bytes of `bytes`, lowest first. At most 16.
    #[inline]
    pub fn put(&mut self, bytes: u128, len: usize) {
        debug_assert!(len <= WINDOW);
        let start = self.cursor as usize;
        if let Some(window) = self.storage.get_mut(start..start + WINDOW) {
            window.copy_from_slice(&bytes.to_le_bytes());
            self.cursor += len as u32;
        } else {
            self.grow_and_put(bytes, len);
        }
    }

    /// Appends `bytes`.
    pub fn put_bytes(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        let start = self.len();
        self.storage[start..start + bytes.len()].copy_from_slice(bytes);
        self.cursor += bytes.len() as u32;
    }

    /// Appends `fill` bytes until the offset is a multiple of `alignment`,
    /// which must be a power of two.
    pub fn align(&mut self, alignment: u32, fill: u8) {
        debug_assert!(alignment.is_power_of_two());
        let count = (self.cursor.wrapping_neg() & (alignment - 1)) as usize;
        self.reserve(count);
        let start = self.len();
        self.storage[start..start + count].fill(fill);
        self.cursor += count as u32;
    }

    /// Overwrites the byte at `offset`.
    ///
    /// # Panics
    ///
    /// If it was not written before.
    #[inline]
    pub fn patch_u8(&mut self, offset: u32, value: u8) {
        self.field::<1>(offset)[0] = value;
    }

    /// Overwrites the little-endian 32-bit field at `offset`.
    ///
    /// # Panics
    ///
    /// If it was not written before.
    #[inline]
    pub fn patch_u32(&mut self, offset: u32, value: u32) {
        *self.field(offset) = value.to_le_bytes();
    }

    /// Adds to the little-endian 32-bit field at `offset`, wrapping around.
    ///
    /// # Panics
    ///
    /// If it was not written before.
    #[inline]
    pub fn add_u32(&mut self, offset: u32, value: u32) {
        let field = self.field(offset);
        *field = u32::from_le_bytes(*field).wrapping_add(value).to_le_bytes();
    }

    /// Drops everything from `offset` on.
    ///
    /// # Panics
    ///
    /// If `offset` lies beyond the end.
    pub fn truncate(&mut self, offset: u32) {
        assert!(offset <= self.cursor, "truncate beyond the end of the code");
        self.cursor = offset;
    }

    /// Drops everything but keeps the storage.
    #[inline]
    pub fn clear(&mut self) {
        self.cursor = 0;
    }

    /// `N` bytes of code at `offset`.
    #[inline]
    fn field<const N: usize>(&mut self, offset: u32) -> &mut [u8; N] {
        self.storage[..self.cursor as usize]
            .get_mut(offset as usize..)
            .and_then(<[u8]>::first_chunk_mut)
            .expect("patch beyond the end of the code")
    }

    #[cold]
    #[inline(never)]
    fn grow_and_put(&mut self, bytes: u128, len: usize) {
        self.grow(len);
        self.put(bytes, len);
    }

    /// At least doubles the storage, so that appending stays linear overall.
    ///
    /// # Panics
    ///
    /// If the code would outgrow what a signed 32-bit displacement spans.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, count: usize) {
        let needed = self.len() + count + WINDOW;
        assert!(i32::try_from(needed).is_ok(), "code exceeds 2 GiB");
        self.storage.resize(needed.max(self.storage.len() * 2).max(256), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not visible from outside, where every append succeeds anyway.
    #[test]
    fn reserved_bytes_do_not_grow_the_storage() {
        for count in (0..600).step_by(if cfg!(miri) { 101 } else { 1 }) {
            let mut buf = CodeBuffer::new();
            buf.put_bytes(&[0; 100]);
            buf.reserve(count);
            let size = buf.storage.len();
            for _ in 0..count {
                buf.put(0, 1);
            }
            assert_eq!(buf.storage.len(), size);
            buf.clear();
            assert_eq!(buf.storage.len(), size);
        }
    }
}
