//! How many bytes of machine code the fixtures become.

use crate::engines::Engines;
use crate::programs;
use crate::report::Section;

pub fn measure(engines: &Engines) -> Section {
    let names = engines.mini.iter().map(|(name, _)| *name);
    let names = names.chain(engines.wasmtime.iter().map(|(name, _)| *name));
    let header: Vec<&str> = ["", "wasm code section"].into_iter().chain(names).collect();
    let note = "Bytes of machine code of each fixture's only function, without trampolines.";
    let mut section = Section::new("Code size", note, &header);
    for fixture in programs::fixtures() {
        let mut row = vec![fixture.name.to_string()];
        row.push(programs::code_section_len(&fixture.binary).to_string());
        for (_, engine) in &engines.mini {
            let module = wasm_mini::Module::with_engine(engine, &fixture.binary);
            let module = module.expect("a valid module");
            row.push(module.code(0).expect("its only function").len().to_string());
        }
        for (_, engine) in &engines.wasmtime {
            let module = wasmtime::Module::new(engine, &fixture.binary).expect("a valid module");
            row.push(module.functions().next().expect("its only function").len.to_string());
        }
        section.rows.push(row);
    }
    section
}
