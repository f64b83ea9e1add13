//! It belongs to the thread that made it.

use wasm_mini::TypedFunc;

fn on_another_thread<T: Send>() {}

fn main() {
    on_another_thread::<TypedFunc<fn(i32) -> i32>>();
}
