//! From bytes to [`ModuleInfo`] and [`Bodies`]: the sections of a module, text or binary.
//!
//! Refuses what is malformed, invalid, or valid but beyond this engine, each with its offset.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use wasmparser::{
    BinaryReader, Chunk, ElementItems, ElementKind, ExternalKind, NameMap, Parser, Payload,
    TypeRef, Validator, WasmFeatures,
};

use super::bodies::Bodies;
use super::limits::{Limits, check};
use super::{
    ConstExpr, DataSegment, ElementSegment, Export, ExportKind, FuncType, GlobalType, Import,
    ImportType, Late, MemoryType, ModuleInfo, SegmentMode, TableType, ValType,
};
use crate::error::LoadError;

/// What this engine accepts: WebAssembly 2.0, and nothing that wasmparser happens to turn on.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::WASM2;

/// The place in [`ModuleInfo::escaping`] of a function that is not there.
pub(super) const NOWHERE: u32 = u32::MAX;

/// A module whose sections up to the bodies are validated. The bodies wait, and so does what stands
/// behind them, if the module is large.
pub(crate) struct Loaded<'a> {
    pub bodies: Bodies<'a>,
    pub tail: Tail<'a>,
}

/// The sections behind the bodies: data and custom ones. They may be most of a module, and can be read
/// while the bodies are compiled.
pub(crate) enum Tail<'a> {
    /// It was read with the rest of a small module.
    Read(Late),
    Unread(Box<Unread<'a>>),
}

/// What stands behind the bodies of a large module.
pub(crate) struct Unread<'a> {
    sections: Sections<'a>,
    validator: Validator,
    /// What stood before the bodies after all.
    late: Late,
}

/// Modules of fewer bytes are read to their end at once.
const LARGE: usize = 64 << 10;

/// What has not been read yet of a module.
struct Sections<'a> {
    binary: &'a [u8],
    rest: &'a [u8],
    parser: Parser,
    ended: bool,
}

impl<'a> Sections<'a> {
    fn new(binary: &'a [u8]) -> Self {
        let mut parser = Parser::new(0);
        // It would read what other proposals have in the place of what is malformed.
        parser.set_features(FEATURES);
        Sections { binary, rest: binary, parser, ended: false }
    }

    /// The next section.
    // As in `Parser::parse_all`, whose iterator copies each once more.
    #[inline(always)]
    fn next(&mut self) -> Result<Option<Payload<'a>>, LoadError> {
        if self.ended {
            return Ok(None);
        }
        match self.parser.parse(self.rest, true).map_err(invalid)? {
            Chunk::Parsed { consumed, payload } => {
                self.rest = &self.rest[consumed..];
                self.ended = matches!(payload, Payload::End(_));
                Ok(Some(payload))
            }
            Chunk::NeedMoreData(_) => unreachable!("the parser knows that there is no more"),
        }
    }

    /// Leaves out the code section, of which `next` has just returned the start, and `size` bytes are left.
    /// Returns it from `start` on.
    fn skip(&mut self, start: u64, size: u32) -> Result<&'a [u8], LoadError> {
        let mut reader = reader(self.rest, self.parser.offset());
        reader.read_bytes(size as usize).map_err(invalid)?;
        self.parser.skip_section();
        self.rest = &self.rest[size as usize..];
        Ok(&self.binary[start as usize..self.binary.len() - self.rest.len()])
    }
}

/// The binary form of a module: text is translated if the crate has the `wat` feature.
pub(crate) fn binary(input: &[u8]) -> Result<Cow<'_, [u8]>, LoadError> {
    if input.starts_with(b"\0asm") {
        return Ok(Cow::Borrowed(input));
    }
    text(input)
}

#[cfg(feature = "wat")]
fn text(input: &[u8]) -> Result<Cow<'_, [u8]>, LoadError> {
    if std::str::from_utf8(input).is_err() {
        return Err(not_a_module(input));
    }
    wat::parse_bytes(input)
        .map_err(|error| LoadError::Text { message: excerpt(&error.to_string()) })
}

/// The parser's message, which quotes a line of the input: no more of that than shows the place, and
/// nothing that a terminal would obey.
#[cfg(feature = "wat")]
fn excerpt(message: &str) -> String {
    /// The parser quotes nothing if the place is behind column 500.
    const MOST: usize = 600;
    let shorten = |line: &str| {
        let visible = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        let mut short: String = line.chars().take(MOST).map(visible).collect();
        if line.chars().nth(MOST).is_some() {
            short += " …";
        }
        short
    };
    message.lines().map(shorten).collect::<Vec<_>>().join("\n")
}

