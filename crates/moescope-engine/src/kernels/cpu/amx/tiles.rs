//! The tile registers: their shapes, and one product of two tiles of weights with one or two tiles of activations.
//!
//! Tile registers hold 16 rows of 64 bytes. A product adds `A [16, 32] · B [32, c]` to `C [16, c]`: A are 16 rows of
//! weights as they lie in memory (bf16), B are 32 inputs of c tokens with two neighbouring inputs side by side, C is f32.

use std::{arch::asm, marker::PhantomData};

/// Rows of a tile: outputs of a tile of weights.
pub(super) const TILE_ROWS: usize = 16;
/// Inputs that one product takes.
pub(super) const TILE_INPUTS: usize = 32;
/// Tokens of a full tile of activations.
pub(super) const TILE_TOKENS: usize = 16;
/// f32 values of a tile of results, whose rows are always 16 apart.
pub(super) const TILE_VALUES: usize = TILE_ROWS * TILE_TOKENS;

/// Four tiles of results: weights tile 0 and 1 with the first tile of tokens, then with the second.
#[derive(Clone)]
#[repr(C, align(64))]
pub(super) struct Results(pub(super) [f32; 4 * TILE_VALUES]);

impl Results {
    pub(super) const ZERO: Self = Self([0.0; 4 * TILE_VALUES]);

    /// One of the four tiles, `[16, 16]`.
    pub(super) fn tile(&self, number: usize) -> &[f32; TILE_VALUES] {
        self.0[number * TILE_VALUES..(number + 1) * TILE_VALUES]
            .try_into()
            .expect("a tile of values")
    }
}

/// Two tiles of weights.
#[derive(Clone, Copy)]
pub(super) struct WeightTiles {
    /// First row of each tile.
    pub(super) tiles: [*const u8; 2],
    /// Bytes from a row to the next.
    pub(super) row_stride: usize,
    /// Bytes from 32 inputs to the next 32.
    pub(super) step: usize,
}

/// One or two tiles of activations.
#[derive(Clone, Copy)]
pub(super) struct TokenTiles {
    pub(super) tiles: [*const u32; 2],
    /// Tokens of each; the second may be 0.
    pub(super) tokens: [usize; 2],
}

/// The tile registers of this thread, shaped for given numbers of tokens; released when it is dropped.
pub(super) struct TileUnit {
    tokens: [usize; 2],
    /// The registers belong to one thread.
    not_send: PhantomData<*const ()>,
}

#[repr(C, align(64))]
struct Shapes([u8; 64]);

impl TileUnit {
    /// Takes the registers.
    ///
    /// # Safety
    /// `support::is_available` has said yes, and no other unit lives on this thread.
    pub(super) unsafe fn new() -> Self {
        Self {
            tokens: [0; 2],
            not_send: PhantomData,
        }
    }

    /// Shapes the registers: 0, 1 results of the first tokens, 2, 3 of the second, 4, 5 weights, 6, 7 activations.
    fn shape(&mut self, tokens: [usize; 2]) {
        if self.tokens == tokens {
            return;
        }
        let mut shapes = Shapes([0; 64]);
        // Palette 1; bytes per row as 16-bit numbers from byte 16, rows from byte 48.
        shapes.0[0] = 1;
        // A register that is not used still needs a legal shape.
        let bytes =
            tokens.map(|tokens| u8::try_from(4 * tokens.max(1)).expect("at most 16 tokens"));
        for (register, bytes) in [
            bytes[0], bytes[0], bytes[1], bytes[1], 64, 64, bytes[0], bytes[1],
        ]
        .into_iter()
        .enumerate()
        {
            shapes.0[16 + 2 * register] = bytes;
            shapes.0[48 + register] = 16;
        }
        // SAFETY: the unit exists, so tiles are available; the shapes are legal for palette 1.
        unsafe { asm!("ldtilecfg [{}]", in(reg) shapes.0.as_ptr(), options(nostack, readonly)) };
        self.tokens = tokens;
    }

    /// results += weights · activations over `steps` times 32 inputs; each step of activations has `PIECES` tiles, which
    /// are added in turn.
    ///
    /// # Safety
    /// Every weight pointer reads 16 rows of 64 bytes per step, every activation pointer `PIECES` tiles per step.
    pub(super) unsafe fn multiply<const PIECES: usize>(
        &mut self,
        weights: WeightTiles,
        activations: TokenTiles,
        steps: usize,
        results: &mut Results,
    ) {
        self.shape(activations.tokens);
        // SAFETY: the registers are shaped as `shape` says, and the caller gives readable memory.
        unsafe {
            if activations.tokens[1] == 0 {
                one_tile::<PIECES>(weights, activations, steps, results);
            } else {
                two_tiles::<PIECES>(weights, activations, steps, results);
            }
        }
    }
}

