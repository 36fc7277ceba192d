//! What a token costs, by the model's geometry.

use moescope_engine::{Checkpoint, EngineError, MoeModel, NeededTensor, TensorClass};

/// Bytes and parameters that tokens pass.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Work {
    /// Bytes of all weights as they are kept.
    pub(super) weights_bytes: u64,
    /// Weights of all layers that every token passes.
    shared_bytes: f64,
    /// One expert in every layer.
    expert_bytes: f64,
    head_bytes: f64,
    head_parameters: f64,
    /// Parameters that a token passes, without embedding and head.
    active_parameters: f64,
    num_experts: f64,
    top_k: f64,
}

/// Forward passes of one size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Passes {
    /// Their number.
    pub(super) count: usize,
    /// Tokens of each.
    pub(super) tokens: usize,
    /// Tokens of each that go through the head.
    pub(super) head_tokens: usize,
}

impl Work {
    #[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
    pub(super) fn of(
        checkpoint: &Checkpoint,
        model: &MoeModel,
        is_cpu: bool,
    ) -> Result<Self, EngineError> {
        let config = model.config();
        let tensors = checkpoint.needed_tensors()?;
        let kept = model.options().weights;
        let width = |tensor: &NeededTensor| {
            if is_cpu {
                tensor.cpu_bytes(kept)
            } else {
                4 * tensor.weights()
            }
        };
        let sum = |is_wanted: &dyn Fn(TensorClass) -> bool| {
            let wanted = tensors.iter().filter(|tensor| is_wanted(tensor.class));
            wanted.fold((0.0, 0.0), |(weights, bytes), tensor| {
                (
                    weights + tensor.weights() as f64,
                    bytes + width(tensor) as f64,
                )
            })
        };
        let experts = sum(&|class| class == TensorClass::Experts);
        let head_class = if config.tie_word_embeddings {
            TensorClass::Embeddings
        } else {
            TensorClass::Head
        };
        let head = sum(&|class| class == head_class);
        let shared = sum(&|class| {
            !matches!(
                class,
                TensorClass::Experts | TensorClass::Embeddings | TensorClass::Head
            )
        });
        let num_experts = config.router.num_experts as f64;
        let top_k = config.router.top_k as f64;
        Ok(Self {
            weights_bytes: tensors.iter().map(width).sum(),
            shared_bytes: shared.1,
            expert_bytes: experts.1 / num_experts,
            head_bytes: head.1,
            head_parameters: head.0,
            active_parameters: shared.0 + experts.0 / num_experts * top_k,
            num_experts,
            top_k,
        })
    }

    /// Bytes of weights that the passes must read, each expert that is chosen once per pass.
    #[expect(clippy::cast_precision_loss, reason = "a number of tokens")]
    pub(super) fn bytes(&self, passes: Passes) -> f64 {
        let head = if passes.head_tokens > 0 {
            self.head_bytes
        } else {
            0.0
        };
        let experts = self.expert_bytes * self.experts_touched(passes.tokens);
        passes.count as f64 * (self.shared_bytes + experts + head)
    }

    /// Floating-point operations of the products with weights: two for each parameter that a token passes.
    #[expect(clippy::cast_precision_loss, reason = "a number of tokens")]
    pub(super) fn operations(&self, passes: Passes) -> f64 {
        let layers = passes.tokens as f64 * self.active_parameters;
        let head = passes.head_tokens as f64 * self.head_parameters;
        2.0 * passes.count as f64 * (layers + head)
    }

    /// Experts per layer that a pass of `tokens` tokens reads, if every expert is equally likely.
    #[expect(clippy::cast_precision_loss, reason = "a number of tokens")]
    fn experts_touched(&self, tokens: usize) -> f64 {
        self.num_experts * (1.0 - (1.0 - self.top_k / self.num_experts).powf(tokens as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_operations_follow_from_the_geometry() {
        let work = Work {
            weights_bytes: 0,
            shared_bytes: 100.0,
            expert_bytes: 10.0,
            head_bytes: 1000.0,
            head_parameters: 500.0,
            active_parameters: 60.0,
            num_experts: 4.0,
            top_k: 2.0,
        };
        // One token chooses 2 experts: 100 + 20; two choose 4 · (1 − ½²) = 3 of them: 100 + 30.
        let prefill = |tokens| Passes {
            count: 1,
            tokens,
            head_tokens: 0,
        };
        assert!((work.bytes(prefill(1)) - 120.0).abs() < 1e-9);
        assert!((work.bytes(prefill(2)) - 130.0).abs() < 1e-9);
        assert!((work.operations(prefill(2)) - 240.0).abs() < 1e-9);
        let decode = Passes {
            count: 3,
            tokens: 1,
            head_tokens: 1,
        };
        assert!((work.bytes(decode) - 3.0 * 1120.0).abs() < 1e-9);
        assert!((work.operations(decode) - 3.0 * 1120.0).abs() < 1e-9);
    }
}