#[cfg(not(feature = "wat"))]
fn text(input: &[u8]) -> Result<Cow<'_, [u8]>, LoadError> {
    Err(not_a_module(input))
}

fn not_a_module(input: &[u8]) -> LoadError {
    let found = match input {
        [] => "it is empty".to_string(),
        _ => format!("it starts with {:02x?}", &input[..input.len().min(4)]),
    };
    let text = if cfg!(feature = "wat") {
        ", and it is not text"
    } else {
        ", and this build does not read text (feature `wat`)"
    };
    LoadError::NotAModule {
        message: format!(
            "not a WebAssembly module: {found}; a binary module starts with [00, 61, 73, 6d]{text}"
        ),
    }
}

/// Parses and validates everything before the function bodies, and if the module is small, what stands
/// behind them. Fills in `info`, which is new, and too large to be handed over often: all but
/// [`ModuleInfo::late`], which the tail becomes.
pub(crate) fn load<'a>(
    binary: &'a [u8],
    limits: &Limits,
    info: &mut ModuleInfo,
) -> Result<Loaded<'a>, LoadError> {
    let what = "the size of the module in bytes (`Limits::module_bytes`)";
    // Positions are noted in 32 bits.
    check(what, binary.len() as u64, limits.module_bytes.min(u32::MAX.into()))?;
    let mut validator = Validator::new_with_features(FEATURES);
    let mut late = Late::default();
    let mut bodies = Bodies::default();
    let mut sections = Sections::new(binary);
    while let Some(payload) = sections.next()? {
        check_counts(&payload, info, limits)?;
        // Without `map_err`, which copies what is valid.
        if let Err(error) = validator.payload(&payload) {
            return Err(invalid(error));
        }
        match payload {
            Payload::CodeSectionStart { unchecked_range: Range { start, .. }, size, .. } => {
                let section = sections.skip(start, size)?;
                bodies = Bodies::read(section, start, &mut validator, limits)?;
                if binary.len() >= LARGE && !bodies.functions().is_empty() {
                    break;
                }
            }
            payload => section(payload, binary, info, &mut late)?,
        }
    }
    // Those that were all imported have met no section of their own.
    check_spaces(info, [0; 4], limits)?;
    find_escaping(info);
    info.has_vectors = has_vectors(info);
    let tail = match sections.ended {
        true => Tail::Read(late),
        false => Tail::Unread(Box::new(Unread { sections, validator, late })),
    };
    Ok(Loaded { bodies, tail })
}

impl Tail<'_> {
    /// Parses and validates the rest of a module.
    pub fn read(self, info: &ModuleInfo, limits: &Limits) -> Result<Late, LoadError> {
        let mut unread = match self {
            Tail::Read(late) => return Ok(late),
            Tail::Unread(unread) => unread,
        };
        while let Some(payload) = unread.sections.next()? {
            check_counts(&payload, info, limits)?;
            unread.validator.payload(&payload).map_err(invalid)?;
            let binary = unread.sections.binary;
            late_section(payload, binary, info.functions.len(), &mut unread.late)?;
        }
        Ok(unread.late)
    }
}

/// Parses and validates everything but the function bodies.
pub(crate) fn load_whole<'a>(
    binary: &'a [u8],
    limits: &Limits,
) -> Result<(ModuleInfo, Bodies<'a>), LoadError> {
    let mut info = ModuleInfo::default();
    let Loaded { bodies, tail } = load(binary, limits, &mut info)?;
    info.late = tail.read(&info, limits)?;
    Ok((info, bodies))
}

