//! Polling for interruption, in engines that ask for it: at loop headers, and where a function starts
//! that makes calls. So every path that can be endless comes by again and again.

use super::Compiler;
use super::cold::What;
use crate::asm::{Alu, Cond, Gpr, Label, Mem, Size};
use crate::compile::abi::{BUILTINS, Builtin, SCRATCH, STOP, THREAD, VERDICT, VMCTX};
use crate::error::TrapCode;

/// How far below rsp a function without calls may have something.
const RED_ZONE: i32 = 128;

impl Compiler {
    /// Ends the guest here if it is to end. Clobbers the flags.
    pub(super) fn poll(&mut self) {
        if !self.options.polls {
            return;
        }
        self.reads_context = true;
        self.zero_flag = None;
        self.asm.mov_rm(Size::S64, SCRATCH, Mem::base(VMCTX, THREAD));
        self.asm.alu_mi(Alu::Cmp, Size::S32, Mem::base(SCRATCH, STOP), 0);
        let back = self.asm.new_label();
        self.jump_to_cold(Cond::Ne, What::Poll { back });
        self.bind_inside(back);
    }

    /// Asks whether the guest is to end, which may have been meant for another.
    pub(super) fn emit_poll(&mut self, back: Label, wasm_offset: u32) {
        self.asm.lea(Size::S64, Gpr::Rsp, Mem::base(Gpr::Rsp, -RED_ZONE));
        self.asm.mov_rm(Size::S64, SCRATCH, Mem::base(VMCTX, BUILTINS));
        self.asm.call_m(Mem::base(SCRATCH, Builtin::Poll.offset()));
        self.asm.lea(Size::S64, Gpr::Rsp, Mem::base(Gpr::Rsp, RED_ZONE));
        self.asm.mov_rm(Size::S64, SCRATCH, Mem::base(VMCTX, THREAD));
        self.asm.alu_mi(Alu::Cmp, Size::S32, Mem::base(SCRATCH, VERDICT), 0);
        self.asm.jcc(Cond::E, back);
        self.emit_trap(TrapCode::Interrupted, wasm_offset);
    }
}
