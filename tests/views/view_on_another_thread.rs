//! A view shows what a guest of this thread writes meanwhile.

use wasm_mini::Memory;

fn race(memory: &Memory) {
    let cells = memory.cells();
    std::thread::scope(|scope| {
        scope.spawn(|| cells[0].get());
    });
}

fn main() {
    let _ = race;
}
