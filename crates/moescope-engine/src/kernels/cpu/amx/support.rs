//! Whether this machine and its system let a program use tile registers.

use std::{
    arch::x86_64::{__cpuid, __cpuid_count, _xgetbv},
    sync::OnceLock,
};

/// CPUID leaf 7, EDX: products of bf16 tiles, and tiles at all.
const AMX_BF16: u32 = 1 << 22;
const AMX_TILE: u32 = 1 << 24;
/// CPUID leaf 1, ECX: the system saves extended registers.
const OSXSAVE: u32 = 1 << 27;
/// XCR0: the system saves tile configuration and tile data.
const TILE_STATE: u64 = 0b11 << 17;

/// Whether tile products may be used: the processor has them, the system saves them, and this process was let.
pub(in super::super) fn is_available() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| has_instructions() && system_saves_tiles() && is_permitted())
}

fn has_instructions() -> bool {
    if __cpuid(0).eax < 7 {
        return false;
    }
    let wanted = AMX_BF16 | AMX_TILE;
    __cpuid_count(7, 0).edx & wanted == wanted
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
}

fn system_saves_tiles() -> bool {
    #[target_feature(enable = "xsave")]
    unsafe fn enabled_state() -> u64 {
        // SAFETY: the caller has seen that the system turned extended states on.
        unsafe { _xgetbv(0) }
    }
    if __cpuid(1).ecx & OSXSAVE == 0 || !is_x86_feature_detected!("xsave") {
        return false;
    }
    // SAFETY: OSXSAVE says that XGETBV may be used.
    unsafe { enabled_state() & TILE_STATE == TILE_STATE }
}

/// Linux lets a process use tile data once it has asked (Documentation/arch/x86/xstate.rst of the kernel).
fn is_permitted() -> bool {
    #[cfg(target_os = "linux")]
    {
        const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
        const XFEATURE_XTILEDATA: libc::c_long = 18;
        // SAFETY: the call takes two numbers and changes nothing but this process's permission.
        let result = unsafe {
            libc::syscall(
                libc::SYS_arch_prctl,
                ARCH_REQ_XCOMP_PERM,
                XFEATURE_XTILEDATA,
            )
        };
        result == 0
    }
    #[cfg(not(target_os = "linux"))]
    {
        false
    }
}
