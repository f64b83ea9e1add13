//! The exact bytes of every instruction form, and how they read.

use super::super::vector::*;
use super::*;
use Alu::*;
use Cond::*;
use FloatSize::*;
use Gpr::*;
use Rounding::*;
use Scale::*;
use Shift::*;
use Size::*;
use Xmm::*;

fn m(base: Gpr, disp: i32) -> Mem {
    Mem::base(base, disp)
}

fn mx(base: Gpr, index: Gpr, scale: Scale, disp: i32) -> Mem {
    Mem::indexed(base, index, scale, disp)
}

fn mi(index: Gpr, scale: Scale, disp: i32) -> Mem {
    Mem::index_only(index, scale, disp)
}

/// One test per table. A row is a call, its bytes and its disassembly.
macro_rules! golden {
    ($table:ident $($method:ident ($($operand:expr),*) $bytes:literal $text:literal;)*) => {
        #[test]
        fn $table() {
            $(
                let code = assemble(|a| {
                    let _ = a.$method($($operand),*);
                });
                let call = stringify!($method($($operand),*));
                assert_eq!(hex(&code), $bytes, "{call}");
                if !cfg!(miri) {
                    assert_eq!(disassemble(&code), $text, "{call}");
                }
            )*
        }
    };
}

golden! { arithmetic_and_logic
    alu8_rr(Add, Rbx, Rsi) "40 00 F3" "add bl,sil";
    alu8_rr(Or, Rdi, R9) "44 08 CF" "or dil,r9b";
    alu_rr(Adc, S32, Rdx, Rcx) "11 CA" "adc edx,ecx";
    alu_rr(Sbb, S64, R8, R15) "4D 19 F8" "sbb r8,r15";
    alu_rr(And, S64, Rsp, Rbp) "48 21 EC" "and rsp,rbp";
    alu_rr(Sub, S32, R14, Rdi) "41 29 FE" "sub r14d,edi";
    alu_rr(Xor, S64, Rax, R12) "4C 31 E0" "xor rax,r12";
    alu_rr(Cmp, S32, R9, R13) "45 39 E9" "cmp r9d,r13d";
    alu_ri(Add, S32, Rax, 127) "83 C0 7F" "add eax,7Fh";
    alu_ri(Add, S32, Rax, 128) "05 80 00 00 00" "add eax,80h";
    alu_ri(Sub, S32, Rbx, -128) "83 EB 80" "sub ebx,0FFFFFF80h";
    alu_ri(Sub, S32, Rbx, -129) "81 EB 7F FF FF FF" "sub ebx,0FFFFFF7Fh";
    alu_ri(Cmp, S64, Rax, 0x12345678) "48 3D 78 56 34 12" "cmp rax,12345678h";
    alu_ri(And, S64, R13, -16) "49 83 E5 F0" "and r13,0FFFFFFFFFFFFFFF0h";
    alu_ri(Adc, S64, Rdi, i32::MIN) "48 81 D7 00 00 00 80" "adc rdi,0FFFFFFFF80000000h";
    alu_rm(Cmp, S32, R8, m(R12, 0)) "45 3B 04 24" "cmp r8d,[r12]";
    alu_rm(Sub, S64, Rax, m(R13, 0)) "49 2B 45 00" "sub rax,[r13]";
    alu_mr(Add, S32, mx(Rax, Rcx, X4, 0x100), R15) "44 01 BC 88 00 01 00 00" "add [rax+rcx*4+100h],r15d";
    alu_mr(Sbb, S64, m(Rbp, 0), Rbx) "48 19 5D 00" "sbb [rbp],rbx";
    alu_mi(Sub, S32, m(R14, 128), 8) "41 83 AE 80 00 00 00 08" "sub dword [r14+80h],8";
    alu_mi(Or, S64, m(Rsp, -128), 0x12345678) "48 81 4C 24 80 78 56 34 12" "or qword [rsp-80h],12345678h";
    test_rr(S32, Rdi, Rdi) "85 FF" "test edi,edi";
    test_rr(S64, R10, Rbx) "49 85 DA" "test r10,rbx";
    test_ri(S8, Rax, 1) "A8 01" "test al,1";
    test_ri(S16, Rax, 0x102) "66 A9 02 01" "test ax,102h";
    test_ri(S32, Rax, 1) "A9 01 00 00 00" "test eax,1";
    test_ri(S64, Rax, -1) "48 A9 FF FF FF FF" "test rax,0FFFFFFFFFFFFFFFFh";
    test_ri(S8, Rdi, 0x80) "40 F6 C7 80" "test dil,80h";
    test_ri(S16, Rdx, 3) "66 F7 C2 03 00" "test dx,3";
    test_ri(S32, R9, 0x10000) "41 F7 C1 00 00 01 00" "test r9d,10000h";
    test_ri(S64, Rcx, 7) "48 F7 C1 07 00 00 00" "test rcx,7";
    test_mi(S8, m(R8, 0), 4) "41 F6 00 04" "test byte [r8],4";
    test_mi(S16, m(R8, 0), 4) "66 41 F7 00 04 00" "test word [r8],4";
    test_mi(S32, m(Rbp, 4), 4) "F7 45 04 04 00 00 00" "test dword [rbp+4],4";
    test_mi(S64, mi(Rcx, X8, 0), 4) "48 F7 04 CD 00 00 00 00 04 00 00 00" "test qword [rcx*8],4";
    imul_rr(S32, R9, Rax) "44 0F AF C8" "imul r9d,eax";
    imul_rr(S64, Rbx, R14) "49 0F AF DE" "imul rbx,r14";
    imul_rm(S32, Rcx, m(Rdi, 16)) "0F AF 4F 10" "imul ecx,[rdi+10h]";
    imul_rm(S64, R8, m(R15, 16)) "4D 0F AF 47 10" "imul r8,[r15+10h]";
    imul_rri(S32, Rax, R8, 10) "41 6B C0 0A" "imul eax,r8d,0Ah";
    imul_rri(S32, R8, Rax, 1000) "44 69 C0 E8 03 00 00" "imul r8d,eax,3E8h";
    imul_rri(S64, Rdx, Rdx, -128) "48 6B D2 80" "imul rdx,0FFFFFFFFFFFFFF80h";
    imul_rri(S64, Rdx, Rsi, 128) "48 69 D6 80 00 00 00" "imul rdx,rsi,80h";
    mul_r(S32, Rcx) "F7 E1" "mul ecx";
    mul_r(S64, R11) "49 F7 E3" "mul r11";
    div_r(S32, R8) "41 F7 F0" "div r8d";
    div_r(S64, Rbx) "48 F7 F3" "div rbx";
    idiv_r(S32, Rdi) "F7 FF" "idiv edi";
    idiv_r(S64, R13) "49 F7 FD" "idiv r13";
    neg_r(S64, Rax) "48 F7 D8" "neg rax";
    not_r(S32, R12) "41 F7 D4" "not r12d";
    sign_extend_acc(S32) "99" "cdq";
    sign_extend_acc(S64) "48 99" "cqo";
}

