//! It belongs to the thread that made it.

use wasm_mini::Value;

fn on_another_thread<T: Send>() {}

fn main() {
    on_another_thread::<Value>();
}
