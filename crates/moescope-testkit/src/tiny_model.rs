//! Mixtral models small enough to be written by a test.

use std::{fs, io, path::Path};

use serde_json::{Value, json};

use crate::{SafetensorsFile, write_word_tokenizer};

/// A Mixtral model with random weights and a word tokenizer.
#[derive(Clone, Debug)]
pub struct TinyModel {
    /// Decoder layers.
    pub layers: usize,
    /// Experts per layer.
    pub experts: usize,
    /// Experts per token.
    pub top_k: usize,
    /// Width of the residual stream; two heads of half that width.
    pub hidden: usize,
    /// Entries of the vocabulary; the word tokenizer has 27.
    pub vocab: usize,
    /// Longest context in tokens.
    pub context: usize,
    /// Seed of the weights.
    pub seed: u64,
}

impl Default for TinyModel {
    fn default() -> Self {
        Self {
            layers: 2,
            experts: 4,
            top_k: 2,
            hidden: 16,
            vocab: 27,
            context: 64,
            seed: 1,
        }
    }
}

impl TinyModel {
    /// The model's `config.json`.
    #[must_use]
    pub fn config(&self) -> Value {
        json!({
            "architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "hidden_act": "silu",
            "hidden_size": self.hidden, "intermediate_size": 2 * self.hidden, "vocab_size": self.vocab,
            "num_hidden_layers": self.layers, "num_attention_heads": 2, "num_key_value_heads": 1,
            "num_local_experts": self.experts, "num_experts_per_tok": self.top_k,
            "max_position_embeddings": self.context, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2, "sliding_window": null
        })
    }

    /// The model's weights: uniform in ±0.5, norms 1.
    #[must_use]
    pub fn weights(&self) -> SafetensorsFile {
        let mut random = SplitMix(self.seed);
        let (hidden, wide, head) = (self.hidden, 2 * self.hidden, self.hidden / 2);
        let mut file = SafetensorsFile::new();
        let mut add = |name: String, shape: [usize; 2]| {
            let values: Vec<f32> = (0..shape[0] * shape[1])
                .map(|_| random.next_weight())
                .collect();
            file = std::mem::take(&mut file).tensor(&name, &shape, &values);
        };
        add("model.embed_tokens.weight".to_owned(), [self.vocab, hidden]);
        add("lm_head.weight".to_owned(), [self.vocab, hidden]);
        for layer in 0..self.layers {
            let prefix = format!("model.layers.{layer}.");
            add(format!("{prefix}self_attn.q_proj.weight"), [hidden, hidden]);
            add(format!("{prefix}self_attn.k_proj.weight"), [head, hidden]);
            add(format!("{prefix}self_attn.v_proj.weight"), [head, hidden]);
            add(format!("{prefix}self_attn.o_proj.weight"), [hidden, hidden]);
            add(
                format!("{prefix}block_sparse_moe.gate.weight"),
                [self.experts, hidden],
            );
            for expert in 0..self.experts {
                let prefix = format!("{prefix}block_sparse_moe.experts.{expert}.");
                add(format!("{prefix}w1.weight"), [wide, hidden]);
                add(format!("{prefix}w2.weight"), [hidden, wide]);
                add(format!("{prefix}w3.weight"), [wide, hidden]);
            }
        }
        let ones = vec![1.0; hidden];
        file = file.tensor("model.norm.weight", &[hidden], &ones);
        for layer in 0..self.layers {
            for norm in ["input_layernorm", "post_attention_layernorm"] {
                let name = format!("model.layers.{layer}.{norm}.weight");
                file = file.tensor(&name, &[hidden], &ones);
            }
        }
        file
    }

    /// Writes configuration, weights and tokenizer into a folder.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("config.json"), self.config().to_string())?;
        self.weights().write(&folder.join("model.safetensors"))?;
        write_word_tokenizer(folder, 0)
    }
}

/// The `SplitMix64` generator (Steele, Lea and Flood 2014): enough for weights that only have to differ.
struct SplitMix(u64);

impl SplitMix {
    fn next_weight(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        #[expect(clippy::cast_precision_loss, reason = "24 bits fit an f32 exactly")]
        let unit = (z >> 40) as f32 / (1u32 << 24) as f32;
        unit - 0.5
    }
}