/// Refuses a section that holds too much, before it is read.
fn check_counts(
    payload: &Payload<'_>,
    info: &ModuleInfo,
    limits: &Limits,
) -> Result<(), LoadError> {
    let (what, count, limit) = match payload {
        Payload::FunctionSection(reader) => {
            return check_spaces(info, [reader.count(), 0, 0, 0], limits);
        }
        Payload::TableSection(reader) => {
            return check_spaces(info, [0, reader.count(), 0, 0], limits);
        }
        Payload::MemorySection(reader) => {
            return check_spaces(info, [0, 0, reader.count(), 0], limits);
        }
        Payload::GlobalSection(reader) => {
            return check_spaces(info, [0, 0, 0, reader.count()], limits);
        }
        Payload::TypeSection(reader) => {
            ("the number of types (`Limits::types`)", reader.count(), limits.types)
        }
        Payload::ImportSection(reader) => {
            ("the number of imports (`Limits::imports`)", reader.count(), limits.imports)
        }
        Payload::ExportSection(reader) => {
            ("the number of exports (`Limits::exports`)", reader.count(), limits.exports)
        }
        Payload::ElementSection(reader) => {
            let what = "the number of element segments (`Limits::element_segments`)";
            (what, reader.count(), limits.element_segments)
        }
        Payload::DataSection(reader) => {
            let what = "the number of data segments (`Limits::data_segments`)";
            (what, reader.count(), limits.data_segments)
        }
        _ => return Ok(()),
    };
    check(what, count, limit)
}

/// Refuses index spaces that are too large with so many more functions, tables, memories and
/// globals.
fn check_spaces(info: &ModuleInfo, more: [u32; 4], limits: &Limits) -> Result<(), LoadError> {
    let spaces = [
        ("the number of functions (`Limits::functions`)", info.functions.len(), limits.functions),
        ("the number of tables (`Limits::tables`)", info.tables.len(), limits.tables),
        ("the number of memories (`Limits::memories`)", info.memories.len(), limits.memories),
        ("the number of globals (`Limits::globals`)", info.globals.len(), limits.globals),
    ];
    for ((what, have, limit), more) in spaces.into_iter().zip(more) {
        check(what, have as u64 + u64::from(more), limit)?;
    }
    Ok(())
}

/// Whether vectors can come from anywhere but operators and locals.
fn has_vectors(info: &ModuleInfo) -> bool {
    let of_functions = info.types.iter().flat_map(|ty| ty.params().iter().chain(ty.results()));
    let of_globals = info.globals.iter().map(|global| &global.content);
    of_functions.chain(of_globals).any(|ty| *ty == ValType::V128)
}

/// Takes from one validated section what the rest of the crate needs.
fn section(
    payload: Payload<'_>,
    binary: &[u8],
    info: &mut ModuleInfo,
    late: &mut Late,
) -> Result<(), LoadError> {
    match payload {
        Payload::TypeSection(reader) => {
            for group in reader {
                for ty in group.map_err(invalid)?.types() {
                    info.types.push(func_type(ty.unwrap_func()));
                }
            }
        }
        Payload::ImportSection(reader) => {
            for import in reader.into_imports() {
                let import = import.map_err(invalid)?;
                let ty = match import.ty {
                    TypeRef::Func(index) | TypeRef::FuncExact(index) => {
                        info.functions.push(index);
                        info.imported_functions += 1;
                        ImportType::Function(index)
                    }
                    TypeRef::Table(ty) => {
                        info.tables.push(table_type(&ty));
                        info.imported_tables += 1;
                        ImportType::Table(table_type(&ty))
                    }
                    TypeRef::Memory(ty) => {
                        info.memories.push(memory_type(&ty));
                        info.imported_memories += 1;
                        ImportType::Memory(memory_type(&ty))
                    }
                    TypeRef::Global(ty) => {
                        info.globals.push(global_type(&ty));
                        info.imported_globals += 1;
                        ImportType::Global(global_type(&ty))
                    }
                    // Validation accepts none.
                    TypeRef::Tag(_) => continue,
                };
                let (module, name) = (import.module.to_string(), import.name.to_string());
                info.imports.push(Import { module, name, ty });
            }
        }
        Payload::FunctionSection(reader) => {
            info.functions.reserve(reader.count() as usize);
            for index in reader {
                info.functions.push(index.map_err(invalid)?);
            }
        }
        Payload::ExportSection(reader) => {
            for export in reader {
                let export = export.map_err(invalid)?;
                let kind = match export.kind {
                    ExternalKind::Func | ExternalKind::FuncExact => ExportKind::Function,
                    ExternalKind::Table => ExportKind::Table,
                    ExternalKind::Memory => ExportKind::Memory,
                    ExternalKind::Global => ExportKind::Global,
                    ExternalKind::Tag => ExportKind::Tag,
                };
                info.exports.push(Export { name: export.name.into(), kind, index: export.index });
            }
        }
        Payload::StartSection { func, .. } => info.start = Some(func),
        Payload::TableSection(reader) => {
            for table in reader {
                info.tables.push(table_type(&table.map_err(invalid)?.ty));
            }
        }
        Payload::MemorySection(reader) => {
            for memory in reader {
                info.memories.push(memory_type(&memory.map_err(invalid)?));
            }
        }
        Payload::GlobalSection(reader) => {
            for global in reader {
                let global = global.map_err(invalid)?;
                info.globals.push(global_type(&global.ty));
                info.global_inits.push(const_expr(&global.init_expr)?);
            }
        }
        Payload::ElementSection(reader) => {
            for element in reader {
                info.elements.push(element_segment(element.map_err(invalid)?)?);
            }
        }
        payload => late_section(payload, binary, info.functions.len(), late)?,
    }
    Ok(())
}

