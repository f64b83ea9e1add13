//! The last handle cannot go while a view of it is in use.

use wasm_mini::Memory;

fn last(memory: Memory) -> u8 {
    let cells = memory.cells();
    drop(memory);
    cells[0].get()
}

fn main() {
    let _ = last;
}