golden! { moves
    mov_rr(S32, Rax, Rax) "89 C0" "mov eax,eax";
    mov_rr(S64, R15, Rsp) "49 89 E7" "mov r15,rsp";
    mov_ri(S32, Rax, 0) "B8 00 00 00 00" "mov eax,0";
    mov_ri(S32, R8, -1) "41 B8 FF FF FF FF" "mov r8d,0FFFFFFFFh";
    mov_ri(S64, Rcx, 0xFFFF_FFFF) "B9 FF FF FF FF" "mov ecx,0FFFFFFFFh";
    mov_ri(S64, R14, 1) "41 BE 01 00 00 00" "mov r14d,1";
    mov_ri(S64, Rax, -1) "48 C7 C0 FF FF FF FF" "mov rax,0FFFFFFFFFFFFFFFFh";
    mov_ri(S64, R9, -0x8000_0000) "49 C7 C1 00 00 00 80" "mov r9,0FFFFFFFF80000000h";
    mov_ri(S64, Rdx, 0x1_0000_0000) "48 BA 00 00 00 00 01 00 00 00" "mov rdx,100000000h";
    mov_ri(S64, R12, -0x8000_0001) "49 BC FF FF FF 7F FF FF FF FF" "mov r12,0FFFFFFFF7FFFFFFFh";
    mov_ri(S64, Rbx, 0x1122_3344_5566_7788) "48 BB 88 77 66 55 44 33 22 11" "mov rbx,1122334455667788h";
    zero(Rax) "31 C0" "xor eax,eax";
    zero(R11) "45 31 DB" "xor r11d,r11d";
    mov_rm(S32, Rcx, mx(Rdx, R8, X2, -4)) "42 8B 4C 42 FC" "mov ecx,[rdx+r8*2-4]";
    mov_rm(S64, R9, mi(R12, X4, 0x20)) "4E 8B 0C A5 20 00 00 00" "mov r9,[r12*4+20h]";
    mov_mr(S8, m(Rax, 0), Rsp) "40 88 20" "mov [rax],spl";
    mov_mr(S8, m(Rax, 0), Rdx) "88 10" "mov [rax],dl";
    mov_mr(S16, m(R13, 8), R13) "66 45 89 6D 08" "mov [r13+8],r13w";
    mov_mr(S32, mx(R12, R12, X8, 0), Rax) "43 89 04 E4" "mov [r12+r12*8],eax";
    mov_mr(S64, m(Rsp, 0x1000), Rdi) "48 89 BC 24 00 10 00 00" "mov [rsp+1000h],rdi";
    mov_mi(S8, m(Rcx, 0), -1) "C6 01 FF" "mov byte [rcx],0FFh";
    mov_mi(S16, m(Rcx, 0), 0x1234) "66 C7 01 34 12" "mov word [rcx],1234h";
    mov_mi(S32, m(R9, 0x80), 0x12345678) "41 C7 81 80 00 00 00 78 56 34 12" "mov dword [r9+80h],12345678h";
    mov_mi(S64, mx(Rbp, Rbp, X1, 0), -1) "48 C7 44 2D 00 FF FF FF FF" "mov qword [rbp+rbp],0FFFFFFFFFFFFFFFFh";
    movzx_rr(Rax, Rbx, S8) "0F B6 C3" "movzx eax,bl";
    movzx_rr(Rcx, Rdi, S8) "40 0F B6 CF" "movzx ecx,dil";
    movzx_rr(R8, R9, S8) "45 0F B6 C1" "movzx r8d,r9b";
    movzx_rr(Rsi, Rdx, S16) "0F B7 F2" "movzx esi,dx";
    movzx_rr(Rax, R8, S32) "44 89 C0" "mov eax,r8d";
    movzx_rr(Rax, R8, S64) "4C 89 C0" "mov rax,r8";
    movzx_rm(Rdi, m(Rax, 0), S8) "0F B6 38" "movzx edi,byte [rax]";
    movzx_rm(R15, m(R12, 2), S16) "45 0F B7 7C 24 02" "movzx r15d,word [r12+2]";
    movzx_rm(Rax, m(Rbp, 0), S32) "8B 45 00" "mov eax,[rbp]";
    movzx_rm(Rax, m(Rbp, 0), S64) "48 8B 45 00" "mov rax,[rbp]";
    movsx_rr(S32, Rax, Rbp, S8) "40 0F BE C5" "movsx eax,bpl";
    movsx_rr(S64, R8, Rbx, S8) "4C 0F BE C3" "movsx r8,bl";
    movsx_rr(S32, Rdi, Rsi, S16) "0F BF FE" "movsx edi,si";
    movsx_rr(S64, Rcx, R10, S16) "49 0F BF CA" "movsx rcx,r10w";
    movsx_rr(S64, R14, Rax, S32) "4C 63 F0" "movsxd r14,eax";
    movsx_rm(S32, Rdx, m(Rcx, 0), S8) "0F BE 11" "movsx edx,byte [rcx]";
    movsx_rm(S64, R9, m(Rcx, 0), S8) "4C 0F BE 09" "movsx r9,byte [rcx]";
    movsx_rm(S32, Rbx, m(R8, -8), S16) "41 0F BF 58 F8" "movsx ebx,word [r8-8]";
    movsx_rm(S64, Rbx, m(R8, -8), S16) "49 0F BF 58 F8" "movsx rbx,word [r8-8]";
    movsx_rm(S64, Rax, mx(Rdi, Rsi, X1, 0), S32) "48 63 04 37" "movsxd rax,[rdi+rsi]";
    lea(S32, Rax, m(Rdi, -1)) "8D 47 FF" "lea eax,[rdi-1]";
    lea(S64, R8, mx(Rbp, R13, X8, 0)) "4E 8D 44 ED 00" "lea r8,[rbp+r13*8]";
    lea(S64, Rsp, m(Rsp, 0x88)) "48 8D A4 24 88 00 00 00" "lea rsp,[rsp+88h]";
    lea(S32, Rcx, mx(R13, Rax, X1, 0)) "42 8D 0C 28" "lea ecx,[rax+r13]";
    lea(S64, Rcx, mx(R13, Rax, X2, 0)) "49 8D 4C 45 00" "lea rcx,[r13+rax*2]";
    lea(S64, Rax, mi(Rdx, X1, 3)) "48 8D 42 03" "lea rax,[rdx+3]";
    lea(S64, Rax, mi(Rdx, X2, 3)) "48 8D 44 12 03" "lea rax,[rdx+rdx+3]";
    lea(S64, Rax, mi(Rdx, X8, 3)) "48 8D 04 D5 03 00 00 00" "lea rax,[rdx*8+3]";
    xchg_rr(S32, Rax, Rax) "87 C0" "xchg eax,eax";
    xchg_rr(S32, Rcx, Rdx) "87 D1" "xchg edx,ecx";
    xchg_rr(S64, Rax, R8) "49 90" "xchg r8,rax";
    xchg_rr(S64, R9, Rbx) "49 87 D9" "xchg rbx,r9";
    setcc(E, Rax) "0F 94 C0" "sete al";
    setcc(Np, Rsi) "40 0F 9B C6" "setnp sil";
    setcc(A, R12) "41 0F 97 C4" "seta r12b";
    cmov_rr(B, S32, R8, Rdi) "44 0F 42 C7" "cmovb r8d,edi";
    cmov_rr(G, S64, Rdx, R11) "49 0F 4F D3" "cmovg rdx,r11";
    cmov_rm(Ns, S32, Rcx, m(Rax, 4)) "0F 49 48 04" "cmovns ecx,[rax+4]";
    cmov_rm(O, S64, R10, m(Rax, 4)) "4C 0F 40 50 04" "cmovo r10,[rax+4]";
}

