//! It belongs to the thread that made it.

use wasm_mini::Func;

fn on_another_thread<T: Send>() {}

fn main() {
    on_another_thread::<Func>();
}
