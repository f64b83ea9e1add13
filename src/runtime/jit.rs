//! Linking the Cranelift tier's code with cranelift-jit, in memory of ours.
//!
//! cranelift-jit brings its linker; the memory is a [`Draft`] of the engine's code region, so that
//! near calls always reach, pages are never writable and executable, and the code is freed with
//! its module. Functions are declared without names: nothing is ever looked up in the process.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_jit::{BranchProtection, JITBuilder, JITMemoryKind, JITMemoryProvider, JITModule};
use cranelift_module::{FuncId, Module, ModuleReloc, ModuleRelocTarget, ModuleResult};

use super::bodies::Compiled;
use super::code::Draft;
use crate::compile::CODE_ALIGNMENT;
use crate::error::LoadError;
use crate::module::ModuleInfo;

/// Hands out one draft from its start to its end.
struct DraftProvider {
    /// Shared with [`link`], which takes the draft back when everything is placed.
    draft: Arc<Mutex<Option<Draft>>>,
    used: usize,
}

impl JITMemoryProvider for DraftProvider {
    fn allocate(&mut self, size: usize, align: u64, kind: JITMemoryKind) -> io::Result<*mut u8> {
        let mut draft = self.draft.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(draft), JITMemoryKind::Executable) = (&mut *draft, kind) else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let start = self.used.next_multiple_of(align as usize);
        let bytes = draft.bytes_mut().get_mut(start..start + size);
        self.used = start + size;
        bytes.map(<[u8]>::as_mut_ptr).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    // The draft belongs to whoever called `link`, and is freed there.
    unsafe fn free_memory(&mut self) {}

    // Publishing is the runtime's last step, the same for both tiers.
    fn finalize(&mut self, _: BranchProtection) -> ModuleResult<()> {
        Ok(())
    }
}

/// Places the functions in the draft and connects their calls.
///
/// The draft's bytes may be executed at another address than they are written at: only distances
/// inside the draft are resolved, which are the same in both views.
pub(super) fn link(
    isa: OwnedTargetIsa,
    info: &ModuleInfo,
    code: &Compiled,
    chunks: Vec<Vec<u8>>,
    mut draft: Draft,
) -> Result<Draft, LoadError> {
    // Padding between functions must not run.
    draft.bytes_mut().fill(0xcc);
    let start = draft.bytes_mut().as_ptr() as usize;
    let shared = Arc::new(Mutex::new(Some(draft)));

    let names = |call| format!("{call:?}");
    let mut builder = JITBuilder::with_isa(isa, Box::new(names));
    builder.memory_provider(Box::new(DraftProvider { draft: shared.clone(), used: 0 }));
    builder.symbol_lookup_fn(Box::new(|_| None));
    let mut module = JITModule::new(builder);

    let failed = |error: cranelift_module::ModuleError| LoadError::Compile {
        function: info.imported_functions,
        message: format!("linking failed: {error}"),
    };
    let signature = module.make_signature();
    let mut ids = Vec::with_capacity(code.functions.len());
    for _ in &code.functions {
        ids.push(module.declare_anonymous_function(&signature).map_err(failed)?);
    }
    let mut relocations = code.relocations.as_slice();
    let mut chunks = chunks.into_iter();
    // The current chunk, and where it starts.
    let (mut chunk, mut chunk_start) = (Vec::new(), 0);
    for (function, id) in code.functions.iter().zip(&ids) {
        while function.code.end as usize > chunk_start + chunk.len() {
            chunk_start = (chunk_start + chunk.len()).next_multiple_of(CODE_ALIGNMENT);
            chunk = chunks.next().expect("each function lies in a chunk");
        }
        let start = function.code.start as usize - chunk_start;
        let range = start..start + function.code.len();
        let count = relocations.partition_point(|relocation| relocation.offset < function.code.end);
        let (own, rest) = relocations.split_at(count);
        relocations = rest;
        let own: Vec<ModuleReloc> = own
            .iter()
            .map(|relocation| ModuleReloc {
                offset: relocation.offset - function.code.start,
                kind: Reloc::X86CallPCRel4,
                name: target(ids[(relocation.function - info.imported_functions) as usize]),
                addend: -4,
            })
            .collect();
        let bytes = &chunk[range];
        // It lies where its tier has laid it: at the next multiple, or right behind the one before.
        let align = CODE_ALIGNMENT.min(1 << function.code.start.trailing_zeros());
        module.define_function_bytes(*id, align as u64, bytes, &own).map_err(failed)?;
    }
    module.finalize_definitions().map_err(failed)?;

    for (function, id) in code.functions.iter().zip(&ids) {
        let placed = module.get_finalized_function(*id) as usize - start;
        if placed != function.code.start as usize {
            return Err(LoadError::Compile {
                function: function.function,
                message: format!("linked at {placed:#x}, not at {:#x}", function.code.start),
            });
        }
    }
    drop(module);
    let draft = shared.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(draft.expect("the draft is taken once"))
}

fn target(id: FuncId) -> ModuleRelocTarget {
    ModuleRelocTarget::user(0, id.as_u32())
}