golden! { shifts_and_bits
    shift_ri(Ror, S32, R9, 1) "41 D1 C9" "ror r9d,1";
    shift_ri(Shr, S32, Rcx, 31) "C1 E9 1F" "shr ecx,1Fh";
    shift_ri(Sar, S64, Rbx, 63) "48 C1 FB 3F" "sar rbx,3Fh";
    shift_ri(Shl, S64, R8, 0) "49 C1 E0 00" "shl r8,0";
    shift_cl(Shl, S32, R15) "41 D3 E7" "shl r15d,cl";
    shift_cl(Sar, S64, Rax) "48 D3 F8" "sar rax,cl";
    shlx(S32, Rax, Rbx, Rcx) "C4 E2 71 F7 C3" "shlx eax,ebx,ecx";
    shlx(S64, R8, R9, R10) "C4 42 A9 F7 C1" "shlx r8,r9,r10";
    shrx(S32, Rdi, R15, Rsi) "C4 C2 4B F7 FF" "shrx edi,r15d,esi";
    shrx(S64, Rdi, Rsi, R15) "C4 E2 83 F7 FE" "shrx rdi,rsi,r15";
    sarx(S32, R14, Rbp, Rsp) "C4 62 5A F7 F5" "sarx r14d,ebp,esp";
    sarx(S64, Rax, Rax, Rax) "C4 E2 FA F7 C0" "sarx rax,rax,rax";
    rorx(S32, Rcx, R8, 7) "C4 C3 7B F0 C8 07" "rorx ecx,r8d,7";
    rorx(S64, R11, Rdx, 63) "C4 63 FB F0 DA 3F" "rorx r11,rdx,3Fh";
    andn(S32, Rax, R8, Rcx) "C4 E2 38 F2 C1" "andn eax,r8d,ecx";
    andn(S64, R13, Rax, R12) "C4 42 F8 F2 EC" "andn r13,rax,r12";
    lzcnt(S32, Rax, Rcx) "F3 0F BD C1" "lzcnt eax,ecx";
    lzcnt(S64, R8, Rdi) "F3 4C 0F BD C7" "lzcnt r8,rdi";
    lzcnt_rm(S32, R9, m(Rbx, 0)) "F3 44 0F BD 0B" "lzcnt r9d,[rbx]";
    lzcnt_rm(S64, Rax, m(R8, 0)) "F3 49 0F BD 00" "lzcnt rax,[r8]";
    tzcnt(S32, Rsi, R10) "F3 41 0F BC F2" "tzcnt esi,r10d";
    tzcnt(S64, Rax, Rbx) "F3 48 0F BC C3" "tzcnt rax,rbx";
    tzcnt_rm(S32, Rax, mx(Rax, R9, X4, 4)) "F3 42 0F BC 44 88 04" "tzcnt eax,[rax+r9*4+4]";
    tzcnt_rm(S64, Rax, m(Rsp, 8)) "F3 48 0F BC 44 24 08" "tzcnt rax,[rsp+8]";
    popcnt(S32, R12, Rdx) "F3 44 0F B8 E2" "popcnt r12d,edx";
    popcnt(S64, Rdx, R12) "F3 49 0F B8 D4" "popcnt rdx,r12";
    popcnt_rm(S32, Rax, m(R12, 0)) "F3 41 0F B8 04 24" "popcnt eax,[r12]";
    popcnt_rm(S64, R15, m(Rbp, 0)) "F3 4C 0F B8 7D 00" "popcnt r15,[rbp]";
    bsr(S32, Rax, Rcx) "0F BD C1" "bsr eax,ecx";
    bsr(S64, R8, R9) "4D 0F BD C1" "bsr r8,r9";
    bsf(S32, R8, Rax) "44 0F BC C0" "bsf r8d,eax";
    bsf(S64, Rdi, Rsi) "48 0F BC FE" "bsf rdi,rsi";
    bswap(S32, Rdx) "0F CA" "bswap edx";
    bswap(S64, R14) "49 0F CE" "bswap r14";
}