/// Two tiles of weights with one tile of tokens.
///
/// # Safety
/// As for [`TileUnit::multiply`], with the registers shaped.
unsafe fn one_tile<const PIECES: usize>(
    weights: WeightTiles,
    activations: TokenTiles,
    steps: usize,
    results: &mut Results,
) {
    let [w0, w1] = weights.tiles;
    // SAFETY: by the contract; a tile of activations is 16 rows of s0 bytes, and tiles follow each other.
    unsafe {
        asm!(
            "mov {p:e}, 64",
            "tileloadd tmm0, [{o} + {p}*1]",
            "tileloadd tmm1, [{o} + {p}*1 + 1024]",
            "2:",
            "tileloadd tmm4, [{w0} + {ws}*1]",
            "tileloadd tmm5, [{w1} + {ws}*1]",
            "mov {p:e}, {pieces}",
            "3:",
            "tileloadd tmm6, [{x0} + {s0}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm5, tmm6",
            "lea {x0}, [{x0} + {s0}*8]",
            "lea {x0}, [{x0} + {s0}*8]",
            "dec {p:e}",
            "jnz 3b",
            "add {w0}, {step}",
            "add {w1}, {step}",
            "dec {k}",
            "jnz 2b",
            "mov {s0:e}, 64",
            "tilestored [{o} + {s0}*1], tmm0",
            "tilestored [{o} + {s0}*1 + 1024], tmm1",
            w0 = inout(reg) w0 => _,
            w1 = inout(reg) w1 => _,
            ws = in(reg) weights.row_stride,
            step = in(reg) weights.step,
            x0 = inout(reg) activations.tiles[0] => _,
            s0 = inout(reg) 4 * activations.tokens[0] => _,
            k = inout(reg) steps => _,
            p = out(reg) _,
            o = in(reg) results.0.as_mut_ptr(),
            pieces = const PIECES,
            out("tmm0") _, out("tmm1") _, out("tmm4") _, out("tmm5") _, out("tmm6") _,
            options(nostack),
        );
    }
}

/// Two tiles of weights with two tiles of tokens.
///
/// # Safety
/// As for [`TileUnit::multiply`], with the registers shaped.
unsafe fn two_tiles<const PIECES: usize>(
    weights: WeightTiles,
    activations: TokenTiles,
    steps: usize,
    results: &mut Results,
) {
    let [w0, w1] = weights.tiles;
    let [x0, x1] = activations.tiles;
    let [s0, s1] = activations.tokens.map(|tokens| 4 * tokens);
    // SAFETY: as above.
    unsafe {
        asm!(
            "mov {p:e}, 64",
            "tileloadd tmm0, [{o} + {p}*1]",
            "tileloadd tmm1, [{o} + {p}*1 + 1024]",
            "tileloadd tmm2, [{o} + {p}*1 + 2048]",
            "tileloadd tmm3, [{o} + {p}*1 + 3072]",
            "2:",
            "tileloadd tmm4, [{w0} + {ws}*1]",
            "tileloadd tmm5, [{w1} + {ws}*1]",
            "mov {p:e}, {pieces}",
            "3:",
            "tileloadd tmm6, [{x0} + {s0}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm5, tmm6",
            "tileloadd tmm7, [{x1} + {s1}*1]",
            "tdpbf16ps tmm2, tmm4, tmm7",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "lea {x0}, [{x0} + {s0}*8]",
            "lea {x0}, [{x0} + {s0}*8]",
            "lea {x1}, [{x1} + {s1}*8]",
            "lea {x1}, [{x1} + {s1}*8]",
            "dec {p:e}",
            "jnz 3b",
            "add {w0}, {step}",
            "add {w1}, {step}",
            "dec {k}",
            "jnz 2b",
            "mov {s0:e}, 64",
            "tilestored [{o} + {s0}*1], tmm0",
            "tilestored [{o} + {s0}*1 + 1024], tmm1",
            "tilestored [{o} + {s0}*1 + 2048], tmm2",
            "tilestored [{o} + {s0}*1 + 3072], tmm3",
            w0 = inout(reg) w0 => _,
            w1 = inout(reg) w1 => _,
            ws = in(reg) weights.row_stride,
            step = in(reg) weights.step,
            x0 = inout(reg) x0 => _,
            s0 = inout(reg) s0 => _,
            x1 = inout(reg) x1 => _,
            s1 = in(reg) s1,
            k = inout(reg) steps => _,
            p = out(reg) _,
            o = in(reg) results.0.as_mut_ptr(),
            pieces = const PIECES,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _, out("tmm4") _,
            out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

impl Drop for TileUnit {
    fn drop(&mut self) {
        // SAFETY: the unit exists, so tiles are available; nothing of this thread uses them any more.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}
