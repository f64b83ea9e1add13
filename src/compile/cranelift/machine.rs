//! The machine's side: the target that functions are compiled for, and what is taken from a
//! compiled function.
//!
//! Refuses code that refers to anything but functions of its own module.

use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::ir::{self, ExternalName, SourceLoc};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{Context, Final, FinalizedRelocTarget, MachSrcLoc};

use super::origins::{Origins, access_of};
use crate::compile::abi::{RAISE_TRAP, RAISE_TRAP_LEN, Signature};
use crate::compile::{
    CODE_ALIGNMENT, CallSite, CompiledCode, CompiledFunction, CpuFeatures, Made, OperatorStart,
    Relocation, Tier, TrapSite, Unit, plain,
};
use crate::error::TrapCode;
use crate::module::{Facts, ValidBody};

/// The flags that hold for every function, with the reason where it is not the name.
const FLAGS: &[(&str, &str)] = &[
    ("opt_level", "speed"),
    ("regalloc_algorithm", "backtracking"),
    ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
    // Calls are near: the linker lays a module's functions out together.
    ("is_pic", "false"),
    // Backtraces follow the frame pointers.
    ("unwind_info", "false"),
    ("preserve_frame_pointers", "true"),
    // It holds the instance's context.
    ("enable_pinned_reg", "true"),
    // A frame of several pages must touch the page that ends the stack.
    ("enable_probestack", "true"),
    ("probestack_strategy", "inline"),
    ("machine_code_cfg_info", "false"),
];

/// The host as a target, without the features that `cpu` lacks.
pub(crate) fn isa(cpu: CpuFeatures) -> Result<OwnedTargetIsa, String> {
    let mut flags = settings::builder();
    for (name, value) in FLAGS {
        flags.set(name, value).map_err(|error| format!("flag {name}: {error}"))?;
    }
    let mut builder = cranelift_native::builder().map_err(str::to_string)?;
    let masks: [(bool, &[&str]); 6] = [
        (cpu.popcnt, &["has_popcnt", "has_sse42"]),
        (cpu.lzcnt, &["has_lzcnt"]),
        (cpu.bmi1, &["has_bmi1"]),
        (cpu.bmi2, &["has_bmi2"]),
        (cpu.avx, &["has_avx", "has_avx2", "has_fma", "has_avx_vnni"]),
        (cpu.avx2, &["has_avx2", "has_avx_vnni"]),
    ];
    const AVX512: &[&str] = &[
        "has_avx512bitalg",
        "has_avx512dq",
        "has_avx512f",
        "has_avx512vl",
        "has_avx512vbmi",
        "has_avx512vnni",
    ];
    let masked = masks.iter().filter(|(has, _)| !has).flat_map(|(_, names)| *names);
    let masked = masked.chain(if cpu.avx2 { &[] } else { AVX512 });
    for name in masked {
        builder.set(name, "false").map_err(|error| format!("flag {name}: {error}"))?;
    }
    builder.finish(settings::Flags::new(flags)).map_err(|error| error.to_string())
}

/// The IR's code for a trap that the translation makes. Traps that instructions make by themselves
/// have codes of Cranelift's: see [`from_clif`].
pub(super) fn to_clif(code: TrapCode) -> ir::TrapCode {
    match code {
        TrapCode::StackOverflow => ir::TrapCode::STACK_OVERFLOW,
        code => ir::TrapCode::unwrap_user(code as u8),
    }
}

pub(super) fn from_clif(code: ir::TrapCode) -> Option<TrapCode> {
    match code {
        ir::TrapCode::STACK_OVERFLOW => Some(TrapCode::StackOverflow),
        ir::TrapCode::INTEGER_OVERFLOW => Some(TrapCode::IntegerOverflow),
        ir::TrapCode::INTEGER_DIVISION_BY_ZERO => Some(TrapCode::IntegerDivideByZero),
        ir::TrapCode::BAD_CONVERSION_TO_INTEGER => Some(TrapCode::InvalidConversionToInteger),
        code if access_of(code).is_some() => Some(TrapCode::MemoryOutOfBounds),
        code => TrapCode::from_u8(code.as_raw().get()),
    }
}

