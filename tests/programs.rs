//! The fixtures against reference implementations in Rust, over many inputs.

mod common;

use common::{Random, fixture, instance, on_each_tier};
use wasm_mini::Tier;

const RANDOM_INPUTS: usize = 2000;

fn add4_adds_four(tier: Tier) {
    let add4 = instance(tier, fixture("add4")).func::<fn(i64) -> i64>("add4").expect("add4");
    let mut random = Random::new(4);
    let inputs = (-100..100).chain([i64::MIN, i64::MAX, i64::MAX - 3, i64::MAX - 4]);
    for x in inputs.chain((0..RANDOM_INPUTS).map(|_| random.integer() as i64)) {
        assert_eq!(add4(x).expect("no trap"), x.wrapping_add(4), "add4({x})");
    }
}

fn fib_follows_its_definition(tier: Tier) {
    let fib = instance(tier, fixture("fib")).func::<fn(i32) -> i32>("fib").expect("fib");
    let (mut this, mut next) = (0, 1);
    for n in 0..24 {
        assert_eq!(fib(n).expect("no trap"), this, "fib({n})");
        (this, next) = (next, this + next);
    }
    for n in [-1, -1000, i32::MIN] {
        assert_eq!(fib(n).expect("no trap"), n, "fib({n})");
    }
}

fn fac_wraps_around(tier: Tier) {
    let fac = instance(tier, fixture("fac")).func::<fn(i64) -> i64>("fac").expect("fac");
    for n in -3..200 {
        let expected = (1..=n).fold(1i64, |product, factor| product.wrapping_mul(factor));
        assert_eq!(fac(n).expect("no trap"), expected, "fac({n})");
    }
    assert_eq!(fac(i64::MIN).expect("no trap"), 1);
}

fn gcd_is_euclids(tier: Tier) {
    fn reference(mut a: u64, mut b: u64) -> u64 {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    }
    let gcd = instance(tier, fixture("gcd")).func::<fn(u64, u64) -> u64>("gcd").expect("gcd");
    for a in 0..40 {
        for b in 0..40 {
            assert_eq!(gcd(a, b).expect("no trap"), reference(a, b), "gcd({a}, {b})");
        }
    }
    let mut random = Random::new(5);
    for _ in 0..RANDOM_INPUTS {
        let (a, b) = (random.integer(), random.integer());
        assert_eq!(gcd(a, b).expect("no trap"), reference(a, b), "gcd({a}, {b})");
    }
}

fn collatz_counts_steps(tier: Tier) {
    /// `None` if the sequence leaves 64 bits: then it need not come to an end.
    fn reference(mut n: u64) -> Option<u32> {
        let mut steps = 0;
        while n > 1 {
            n = if n % 2 == 1 { n.checked_mul(3)?.checked_add(1)? } else { n / 2 };
            steps += 1;
        }
        Some(steps)
    }
    let collatz =
        instance(tier, fixture("collatz")).func::<fn(u64) -> u32>("collatz").expect("collatz");
    let mut random = Random::new(6);
    let powers = (0..64).map(|power| 1 << power);
    let any = (0..RANDOM_INPUTS).map(|_| random.bits() >> (8 + random.below(40)));
    let mut checked = 0;
    for n in (0..1000).chain(powers).chain(any) {
        let Some(steps) = reference(n) else { continue };
        assert_eq!(collatz(n).expect("no trap"), steps, "collatz({n})");
        checked += 1;
    }
    assert!(checked > RANDOM_INPUTS / 2);
}

fn is_prime_divides(tier: Tier) {
    fn reference(n: u32) -> bool {
        n >= 2
            && (2..)
                .take_while(|d| u64::from(*d) * u64::from(*d) <= u64::from(n))
                .all(|d| !n.is_multiple_of(d))
    }
    let is_prime =
        instance(tier, fixture("is_prime")).func::<fn(u32) -> u32>("is_prime").expect("is_prime");
    let mut random = Random::new(7);
    let large = [u32::MAX, 4_294_967_291, 0x8000_0000, 0x7fff_ffff, 65_537, 65_521 * 65_521];
    let any: Vec<_> = (0..200).map(|_| random.bits() as u32).collect();
    for n in (0..3000).chain(large).chain(any) {
        assert_eq!(is_prime(n).expect("no trap"), u32::from(reference(n)), "is_prime({n})");
    }
}

/// Every fixture is tried above, and each exports one function named like the file.
fn fixtures_export_what_they_are_named_after(tier: Tier) {
    let tried = ["add4", "collatz", "fac", "fib", "gcd", "is_prime"];
    assert_eq!(common::FIXTURES.iter().map(|(name, _)| *name).collect::<Vec<_>>(), tried);
    for (name, text) in common::FIXTURES {
        let module = common::module(tier, text);
        let exports: Vec<_> = module.exported_functions().map(|export| export.name()).collect();
        assert_eq!(exports, [*name]);
    }
}

on_each_tier!(
    add4_adds_four,
    fib_follows_its_definition,
    fac_wraps_around,
    gcd_is_euclids,
    collatz_counts_steps,
    is_prime_divides,
    fixtures_export_what_they_are_named_after,
);

#[test]
fn no_fixture_is_left_out() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .expect("the fixtures")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .filter_map(|name| name.strip_suffix(".wat").map(str::to_string))
        .collect();
    found.sort();
    assert_eq!(found, common::FIXTURES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}