golden! { stack_control_flow_and_padding
    call_r(Rax) "FF D0" "call rax";
    call_r(R10) "41 FF D2" "call r10";
    call_m(m(R14, 8)) "41 FF 56 08" "call qword [r14+8]";
    call_rel32_placeholder() "E8 00 00 00 00" "call 5";
    jmp_r(Rdx) "FF E2" "jmp rdx";
    jmp_r(R11) "41 FF E3" "jmp r11";
    jmp_m(mx(Rax, Rcx, X8, 0)) "FF 24 C8" "jmp qword [rax+rcx*8]";
    ret() "C3" "ret";
    ret_imm16(0x8010) "C2 10 80" "ret 8010h";
    push_r(Rbp) "55" "push rbp";
    push_r(R12) "41 54" "push r12";
    pop_r(Rdi) "5F" "pop rdi";
    pop_r(R15) "41 5F" "pop r15";
    push_m(m(Rsp, 16)) "FF 74 24 10" "push qword [rsp+10h]";
    push_m(m(R9, 0)) "41 FF 31" "push qword [r9]";
    pop_m(m(Rax, 0)) "8F 00" "pop qword [rax]";
    pop_m(m(R13, 300)) "41 8F 85 2C 01 00 00" "pop qword [r13+12Ch]";
    push_imm32(127) "6A 7F" "push 7Fh";
    push_imm32(-129) "68 7F FF FF FF" "push 0FFFFFFFFFFFFFF7Fh";
    ud2() "0F 0B" "ud2";
    int3() "CC" "int3";
    nop(0) "" "";
    nop(1) "90" "nop";
    nop(2) "66 90" "xchg ax,ax";
    nop(3) "0F 1F 00" "nop dword [rax]";
    nop(4) "0F 1F 40 00" "nop dword [rax]";
    nop(5) "0F 1F 44 00 00" "nop dword [rax+rax]";
    nop(6) "66 0F 1F 44 00 00" "nop word [rax+rax]";
    nop(7) "0F 1F 80 00 00 00 00" "nop dword [rax]";
    nop(8) "0F 1F 84 00 00 00 00 00" "nop dword [rax+rax]";
    nop(9) "66 0F 1F 84 00 00 00 00 00" "nop word [rax+rax]";
    nop(12) "66 0F 1F 84 00 00 00 00 00 0F 1F 00" "nop word [rax+rax]; nop dword [rax]";
}