/// What Cranelift's traps are: `ud2`.
const UNDEFINED: [u8; 2] = [0x0f, 0x0b];
/// What takes its place where nothing better can: `hlt`, which is as forbidden to a program, twice.
/// Virtual machines often leave an undefined instruction to their host, which takes four times as long.
const HALT: [u8; 2] = [0xf4, 0xf4];
/// `jmp` to the instruction that lies so many bytes, one signed byte, behind it.
const JUMP_SHORT: u8 = 0xeb;
/// `call [r15 + 8]`.
const RAISE: [u8; RAISE_TRAP_LEN as usize] = [0x41, 0xff, 0x57, RAISE_TRAP as u8];

/// Whether the function asks for the context: see [`Translator::vmctx`](super::Translator::vmctx).
fn reads_context(func: &ir::Function) -> bool {
    let asks = |inst| func.dfg.insts[inst].opcode() == ir::Opcode::GetPinnedReg;
    func.layout.entry_block().is_some_and(|entry| func.layout.block_insts(entry).any(asks))
}

/// `push rbp; mov rbp, rsp`: how all code begins.
const ENTER: [u8; 4] = [0x55, 0x48, 0x89, 0xe5];
/// `mov rsp, rbp; pop rbp; ret`.
const LEAVE: [u8; 5] = [0x48, 0x89, 0xec, 0x5d, 0xc3];
const RETURN: [u8; 1] = [0xc3];

/// The code of a function that does without its frame, between what makes and what drops it. Cranelift
/// makes one always; where nothing lies in it and nobody looks for it, a call of the function is a
/// third shorter without. Not so where the call is indirect and often foreseen wrongly: a return that
/// comes at once then costs a tenth more.
fn without_frame<'c>(
    body: &ValidBody<'_>,
    unit: &Unit<'_>,
    context: &'c Context,
) -> Option<&'c [u8]> {
    let buffer = &context.compiled_code()?.buffer;
    let code = buffer.data().strip_prefix(&ENTER)?.strip_suffix(&LEAVE)?;
    let signature = Signature::of(unit.info.function_type(body.function));
    let is_used = buffer.frame_layout()?.frame_to_fp_offset > 0 || signature.stack_bytes > 0;
    // With one block, the end is the only way out.
    let is_one_block = context.func.layout.blocks().nth(1).is_none();
    let is_expected_late = unit.in_segments.contains(&body.function);
    let is_known = !buffer.traps().is_empty() || buffer.call_sites().next().is_some();
    (!is_used && is_one_block && !is_known && !is_expected_late && buffer.relocs().is_empty())
        .then_some(code)
}

