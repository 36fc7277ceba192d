//! What would fit where a model does not.

use moescope_engine::WeightType;

use super::{
    DeviceCapacity, ModelSizes,
    need::{MemoryNeed, PassSize, Placement, WeightForm, memory_need},
};
use crate::sizes;

/// What is to be run, and where.
pub(super) struct Plan<'a> {
    pub(super) model: &'a ModelSizes,
    pub(super) weights: WeightType,
    pub(super) pass: &'a PassSize,
    pub(super) placement: Placement,
    pub(super) has: &'a DeviceCapacity,
}

impl Plan<'_> {
    /// What it needs with weights of a type in a place.
    pub(super) fn need(&self, weights: WeightType, placement: Placement) -> MemoryNeed {
        memory_need(self.model, self.pass, placement, WeightForm::Kept(weights))
    }

    /// What would fit into the memory of the device, in words.
    pub(super) fn what_would_fit(&self, memory: u64) -> String {
        let tokens = self.most_tokens(memory);
        if tokens > 0 {
            return if self.pass.sequences == 0 {
                format!(
                    "{tokens} tokens at a time instead of {} (a smaller --batch-tokens or --max-tokens, or shorter texts)",
                    self.pass.cached_tokens
                )
            } else {
                format!(
                    "room for {tokens} tokens, generated ones included, instead of {} (a smaller --batch-tokens, fewer \
                     tokens to generate, or shorter texts)",
                    self.pass.cached_tokens
                )
            };
        }
        match (self.placement, self.has.system) {
            (Placement::Gpu, system) => system
                .and_then(|system| self.on_the_cpu(system))
                .unwrap_or_else(|| {
                    let need = self.need(self.weights, self.placement);
                    format!("a GPU or a machine with {}", sizes::bytes(need.allocated()))
                }),
            (Placement::Cpu, _) => self.smaller_weights(memory).unwrap_or_else(|| {
                let need = self.need(self.weights, Placement::Cpu);
                format!(
                    "a machine or job with {} of free memory, or a copy of the weights in bf16, which are used as they \
                     lie in their files",
                    sizes::bytes(need.allocated())
                )
            }),
        }
    }

    /// The types of weights that take less than the one in use, the most faithful first.
    fn smaller(&self) -> impl Iterator<Item = WeightType> {
        let weights = self.weights;
        WeightType::ALL
            .into_iter()
            .filter(move |other| *other > weights)
    }

    /// The most faithful type of weights with which the CPU has all that it needs; none on a GPU, which keeps f32.
    pub(super) fn smaller_weights(&self, memory: u64) -> Option<String> {
        if self.placement == Placement::Gpu {
            return None;
        }
        self.smaller().find_map(|weights| {
            let need = self.need(weights, Placement::Cpu).total();
            (need <= memory)
                .then(|| format!("--weights {weights}, which needs {}", sizes::bytes(need)))
        })
    }

    /// The CPU with the most faithful weights that stay in memory; else with weights that can be read from the files.
    fn on_the_cpu(&self, system: u64) -> Option<String> {
        let (here, bytes) = (self.weights, sizes::bytes);
        let available = bytes(system);
        let as_asked = self.need(here, Placement::Cpu);
        let told = |need: MemoryNeed| {
            let how = match (need.mapped > 0, here) {
                (true, WeightType::Stored) => " with weights as stored",
                _ => "",
            };
            format!(
                "--device cpu, which needs {}{how} of the {available} that are available",
                bytes(need.total())
            )
        };
        if as_asked.total() <= system {
            return Some(told(as_asked));
        }
        let smaller = self.smaller().find_map(|weights| {
            let need = self.need(weights, Placement::Cpu).total();
            (need <= system).then(|| {
                format!(
                    "--device cpu --weights {weights}, which needs {} of the {available} that are available",
                    bytes(need)
                )
            })
        });
        smaller.or_else(|| (as_asked.allocated() <= system).then(|| told(as_asked)))
    }

    /// The most tokens whose cache and pass fit beside the weights; 0 where not even a few do.
    fn most_tokens(&self, memory: u64) -> u64 {
        let pass = self.pass;
        let fits = |tokens: u64| {
            let smaller = PassSize {
                tokens: pass.tokens.min(tokens),
                cached_tokens: tokens,
                sequences: pass.sequences.min(tokens),
                ..*pass
            };
            let form = WeightForm::Kept(self.weights);
            memory_need(self.model, &smaller, self.placement, form).allocated() <= memory
        };
        // A bisection: the need only grows with the tokens.
        let (mut low, mut high) = (0, pass.cached_tokens);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if fits(middle) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        // Less is no use to anybody.
        if low >= 16 { low } else { 0 }
    }
}