golden! { scalar_floating_point
    vector(ADDSS, Xmm1, Xmm1, Xmm2) "F3 0F 58 CA" "addss xmm1,xmm2";
    vector(ADDSD, Xmm9, Xmm9, Xmm2) "F2 44 0F 58 CA" "addsd xmm9,xmm2";
    vector(ADDSS, Xmm8, Xmm8, m(Rax, 0)) "F3 44 0F 58 00" "addss xmm8,[rax]";
    vector(ADDSD, Xmm0, Xmm0, m(R12, 4)) "F2 41 0F 58 44 24 04" "addsd xmm0,[r12+4]";
    vector(SUBSS, Xmm3, Xmm3, Xmm10) "F3 41 0F 5C DA" "subss xmm3,xmm10";
    vector(SUBSD, Xmm15, Xmm15, Xmm15) "F2 45 0F 5C FF" "subsd xmm15,xmm15";
    vector(SUBSS, Xmm3, Xmm3, m(Rbp, 0)) "F3 0F 5C 5D 00" "subss xmm3,[rbp]";
    vector(SUBSD, Xmm3, Xmm3, m(R8, 0)) "F2 41 0F 5C 18" "subsd xmm3,[r8]";
    vector(MULSS, Xmm0, Xmm0, Xmm1) "F3 0F 59 C1" "mulss xmm0,xmm1";
    vector(MULSD, Xmm0, Xmm0, Xmm8) "F2 41 0F 59 C0" "mulsd xmm0,xmm8";
    vector(MULSS, Xmm9, Xmm9, mx(R9, R10, X4, 0)) "F3 47 0F 59 0C 91" "mulss xmm9,[r9+r10*4]";
    vector(MULSD, Xmm1, Xmm1, m(Rcx, 0)) "F2 0F 59 09" "mulsd xmm1,[rcx]";
    vector(DIVSS, Xmm12, Xmm12, Xmm1) "F3 44 0F 5E E1" "divss xmm12,xmm1";
    vector(DIVSD, Xmm1, Xmm1, Xmm0) "F2 0F 5E C8" "divsd xmm1,xmm0";
    vector(DIVSS, Xmm1, Xmm1, m(Rdx, 1)) "F3 0F 5E 4A 01" "divss xmm1,[rdx+1]";
    vector(DIVSD, Xmm1, Xmm1, m(Rdx, 0x80)) "F2 0F 5E 8A 80 00 00 00" "divsd xmm1,[rdx+80h]";
    vector(MINSS, Xmm5, Xmm5, Xmm6) "F3 0F 5D EE" "minss xmm5,xmm6";
    vector(MINSD, Xmm5, Xmm5, Xmm14) "F2 41 0F 5D EE" "minsd xmm5,xmm14";
    vector(MINSS, Xmm5, Xmm5, m(Rbx, 0)) "F3 0F 5D 2B" "minss xmm5,[rbx]";
    vector(MINSD, Xmm5, Xmm5, m(Rbx, 0)) "F2 0F 5D 2B" "minsd xmm5,[rbx]";
    vector(MAXSS, Xmm13, Xmm13, Xmm6) "F3 44 0F 5F EE" "maxss xmm13,xmm6";
    vector(MAXSD, Xmm7, Xmm7, Xmm6) "F2 0F 5F FE" "maxsd xmm7,xmm6";
    vector(MAXSS, Xmm7, Xmm7, m(Rsi, 0)) "F3 0F 5F 3E" "maxss xmm7,[rsi]";
    vector(MAXSD, Xmm7, Xmm7, m(Rdi, 0)) "F2 0F 5F 3F" "maxsd xmm7,[rdi]";
    sqrts_rr(F32, Xmm2, Xmm3) "F3 0F 51 D3" "sqrtss xmm2,xmm3";
    sqrts_rr(F64, Xmm8, Xmm9) "F2 45 0F 51 C1" "sqrtsd xmm8,xmm9";
    sqrts_rm(F32, Xmm2, m(R10, 0)) "F3 41 0F 51 12" "sqrtss xmm2,[r10]";
    sqrts_rm(F64, Xmm2, m(R11, 0)) "F2 41 0F 51 13" "sqrtsd xmm2,[r11]";
    ucomis_rr(F32, Xmm0, Xmm9) "41 0F 2E C1" "ucomiss xmm0,xmm9";
    ucomis_rr(F64, Xmm9, Xmm0) "66 44 0F 2E C8" "ucomisd xmm9,xmm0";
    ucomis_rm(F32, Xmm0, m(Rax, 0)) "0F 2E 00" "ucomiss xmm0,[rax]";
    ucomis_rm(F64, Xmm11, m(R14, 0)) "66 45 0F 2E 1E" "ucomisd xmm11,[r14]";
    cvtsi2s_rr(F32, S32, Xmm0, R8) "F3 41 0F 2A C0" "cvtsi2ss xmm0,r8d";
    cvtsi2s_rr(F32, S64, Xmm8, Rax) "F3 4C 0F 2A C0" "cvtsi2ss xmm8,rax";
    cvtsi2s_rr(F64, S32, Xmm1, Rbx) "F2 0F 2A CB" "cvtsi2sd xmm1,ebx";
    cvtsi2s_rr(F64, S64, Xmm1, R15) "F2 49 0F 2A CF" "cvtsi2sd xmm1,r15";
    cvtsi2s_rm(F32, S32, Xmm2, m(Rsp, 8)) "F3 0F 2A 54 24 08" "cvtsi2ss xmm2,dword [rsp+8]";
    cvtsi2s_rm(F64, S64, Xmm2, m(Rsp, 8)) "F2 48 0F 2A 54 24 08" "cvtsi2sd xmm2,qword [rsp+8]";
    cvtts2si_rr(F32, S32, Rax, Xmm1) "F3 0F 2C C1" "cvttss2si eax,xmm1";
    cvtts2si_rr(F32, S64, R8, Xmm1) "F3 4C 0F 2C C1" "cvttss2si r8,xmm1";
    cvtts2si_rr(F64, S32, Rdi, Xmm11) "F2 41 0F 2C FB" "cvttsd2si edi,xmm11";
    cvtts2si_rr(F64, S64, Rcx, Xmm12) "F2 49 0F 2C CC" "cvttsd2si rcx,xmm12";
    cvtts2si_rm(F32, S64, Rcx, m(Rdx, 0)) "F3 48 0F 2C 0A" "cvttss2si rcx,[rdx]";
    cvtts2si_rm(F64, S32, R9, m(Rdx, 0)) "F2 44 0F 2C 0A" "cvttsd2si r9d,[rdx]";
    cvtss2sd_rr(Xmm1, Xmm2) "F3 0F 5A CA" "cvtss2sd xmm1,xmm2";
    cvtss2sd_rm(Xmm10, m(Rax, 0)) "F3 44 0F 5A 10" "cvtss2sd xmm10,[rax]";
    cvtsd2ss_rr(Xmm8, Xmm15) "F2 45 0F 5A C7" "cvtsd2ss xmm8,xmm15";
    cvtsd2ss_rm(Xmm1, m(R8, 0)) "F2 41 0F 5A 08" "cvtsd2ss xmm1,[r8]";
    rounds_rr(F32, Nearest, Xmm0, Xmm1) "66 0F 3A 0A C1 08" "roundss xmm0,xmm1,8";
    rounds_rr(F64, Down, Xmm8, Xmm1) "66 44 0F 3A 0B C1 09" "roundsd xmm8,xmm1,9";
    rounds_rm(F32, Up, Xmm0, m(R9, 0)) "66 41 0F 3A 0A 01 0A" "roundss xmm0,[r9],0Ah";
    rounds_rm(F64, Zero, Xmm0, m(Rax, 0x7F)) "66 0F 3A 0B 40 7F 0B" "roundsd xmm0,[rax+7Fh],0Bh";
}

