//! One module on every tier with fuel, of which there is often too little: [`Metered::compare`] makes
//! the same calls everywhere with the same fuel, and looks at how they end, at how much fuel is left
//! and at all exported state.

use wasm_mini::{Engine, Instance, Module, Tier, TrapCode};

use crate::engines::{Ending, MIXED, Native, argument, call, state};
use crate::random::Random;

/// How often each function is called.
const CALLS: usize = 3;
/// More than any call of a generated module needs.
const PLENTY: u64 = 1 << 40;

/// How much was compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub modules: u64,
    pub returns: u64,
    pub exhaustions: u64,
    pub other_traps: u64,
    /// Calls after which a comparison ended, because a stack was too small.
    pub overflows: u64,
}

/// Everything with fuel that modules are compared on.
pub struct Metered(Vec<Native>);

impl Metered {
    pub fn new() -> Metered {
        let mut natives = Vec::new();
        let mut add = |name, builder: wasm_mini::EngineBuilder| {
            let engine = builder.fuel(PLENTY).build().expect("an engine");
            natives.push(Native::new(name, engine));
        };
        for tier in Tier::available() {
            let builder = || Engine::builder().tier(*tier);
            match tier {
                Tier::Baseline => {
                    add("baseline", builder());
                    add("baseline, portable", builder().portable_code());
                }
                _ => add("cranelift", builder()),
            }
        }
        if Tier::available().len() > 1 {
            add(MIXED, Engine::builder().tier(Tier::Baseline).mixed_tiers());
        }
        Metered(natives)
    }

    /// Calls all exported functions of a module everywhere, with plenty of fuel and with too little.
    ///
    /// # Errors
    ///
    /// What was seen to differ, in words.
    pub fn compare(&self, binary: &[u8], seed: u64, tally: &mut Tally) -> Result<(), String> {
        let modules: Vec<_> = self
            .0
            .iter()
            .map(|native| Module::with_engine(&native.engine, binary))
            .collect::<Result<_, _>>()
            .map_err(|error| format!("the module is refused: {error}"))?;
        let functions: Vec<_> = modules[0]
            .exported_functions()
            .map(|export| (export.name().to_string(), export.ty().clone()))
            .collect();
        let Some(mut instances) = self.instantiate(&modules)? else { return Ok(()) };
        tally.modules += 1;
        let mut random = Random::new(!seed);
        for (name, ty) in &functions {
            let mut enough = PLENTY;
            for round in 0..CALLS {
                let arguments: Vec<_> =
                    ty.params().iter().map(|ty| argument(&mut random, *ty, &functions)).collect();
                // First what it takes, then less than the last call took.
                let fuel =
                    if round == 0 { PLENTY } else { random.below(enough as usize + 1) as u64 };
                let mut first = None;
                for (native, instance) in self.0.iter().zip(&instances) {
                    let cell = instance.fuel().expect("an engine with fuel");
                    cell.set(fuel);
                    let ending = call(instance, name, &arguments);
                    if ending.is_overflow() {
                        tally.overflows += 1;
                        return Ok(());
                    }
                    let seen = (ending, cell.left(), state(instance));
                    let (ending, left, there) = first.get_or_insert_with(|| seen.clone());
                    let difference = seen.2.difference(there);
                    if !ending.is_like(&seen.0, native.name)
                        || *left != seen.1
                        || difference.is_some()
                    {
                        return Err(format!(
                            "{name:?} {arguments:x?} with {fuel} units of fuel:\n  {}: {ending:x?}, \
                             {left} left\n  {}: {:x?}, {} left\n{}",
                            self.0[0].name,
                            native.name,
                            seen.0,
                            seen.1,
                            difference.unwrap_or_default(),
                        ));
                    }
                }
                let Some((ending, left, _)) = first else { return Ok(()) };
                match ending {
                    Ending::Trapped(TrapCode::OutOfFuel, _) => tally.exhaustions += 1,
                    Ending::Trapped(code, _) => {
                        tally.other_traps += 1;
                        // Perhaps for want of what the module itself counts.
                        if code == TrapCode::Unreachable {
                            match self.instantiate(&modules)? {
                                Some(fresh) => instances = fresh,
                                None => return Ok(()),
                            }
                        }
                    }
                    _ => tally.returns += 1,
                }
                enough = (fuel - left).min(1 << 20);
            }
        }
        Ok(())
    }

    /// Instances everywhere; `None` if there are none anywhere.
    fn instantiate(&self, modules: &[Module]) -> Result<Option<Vec<Instance>>, String> {
        let mut instances = Vec::new();
        let mut failures = 0;
        for (native, module) in self.0.iter().zip(modules) {
            match native.instantiate(module) {
                Ok([instance, _]) => instances.push(instance),
                Err(ending) if ending.is_overflow() => return Ok(None),
                Err(_) => failures += 1,
            }
        }
        if failures != 0 && !instances.is_empty() {
            return Err(format!("instantiated on {} of {}", instances.len(), self.0.len()));
        }
        if instances.windows(2).any(|pair| left(&pair[0]) != left(&pair[1])) {
            let left: Vec<_> = instances.iter().map(left).collect();
            return Err(format!("instantiated: {left:?} units are left"));
        }
        Ok((failures == 0).then_some(instances))
    }
}

fn left(instance: &Instance) -> u64 {
    instance.fuel().expect("an engine with fuel").left()
}
