//! What checkpoints call their tensors.

/// Names of a family's tensors. `{}` in `layer` stands for the layer's number.
///
/// Names of matrices and norms are given without their ending; `.weight` and `.bias` follow. What stands in a layer is
/// given relative to the layer.
#[derive(Debug)]
pub(crate) struct TensorNames {
    /// Prefixes that all names may share, the usual one first.
    pub(crate) prefixes: &'static [&'static str],
    pub(crate) embed_tokens: &'static str,
    pub(crate) norm: &'static str,
    pub(crate) lm_head: &'static str,
    pub(crate) layer: &'static str,
    /// The norm before (or after) attention, and the one of the feed-forward part.
    pub(crate) norms: [&'static str; 2],
    pub(crate) attention: AttentionNames,
    /// The router's names, the published one first.
    pub(crate) router: &'static [&'static str],
    /// The bias for selection only; without an ending.
    pub(crate) correction_bias: &'static str,
    /// The layouts that routed experts may have, tried in this order.
    pub(crate) experts: &'static [ExpertNames],
    /// The feed-forward part of layers without a router.
    pub(crate) dense: GluNames,
    pub(crate) shared: GluNames,
    /// The gate of the shared expert.
    pub(crate) shared_gate: &'static str,
    /// The bias that is added to the sum of the experts; without an ending.
    pub(crate) feed_forward_bias: &'static str,
    /// Beginnings of tensors that checkpoints carry and no decoder needs.
    pub(crate) ignored: &'static [&'static str],
}

/// Names of an attention layer's tensors.
#[derive(Debug)]
pub(crate) struct AttentionNames {
    pub(crate) q: &'static str,
    pub(crate) k: &'static str,
    pub(crate) v: &'static str,
    pub(crate) o: &'static str,
    /// One matrix whose rows are queries, keys and values, instead of `q`, `k` and `v`.
    pub(crate) qkv: Option<&'static str>,
    pub(crate) q_norm: &'static str,
    pub(crate) k_norm: &'static str,
    /// One number per head; without an ending.
    pub(crate) sinks: &'static str,
    pub(crate) latent: LatentNames,
    pub(crate) heads: HeadMixtureNames,
}

/// Names of multi-head latent attention, beside `q` and `o`.
#[derive(Debug)]
pub(crate) struct LatentNames {
    pub(crate) q_a: &'static str,
    pub(crate) q_a_norm: &'static str,
    pub(crate) q_b: &'static str,
    pub(crate) kv_a: &'static str,
    pub(crate) kv_a_norm: &'static str,
    pub(crate) kv_b: &'static str,
}

/// Names of a mixture of attention heads.
#[derive(Debug)]
pub(crate) struct HeadMixtureNames {
    pub(crate) router: &'static str,
    /// `[E, kv_heads · D, H]`.
    pub(crate) input: &'static str,
    /// `[E, H, kv_heads · D]`.
    pub(crate) output: &'static str,
    /// `[H]`; without an ending.
    pub(crate) bias: &'static str,
    /// `[2 · kv_heads · D, H]`, keys first.
    pub(crate) kv: &'static str,
}

/// How a layer's routed experts are stored. Whole names, with endings.
#[derive(Debug)]
pub(crate) enum ExpertNames {
    /// gate, up, down of every expert; `{}` stands for the expert's number.
    Separate {
        prefix: &'static str,
        matrices: [&'static str; 3],
    },
    /// `[E, 2I, H]` gate rows first, and `[E, H, I]`.
    Fused {
        gate_up: &'static str,
        down: &'static str,
    },
    /// `[E, H, 2I]` and `[E, I, H]`, gate and up column by column in turn or one after the other; biases end in `_bias`.
    Transposed {
        gate_up: &'static str,
        down: &'static str,
        is_interleaved: bool,
    },
    /// gate, up `[E · I, H]` and down `[E · I, H]`, which is used untransposed.
    Flat([&'static str; 3]),
    /// Blocks of 32 four-bit floats with one exponent: `_blocks [E, 2I, H/32, 16]`, `_scales [E, 2I, H/32]`, gate and up
    /// row by row in turn; biases end in `_bias`.
    Mxfp4 {
        gate_up: &'static str,
        down: &'static str,
    },
}

/// How the gate, up and down matrices of one feed-forward part are stored.
#[derive(Debug)]
pub(crate) enum GluNames {
    /// gate, up, down.
    Separate([&'static str; 3]),
    /// gate rows then up rows, and down.
    Fused([&'static str; 2]),
}

/// gate, up and down as most families call them.
pub(crate) const GATE_UP_DOWN: [&str; 3] =
    ["gate_proj.weight", "up_proj.weight", "down_proj.weight"];

/// The experts of most families, one by one as published, or fused as transformers 5 keeps them in memory.
pub(crate) const MLP_EXPERTS: &[ExpertNames] = &[
    ExpertNames::Separate {
        prefix: "mlp.experts.{}.",
        matrices: GATE_UP_DOWN,
    },
    FUSED_EXPERTS,
];

/// Experts as transformers 5 keeps them in memory.
pub(crate) const FUSED_EXPERTS: ExpertNames = ExpertNames::Fused {
    gate_up: "mlp.experts.gate_up_proj",
    down: "mlp.experts.down_proj",
};

impl TensorNames {
    /// What most families call their tensors.
    pub(crate) const STANDARD: Self = Self {
        prefixes: &[""],
        embed_tokens: "model.embed_tokens",
        norm: "model.norm",
        lm_head: "lm_head",
        layer: "model.layers.{}.",
        norms: ["input_layernorm", "post_attention_layernorm"],
        attention: AttentionNames::STANDARD,
        router: &["mlp.gate"],
        correction_bias: "mlp.gate.e_score_correction_bias",
        experts: MLP_EXPERTS,
        dense: GluNames::Separate(["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]),
        shared: GluNames::Separate([
            "mlp.shared_experts.gate_proj",
            "mlp.shared_experts.up_proj",
            "mlp.shared_experts.down_proj",
        ]),
        shared_gate: "mlp.shared_expert_gate",
        feed_forward_bias: "mlp.bias",
        ignored: &["mtp.", "model.mtp_"],
    };
}

impl AttentionNames {
    /// What most families call their attention.
    pub(crate) const STANDARD: Self = Self {
        q: "self_attn.q_proj",
        k: "self_attn.k_proj",
        v: "self_attn.v_proj",
        o: "self_attn.o_proj",
        qkv: None,
        q_norm: "self_attn.q_norm",
        k_norm: "self_attn.k_norm",
        sinks: "self_attn.sinks",
        latent: LatentNames {
            q_a: "self_attn.q_a_proj",
            q_a_norm: "self_attn.q_a_layernorm",
            q_b: "self_attn.q_b_proj",
            kv_a: "self_attn.kv_a_proj_with_mqa",
            kv_a_norm: "self_attn.kv_a_layernorm",
            kv_b: "self_attn.kv_b_proj",
        },
        heads: HeadMixtureNames {
            router: "self_attention.experts.router.layer",
            input: "self_attention.experts.input_linear.weight",
            output: "self_attention.experts.output_linear.weight",
            bias: "self_attention.experts.bias",
            kv: "self_attention.kv_proj",
        },
    };
}

/// Experts as Mixtral published them.
pub(crate) const MIXTRAL_EXPERTS: ExpertNames = ExpertNames::Separate {
    prefix: "block_sparse_moe.experts.{}.",
    matrices: ["w1.weight", "w3.weight", "w2.weight"],
};
