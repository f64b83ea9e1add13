//! A user's function over Arrow columns: an expression kernel that calls a WebAssembly function for
//! each row, in batches, and keeps Arrow's nulls.
//!
//! `cargo run --release`, in this folder.

use std::error::Error;
use std::time::Instant;

use arrow_array::{Array, Int64Array};
use arrow_buffer::NullBuffer;
use wasm_mini::{BatchError, BatchFunc, Imports, Instance, Module};

/// What a user of a database would upload: the price of an order, in cents. It divides, so that it
/// traps where `per` is 0.
const UDF: &str = r#"(module
    (func (export "price") (param $cents i64) (param $per i64) (result i64)
        (i64.div_s (i64.mul (local.get $cents) (i64.const 119)) (local.get $per))))"#;

/// A function of two integers as an expression over columns.
struct Kernel {
    function: BatchFunc<fn(i64, i64) -> i64>,
}

impl Kernel {
    fn new(module: &Module, export: &str) -> Result<Kernel, wasm_mini::Error> {
        let instance = Instance::new(module, &Imports::none())?;
        Ok(Kernel { function: instance.batch_func(export)? })
    }

    /// The function of each row; null where an argument is.
    ///
    /// All rows are computed, null or not, for what lies behind a null is a number like any other,
    /// and a branch in each row would cost more. If the function traps on such a number, the batch
    /// goes on behind that row.
    fn evaluate(&self, a: &Int64Array, b: &Int64Array) -> Result<Int64Array, BatchError> {
        if a.len() != b.len() {
            return Err(BatchError::Length { column: 1, len: b.len(), rows: a.len() });
        }
        let nulls = NullBuffer::union(a.nulls(), b.nulls());
        let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        let (a, b) = (a.values(), b.values());
        let mut results = vec![0; a.len()];
        let mut start = 0;
        loop {
            let columns = (a.get(start..).unwrap_or(&[]), b.get(start..).unwrap_or(&[]));
            match self.function.call(columns, &mut results[start..]) {
                Ok(()) => return Ok(Int64Array::new(results.into(), nulls)),
                Err(BatchError::Trap { row, .. }) if is_null(start + row) => start += row + 1,
                Err(BatchError::Trap { row, trap }) => {
                    return Err(BatchError::Trap { row: start + row, trap });
                }
                Err(other) => return Err(other),
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let kernel = Kernel::new(&Module::new(UDF)?, "price")?;

    let cents = Int64Array::from(vec![Some(1000), None, Some(250), Some(99)]);
    let per = Int64Array::from(vec![Some(100), Some(0), None, Some(3)]);
    println!("{:?}", kernel.evaluate(&cents, &per)?);

    let broken = Int64Array::from(vec![100, 100, 0, 100]);
    match kernel.evaluate(&cents, &broken) {
        Err(error) => println!("{error}"),
        Ok(_) => unreachable!("row 2 divides by 0"),
    }

    const ROWS: usize = 1 << 20;
    let cents = Int64Array::from_iter((0..ROWS as i64).map(|i| (i % 7 != 0).then_some(i)));
    let per = Int64Array::from_iter_values((0..ROWS as i64).map(|i| i % 100 + 1));
    let start = Instant::now();
    let prices = kernel.evaluate(&cents, &per)?;
    let nanos = start.elapsed().as_nanos() as f64 / ROWS as f64;
    println!("{ROWS} rows, {} of them null, {nanos:.2} ns each", prices.null_count());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel() -> Kernel {
        Kernel::new(&Module::new(UDF).unwrap(), "price").unwrap()
    }

    #[test]
    fn nulls_stay_null_and_trap_nowhere() {
        let cents = Int64Array::from(vec![Some(1000), Some(1), None, Some(250), Some(300)]);
        // What lies behind a null of an array that is made like this is 0.
        let per = Int64Array::from(vec![None, Some(1), Some(0), None, Some(3)]);
        let expected = Int64Array::from(vec![None, Some(119), None, None, Some(11900)]);
        assert_eq!(kernel().evaluate(&cents, &per).unwrap(), expected);
        // A part of an array begins somewhere inside its buffers.
        let parts = (cents.slice(1, 4), per.slice(1, 4));
        assert_eq!(kernel().evaluate(&parts.0, &parts.1).unwrap(), expected.slice(1, 4));
    }

    #[test]
    fn the_row_of_a_trap_is_counted_from_the_first() {
        let per = Int64Array::from(vec![None, Some(1), None, Some(0)]);
        let cents = Int64Array::from(vec![1; 4]);
        let error = kernel().evaluate(&cents, &per).unwrap_err();
        assert!(matches!(error, BatchError::Trap { row: 3, .. }), "{error}");
    }

    #[test]
    fn columns_must_be_equally_long() {
        let three = Int64Array::from(vec![Some(1), None, Some(3)]);
        let two = Int64Array::from(vec![Some(1), None]);
        let error = kernel().evaluate(&three, &two).unwrap_err();
        assert_eq!(error, BatchError::Length { column: 1, len: 2, rows: 3 });
    }
}