golden! { sse_moves_and_bit_operations
    movaps_rr(Xmm0, Xmm1) "0F 28 C1" "movaps xmm0,xmm1";
    movaps_rr(Xmm9, Xmm8) "45 0F 28 C8" "movaps xmm9,xmm8";
    movaps_rm(Xmm9, m(Rsp, 16)) "44 0F 28 4C 24 10" "movaps xmm9,[rsp+10h]";
    movs_rm(F32, Xmm0, m(Rax, 0)) "F3 0F 10 00" "movss xmm0,[rax]";
    movs_rm(F64, Xmm13, mx(R15, Rax, X1, 8)) "F2 45 0F 10 6C 07 08" "movsd xmm13,[r15+rax+8]";
    movs_mr(F32, m(Rbp, -4), Xmm8) "F3 44 0F 11 45 FC" "movss [rbp-4],xmm8";
    movs_mr(F64, m(R12, 0), Xmm1) "F2 41 0F 11 0C 24" "movsd [r12],xmm1";
    movups_rm(Xmm4, m(Rdi, 0)) "0F 10 27" "movups xmm4,[rdi]";
    movups_mr(m(R9, 0), Xmm12) "45 0F 11 21" "movups [r9],xmm12";
    movd_xr(S32, Xmm0, Rax) "66 0F 6E C0" "movd xmm0,eax";
    movd_xr(S64, Xmm9, R10) "66 4D 0F 6E CA" "movq xmm9,r10";
    movd_rx(S32, R8, Xmm1) "66 41 0F 7E C8" "movd r8d,xmm1";
    movd_rx(S64, Rax, Xmm15) "66 4C 0F 7E F8" "movq rax,xmm15";
    andps_rr(Xmm1, Xmm2) "0F 54 CA" "andps xmm1,xmm2";
    andps_rm(Xmm1, m(R8, 0)) "41 0F 54 08" "andps xmm1,[r8]";
    andnps_rr(Xmm8, Xmm2) "44 0F 55 C2" "andnps xmm8,xmm2";
    andnps_rm(Xmm3, m(Rcx, 0)) "0F 55 19" "andnps xmm3,[rcx]";
    orps_rr(Xmm1, Xmm9) "41 0F 56 C9" "orps xmm1,xmm9";
    orps_rm(Xmm1, m(Rbx, 0)) "0F 56 0B" "orps xmm1,[rbx]";
    xorps_rr(Xmm15, Xmm15) "45 0F 57 FF" "xorps xmm15,xmm15";
    xorps_rm(Xmm0, m(Rdx, 0)) "0F 57 02" "xorps xmm0,[rdx]";
    movmskp(F32, Rax, Xmm1) "0F 50 C1" "movmskps eax,xmm1";
    movmskp(F64, R8, Xmm9) "66 45 0F 50 C1" "movmskpd r8d,xmm9";
}
