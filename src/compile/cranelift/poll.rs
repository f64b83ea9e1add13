//! Polling for interruption, in engines that ask for it: at loop headers, and where a function starts
//! that makes calls. So every path that can be endless comes by again and again.

use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Signature};
use cranelift_codegen::isa::CallConv;

use super::{Translator, machine};
use crate::compile::abi::{BUILTINS, Builtin, STOP, THREAD, VERDICT};
use crate::error::TrapCode;

impl Translator<'_> {
    /// Ends the guest here if it is to end.
    pub(super) fn poll(&mut self) {
        if !self.polls {
            return;
        }
        let vmctx = self.vmctx();
        let ins = &mut self.builder;
        let thread = ins.ins().load(I64, Self::constant(), vmctx, THREAD);
        let stop = ins.ins().iadd_imm_s(thread, i64::from(STOP));
        // An ordinary load could be taken out of the loop.
        let stop = ins.ins().atomic_load(I32, MemFlagsData::trusted(), stop);
        let (ask, next) = (ins.create_block(), ins.create_block());
        ins.set_cold_block(ask);
        ins.ins().brif(stop, ask, &[], next, &[]);
        ins.seal_block(ask);

        ins.switch_to_block(ask);
        let signature = match self.state.callees.poll {
            Some(signature) => signature,
            // Its argument is the pinned register.
            None => ins.import_signature(Signature::new(CallConv::PreserveAll)),
        };
        self.state.callees.poll = Some(signature);
        let builtins = ins.ins().load(I64, Self::constant(), vmctx, BUILTINS);
        let code = ins.ins().load(I64, Self::constant(), builtins, Builtin::Poll.offset());
        ins.ins().call_indirect(signature, code, &[]);
        let verdict = ins.ins().load(I32, MemFlagsData::trusted(), thread, VERDICT);
        ins.ins().trapnz(verdict, machine::to_clif(TrapCode::Interrupted));
        ins.ins().jump(next, &[]);
        ins.seal_block(next);
        ins.switch_to_block(next);
    }
}