/// The same of a section that may stand behind the bodies of the module's so many functions.
fn late_section(
    payload: Payload<'_>,
    binary: &[u8],
    functions: usize,
    late: &mut Late,
) -> Result<(), LoadError> {
    match payload {
        Payload::DataSection(section) => {
            let Range { start, end } = section.range();
            let bytes = &binary[start as usize..end as usize];
            data_segments(reader(bytes, start), late)?;
        }
        Payload::CustomSection(section) if section.name() == "name" => {
            let reader = reader(section.data(), section.data_offset());
            late.names = function_names(reader, functions);
        }
        _ => {}
    }
    Ok(())
}

/// The function names of the name section, in the order of the functions. It is a custom section, so
/// what is malformed in it, such as a name out of that order, is left out and never an error
/// (specification §7.6, Custom Sections). So are names after the first list of them.
fn function_names(mut reader: BinaryReader<'_>, count: usize) -> Vec<(u32, Arc<str>)> {
    /// The subsection with the names of functions.
    const FUNCTION_NAMES: u8 = 1;
    let mut names = Vec::new();
    while let (Ok(id), Ok(subsection)) = (reader.read_u8(), reader.read_reader()) {
        if id != FUNCTION_NAMES {
            continue;
        }
        for naming in NameMap::new(subsection).into_iter().flatten() {
            let Ok(naming) = naming else { break };
            let ascends = names.last().is_none_or(|(last, _)| *last < naming.index);
            if ascends && (naming.index as usize) < count {
                names.push((naming.index, naming.name.into()));
            }
        }
        break;
    }
    names
}

fn element_segment(element: wasmparser::Element<'_>) -> Result<ElementSegment, LoadError> {
    let mode = match element.kind {
        ElementKind::Passive => SegmentMode::Passive,
        ElementKind::Declared => SegmentMode::Declared,
        ElementKind::Active { table_index, offset_expr } => SegmentMode::Active {
            index: table_index.unwrap_or(0),
            offset: const_expr(&offset_expr)?,
        },
    };
    let mut items = Vec::new();
    match element.items {
        ElementItems::Functions(functions) => {
            for function in functions {
                items.push(ConstExpr::RefFunc(function.map_err(invalid)?));
            }
        }
        ElementItems::Expressions(_, expressions) => {
            for expression in expressions {
                items.push(const_expr(&expression.map_err(invalid)?)?);
            }
        }
    }
    Ok(ElementSegment { mode, items })
}

/// The data section, which validation has accepted. Read byte by byte (specification §5.5.14 Data
/// Section): some programs have 100,000 segments, and wasmparser's reader has walked through all
/// operators of each offset by now.
fn data_segments(mut reader: BinaryReader<'_>, late: &mut Late) -> Result<(), LoadError> {
    let count = reader.read_var_u32().map_err(invalid)?;
    // Validation has counted them, and so there are as many.
    late.data.reserve(count as usize);
    late.data_bytes.reserve(reader.bytes_remaining());
    for _ in 0..count {
        let mode = match reader.read_var_u32().map_err(invalid)? {
            1 => SegmentMode::Passive,
            flags => {
                let index = if flags == 2 { reader.read_var_u32().map_err(invalid)? } else { 0 };
                let offset = constant(&mut reader)?;
                let _end = reader.read_u8().map_err(invalid)?;
                SegmentMode::Active { index, offset }
            }
        };
        let len = reader.read_var_u32().map_err(invalid)?;
        let start = late.data_bytes.len();
        late.data_bytes.extend_from_slice(reader.read_bytes(len as usize).map_err(invalid)?);
        late.data.push(DataSegment { mode, bytes: start..late.data_bytes.len() });
    }
    Ok(())
}

/// A constant expression as wasmparser gives it: see [`constant`].
fn const_expr(expr: &wasmparser::ConstExpr<'_>) -> Result<ConstExpr, LoadError> {
    constant(&mut expr.get_binary_reader())
}