/// Appends the function that the context holds compiled.
pub(super) fn append(
    body: &ValidBody<'_>,
    facts: &Facts,
    unit: &Unit<'_>,
    context: &Context,
    origins: &Origins,
    record_operators: bool,
    out: &mut CompiledCode,
) -> Result<(), String> {
    let compiled = context.compiled_code().ok_or("it was not compiled")?;
    let buffer = &compiled.buffer;
    if buffer.alignment as usize > CODE_ALIGNMENT {
        return Err(format!("its code needs an alignment of {}", buffer.alignment));
    }
    let bare = without_frame(body, unit, context);
    let skipped = if bare.is_some() { ENTER.len() as u32 } else { 0 };
    let start = out.bytes.len().next_multiple_of(CODE_ALIGNMENT);
    let length = bare.map_or(buffer.data().len(), |bare| bare.len() + RETURN.len());
    let most = start + length + RAISE.len() * buffer.traps().len();
    let (Ok(start), Ok(_)) = (u32::try_from(start), u32::try_from(most)) else {
        return Err("the module's code exceeds 4 GiB".to_string());
    };
    for reloc in buffer.relocs() {
        let target = match &reloc.target {
            FinalizedRelocTarget::ExternalName(ExternalName::User(name)) => {
                Some(context.func.params.user_named_funcs()[*name].index)
            }
            _ => None,
        };
        match (reloc.kind, reloc.addend, target) {
            (Reloc::X86CallPCRel4, -4, Some(function))
                if function >= unit.info.imported_functions =>
            {
                out.relocations.push(Relocation { offset: start + reloc.offset, function });
            }
            _ => {
                let target = reloc.target.display(Some(&context.func.params));
                return Err(format!("its code refers to {target} ({:?})", reloc.kind));
            }
        }
    }
    let locations = buffer.get_srclocs_sorted();
    // What stands for no operator is the prologue.
    let first = body.operators().original_position() as u32;
    let position = |offset: u32| location_at(locations, offset).unwrap_or(first);
    let first_trap = out.traps.len();
    for trap in buffer.traps() {
        let Some(code) = from_clif(trap.code) else {
            return Err(format!("its code traps with the unknown code {}", trap.code));
        };
        let own = location_at(locations, trap.offset);
        // A position for now.
        let wasm_offset = match access_of(trap.code) {
            Some(access) => {
                let near = location_before(locations, trap.offset).unwrap_or(first);
                origins.position_of(access, own, near)
            }
            None => own.unwrap_or(first),
        };
        out.traps.push(TrapSite { offset: start + trap.offset, code, wasm_offset });
    }
    let first_call = out.calls.len();
    for call in buffer.call_sites() {
        let wasm_offset = position(call.ret_addr - 1);
        out.calls.push(CallSite { return_offset: start + call.ret_addr, wasm_offset });
    }
    origins.locate_calls(&mut out.calls[first_call..]);
    if record_operators {
        let operators = out.operators.get_or_insert_default();
        let mut last = SourceLoc::default();
        for location in locations.iter().filter(|location| !location.loc.is_default()) {
            if location.loc != last {
                last = location.loc;
                let (wasm_offset, _) = origins.locate(last.bits());
                let offset = start + location.start.saturating_sub(skipped);
                operators.push(OperatorStart { offset, wasm_offset });
            }
        }
    }
    out.bytes.resize(start as usize, 0xcc);
    match bare {
        Some(bare) => out.bytes.extend(bare.iter().chain(&RETURN)),
        None => out.bytes.extend_from_slice(buffer.data()),
    }
    raise_without_signals(&mut out.bytes, &mut out.traps[first_trap..]);
    origins.locate_traps(&mut out.traps[first_trap..], &mut out.inlined);
    let made = Made {
        calls: out.calls.len() > first_call,
        traps: out.traps.len() > first_trap,
        reads_context: reads_context(&context.func),
    };
    out.functions.push(CompiledFunction {
        function: body.function,
        code: start..out.bytes.len() as u32,
        frameless: bare.is_some(),
        tier: Some(Tier::Cranelift),
        plain: plain(body, facts, &made),
    });
    Ok(())
}

/// Makes the trap sites of the last function that are instructions for nothing else call the trap
/// routine, as those of the baseline tier do: a signal takes eighty times as long. There is room for a
/// short jump to such a call behind the function; where that lies too far away the signal stays. So it
/// does for overflows of the stack, which may leave no room for the routine.
fn raise_without_signals(bytes: &mut Vec<u8>, traps: &mut [TrapSite]) {
    for trap in &mut *traps {
        let at = trap.offset as usize;
        if !bytes[at..].starts_with(&UNDEFINED) {
            continue;
        }
        let next = at + UNDEFINED.len();
        let distance = i8::try_from(bytes.len() - next).ok();
        let site = match distance.filter(|_| trap.code != TrapCode::StackOverflow) {
            Some(distance) => {
                trap.offset = bytes.len() as u32;
                bytes.extend_from_slice(&RAISE);
                [JUMP_SHORT, distance as u8]
            }
            None => HALT,
        };
        bytes[at..next].copy_from_slice(&site);
    }
    traps.sort_unstable_by_key(|trap| trap.offset);
}

/// The source location of the instruction at this offset.
fn location_at(locations: &[MachSrcLoc<Final>], offset: u32) -> Option<u32> {
    let after = locations.partition_point(|location| location.start <= offset);
    let location = locations[..after].last()?;
    (offset < location.end && !location.loc.is_default()).then(|| location.loc.bits())
}

/// That of the last instruction before this offset that has one.
fn location_before(locations: &[MachSrcLoc<Final>], offset: u32) -> Option<u32> {
    let after = locations.partition_point(|location| location.start <= offset);
    let mut before = locations[..after].iter().rev().map(|location| location.loc);
    before.find(|loc| !loc.is_default()).map(SourceLoc::bits)
}
