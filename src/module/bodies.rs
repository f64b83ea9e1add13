//! The code section: where the bodies are.
//!
//! Owns the outline of the section, eight bytes for each body, and what bodies are validated with. Refuses
//! a section that does not hold as many as it says, or holds more. It does not look into them.

use std::ops::Range;

use wasmparser::{
    BinaryReader, CodeSectionReader, FuncToValidate, Payload, ValidPayload, Validator,
    ValidatorResources, WasmModuleResources,
};

use super::limits::{Limits, check};
use super::load::{FEATURES, invalid, reader};
use crate::error::LoadError;

/// The bodies of a module's functions.
#[derive(Default)]
pub(crate) struct Bodies<'a> {
    section: &'a [u8],
    /// Where that stands in the module.
    offset: u64,
    /// Where in the section each of them starts, and its length.
    spans: Vec<(u32, u32)>,
    /// The index of the first one's function.
    first: u32,
    /// What they are validated with; `None` if there is none. Threads share it by reference: a count of
    /// references, which each body would change, lies in one cache line with what all of them read.
    resources: Option<ValidatorResources>,
}

impl<'a> Bodies<'a> {
    /// Outlines a section, of which `validator` has seen the start. `offset` is where it stands in the
    /// module.
    pub(super) fn read(
        section: &'a [u8],
        offset: u64,
        validator: &mut Validator,
        limits: &Limits,
    ) -> Result<Bodies<'a>, LoadError> {
        let mut bodies = Bodies { section, offset, ..Bodies::default() };
        let reader = CodeSectionReader::new(reader(section, offset));
        let reader = reader.map_err(invalid)?;
        bodies.spans.reserve_exact(reader.count() as usize);
        for body in reader {
            let body = body.map_err(invalid)?;
            let range = body.range();
            let len = (range.end - range.start) as u32;
            let what = "the size of a function's body in bytes (`Limits::function_bytes`)";
            check(what, len, limits.function_bytes)?;
            let entry = validator.payload(&Payload::CodeSectionEntry(body)).map_err(invalid)?;
            if let (None, ValidPayload::Func(entry, _)) = (&bodies.resources, entry) {
                (bodies.first, bodies.resources) = (entry.index, Some(entry.resources));
            }
            bodies.spans.push(((range.start - offset) as u32, len));
        }
        Ok(bodies)
    }

    /// The indices of the functions, imports counted.
    pub fn functions(&self) -> Range<u32> {
        self.first..self.first + self.spans.len() as u32
    }

    /// The size of all in bytes.
    pub fn bytes(&self) -> usize {
        self.spans.iter().map(|(_, len)| *len as usize).sum()
    }

    /// The size of one in bytes, locals included.
    ///
    /// # Panics
    ///
    /// If the function has no body here. So do the others that take an index.
    #[inline]
    pub fn len(&self, function: u32) -> usize {
        self.spans[(function - self.first) as usize].1 as usize
    }

    /// All of it, locals first. Offsets are those of the module.
    pub(super) fn reader(&self, function: u32) -> BinaryReader<'a> {
        let (start, len) = self.spans[(function - self.first) as usize];
        let bytes = &self.section[start as usize..][..len as usize];
        reader(bytes, self.offset + u64::from(start))
    }

    /// How to validate one.
    pub(super) fn to_validate(&self, function: u32) -> FuncToValidate<&ValidatorResources> {
        let resources = self.resources.as_ref().expect("there is a body");
        let ty = resources.type_index_of_function(function).expect("a function has a type");
        FuncToValidate { resources, index: function, ty, features: FEATURES }
    }
}

#[cfg(test)]
mod tests {
    use super::super::load_whole;
    use super::*;

    /// A module of an import and three functions, whose code section is this.
    fn module(code: &[u8]) -> Vec<u8> {
        let types = [1, 4, 1, 0x60, 0, 0];
        let imports = [2, 7, 1, 1, b'm', 1, b'f', 0, 0];
        let functions = [3, 4, 3, 0, 0, 0];
        [b"\0asm\x01\0\0\0", &types[..], &imports, &functions, code].concat()
    }

    fn error(code: &[u8]) -> String {
        let binary = module(code);
        load_whole(&binary, &Limits::default()).err().expect("an error").to_string()
    }

    #[test]
    fn bodies_are_where_the_section_says() {
        let binary = module(&[10, 13, 3, 2, 0, 0x0b, 5, 1, 1, 0x7f, 1, 0x0b, 2, 0, 0x0b]);
        let (_, bodies) = load_whole(&binary, &Limits::default()).expect("sections are valid");
        assert_eq!((bodies.functions(), bodies.bytes()), (1..4, 9));
        let found =
            bodies.functions().map(|index| (bodies.reader(index).range(), bodies.len(index)));
        assert_eq!(found.collect::<Vec<_>>(), [(33..35, 2), (36..41, 5), (42..44, 2)]);
        assert_eq!(bodies.to_validate(2).index, 2);
    }

    #[test]
    fn sections_hold_as_many_bodies_as_they_say() {
        let bodies = [2, 0, 0x0b, 2, 0, 0x0b, 2, 0, 0x0b];
        let section = |len: u8, count: u8, bodies: &[u8]| [&[10, len, count], bodies].concat();
        assert!(load_whole(&module(&section(10, 3, &bodies)), &Limits::default()).is_ok());
        let long = [&[10, 0xff, 0xff, 0xff, 0xff, 0x0f, 3], &bodies[..]].concat();
        let cases = [
            (section(10, 2, &bodies), "inconsistent lengths"),
            (section(7, 3, &bodies[..6]), "unexpected end"),
            (section(11, 3, &[&bodies[..], &[0]].concat()), "unexpected data at the end"),
            // The last body reaches past the section, or past the module.
            (section(9, 3, &bodies), "unexpected end"),
            (section(10, 3, &bodies[..8]), "unexpected end"),
            // All of them are there, but not all of the section.
            (section(11, 3, &bodies), "unexpected end"),
            (long, "unexpected end"),
            (section(11, 3, &[&bodies[..6], &[3, 0, 0x0b]].concat()), "unexpected end"),
        ];
        for (section, expected) in cases {
            let error = error(&section);
            assert!(error.contains(expected), "{section:02x?}: {error}");
        }
    }
}