/// The one operator of a constant expression of WebAssembly 2.0, which validation has accepted; its
/// `end` is left.
///
/// Read byte by byte, because wasmparser's reader of all operators would be in the program for this
/// alone. The opcodes are those of the specification (§5.4.9 and §5.4.1 Expressions).
fn constant(reader: &mut BinaryReader<'_>) -> Result<ConstExpr, LoadError> {
    let offset = reader.original_position();
    let mut read = || -> wasmparser::Result<Option<ConstExpr>> {
        Ok(Some(match reader.read_u8()? {
            0x41 => ConstExpr::Bits(u128::from(reader.read_var_i32()? as u32)),
            0x42 => ConstExpr::Bits(u128::from(reader.read_var_i64()? as u64)),
            0x43 => ConstExpr::Bits(u128::from(reader.read_f32()?.bits())),
            0x44 => ConstExpr::Bits(u128::from(reader.read_f64()?.bits())),
            0xfd if reader.read_var_u32()? == 0x0c => {
                let bytes = reader.read_bytes(16)?;
                let lanes = bytes.iter().rev();
                ConstExpr::Bits(lanes.fold(0, |bits, byte| bits << 8 | u128::from(*byte)))
            }
            0xd0 => ConstExpr::Bits(0),
            0xd2 => ConstExpr::RefFunc(reader.read_var_u32()?),
            0x23 => ConstExpr::GlobalGet(reader.read_var_u32()?),
            _ => return Ok(None),
        }))
    };
    read().map_err(invalid)?.ok_or_else(|| unsupported("this constant expression", offset))
}

/// Finds the functions that a reference may be made to: see [`ModuleInfo::escaping`].
fn find_escaping(info: &mut ModuleInfo) {
    let exported = info.exported_functions().map(|(_, function)| function);
    let items = info.elements.iter().flat_map(|segment| &segment.items);
    let referred = items.chain(&info.global_inits).filter_map(|item| match item {
        ConstExpr::RefFunc(function) => Some(*function),
        _ => None,
    });
    // Sorting would take more time, and 3 KB of program.
    let mut places = vec![NOWHERE; info.functions.len()];
    for function in exported.chain(referred).chain(info.start) {
        places[function as usize] = 0;
    }
    for (function, place) in (0..).zip(&mut places).filter(|(_, place)| **place != NOWHERE) {
        *place = info.escaping.len() as u32;
        info.escaping.push(function);
    }
    info.escaping_places = places;
}

fn func_type(ty: &wasmparser::FuncType) -> FuncType {
    let [params, results] = [ty.params(), ty.results()].map(|types| types.iter().copied());
    FuncType::new(params.map(val_type), results.map(val_type))
}

fn val_type(ty: wasmparser::ValType) -> ValType {
    ValType::from_wasmparser(ty).expect("a type of WebAssembly 2.0")
}

fn table_type(ty: &wasmparser::TableType) -> TableType {
    // Tables of WebAssembly 2.0 have 32-bit limits.
    TableType {
        element: val_type(wasmparser::ValType::Ref(ty.element_type)),
        min: ty.initial as u32,
        max: ty.maximum.map(|max| max as u32),
    }
}

fn memory_type(ty: &wasmparser::MemoryType) -> MemoryType {
    // Memories of WebAssembly 2.0 have at most 65,536 pages.
    MemoryType { min: ty.initial as u32, max: ty.maximum.map(|max| max as u32) }
}

fn global_type(ty: &wasmparser::GlobalType) -> GlobalType {
    GlobalType { content: val_type(ty.content_type), mutable: ty.mutable }
}

/// A reader of bytes that stand at `offset` in the module.
pub(super) fn reader(bytes: &[u8], offset: u64) -> BinaryReader<'_> {
    BinaryReader::new_features(bytes, offset, FEATURES)
}

#[cold]
#[inline(never)]
pub(crate) fn invalid(error: wasmparser::BinaryReaderError) -> LoadError {
    invalid_at(&error, error.offset())
}

/// The same, about what stands there in the binary module.
pub(super) fn invalid_at(error: &wasmparser::BinaryReaderError, offset: u64) -> LoadError {
    LoadError::Invalid { message: error.message().to_string(), offset }
}

fn unsupported(what: &str, offset: impl Into<u64>) -> LoadError {
    LoadError::Unsupported { what: what.to_string(), function: None, offset: offset.into() }
}
