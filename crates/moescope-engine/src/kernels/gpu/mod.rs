//! Kernels for graphics adapters, written in `CubeCL`: the products with weights and attention over the cache.
//!
//! Everything else is [`PlainKernels`]: elementwise work and the router, where burn's operators are as good.
//! burn's own matrix product is not used: it brings down software Vulkan (Mesa 22.3) while compiling its shader, and
//! with it every machine that tests without a GPU.
#![expect(
    unsafe_code,
    reason = "kernels are launched without bounds checks; every index is derived from the shapes"
)]

mod attention;
mod linear;

use burn::{
    backend::Wgpu,
    tensor::{Device, Int, Tensor},
};
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};

use moescope_core::WeightTarget;

use super::{
    AttentionShape, CacheSpan, Head, Kernels, KeyRange, PlainKernels, RotaryAngles,
    plain::{experts_one_by_one, glu_of_products, token_stats_in_parts},
};
use crate::{
    config::{ExpertFunction, RouterConfig},
    decoder::{ExpertWeights, GluWeights},
    matrix::Matrix,
    routing::Routing,
};

/// Kernels for tensors on a graphics adapter.
#[derive(Clone, Debug)]
pub struct GpuKernels {
    plain: PlainKernels,
}

impl GpuKernels {
    /// Kernels for tensors on `device`.
    #[must_use]
    pub fn new(device: &Device) -> Self {
        Self {
            plain: PlainKernels::new(device),
        }
    }
}

/// The contiguous primitive behind a tensor.
fn cube<const D: usize>(tensor: &Tensor<D>) -> CubeTensor {
    let primitive = tensor
        .clone()
        .try_into_primitive::<Wgpu>()
        .expect("the decoder keeps every tensor on the device of its kernels");
    into_contiguous(primitive)
}

impl Kernels for GpuKernels {
    fn name(&self) -> String {
        "wgpu".to_owned()
    }

    fn embed(&self, table: &Tensor<2>, ids: &[u32]) -> Tensor<2> {
        self.plain.embed(table, ids)
    }

    fn linear(&self, x: &Tensor<2>, weight: &Matrix) -> Tensor<2> {
        let out = linear::launch(cube(x), cube(&weight.to_tensor()));
        Tensor::from_primitive::<Wgpu>(out)
    }

    fn rms_norm(&self, x: &Tensor<2>, weight: &Tensor<1>, eps: f64) -> Tensor<2> {
        self.plain.rms_norm(x, weight, eps)
    }

    fn layer_norm(
        &self,
        x: &Tensor<2>,
        weight: &Tensor<1>,
        bias: Option<&Tensor<1>>,
        eps: f64,
    ) -> Tensor<2> {
        self.plain.layer_norm(x, weight, bias, eps)
    }

    fn rotate(&self, x: Tensor<2>, heads: usize, angles: &RotaryAngles) -> Tensor<2> {
        self.plain.rotate(x, heads, angles)
    }

    fn write_cache(&self, cache: Tensor<2>, new: Tensor<2>, spans: &[CacheSpan]) -> Tensor<2> {
        self.plain.write_cache(cache, new, spans)
    }

    fn attention(
        &self,
        queries: Tensor<2>,
        keys: &Tensor<2>,
        values: &Tensor<2>,
        sinks: Option<&Tensor<1>>,
        ranges: &[KeyRange],
        shape: AttentionShape,
    ) -> Tensor<2> {
        let out = attention::launch(
            cube(&queries),
            cube(keys),
            cube(values),
            sinks,
            ranges,
            shape,
            self.plain.device(),
        );
        Tensor::from_primitive::<Wgpu>(out)
    }

    fn route(
        &self,
        router_logits: Tensor<2>,
        bias: Option<&Tensor<1>>,
        config: &RouterConfig,
    ) -> Routing {
        self.plain.route(router_logits, bias, config)
    }

    fn glu(&self, x: &Tensor<2>, weights: &GluWeights, function: ExpertFunction) -> Tensor<2> {
        glu_of_products(self, x, weights, function)
    }

    fn experts(
        &self,
        x: &Tensor<2>,
        routing: &Routing,
        experts: &ExpertWeights,
        function: ExpertFunction,
        target: WeightTarget,
    ) -> Tensor<2> {
        experts_one_by_one(self, x, routing, experts, function, target)
    }

    fn token_stats(
        &self,
        hidden: &Tensor<2>,
        head: Head<'_>,
        next: &[Option<u32>],
    ) -> (Tensor<1>, Tensor<1, Int>) {
        token_stats_in_parts(self, self.plain.device(), hidden, head, next)
    }
}
