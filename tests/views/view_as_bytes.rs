//! A view never claims that nobody else writes: there is no way to a plain slice of it.

use wasm_mini::Memory;

fn read(memory: &Memory) -> &[u8] {
    &memory.cells()
}

fn write(memory: &Memory) -> &mut [u8] {
    &mut memory.cells()
}

fn main() {
    let _ = (read, write);
}
