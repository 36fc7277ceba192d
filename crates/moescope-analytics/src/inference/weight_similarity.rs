//! Cosines between weights of experts.

use moescope_core::{Axis, AxisKind, LayerId, Measurement, Progress, Protocol};

use super::rows::{expert_axis, refuse_contrast, variant_axis};
use crate::{About, AnalyticsError, ExpertProjection, LayerWeights, MeasureRequest, TraceData};

/// Bytes of weights that are held at a time; at least two matrices always are.
const MOST_BYTES: usize = 256 << 20;

/// Dot products of every two experts, `[E × E]`, filled on both sides of the diagonal.
struct Gram {
    experts: usize,
    products: Vec<f64>,
}

impl Gram {
    fn new(experts: usize) -> Self {
        Self {
            experts,
            products: vec![0.0; experts * experts],
        }
    }

    fn set(&mut self, a: usize, b: usize, product: f64) {
        self.products[a * self.experts + b] = product;
        self.products[b * self.experts + a] = product;
    }

    fn add(&mut self, other: &Self) {
        for (sum, more) in self.products.iter_mut().zip(&other.products) {
            *sum += more;
        }
    }

    /// Cosines, 1 on the diagonal; NaN for an expert of zeros.
    fn cosines(&self) -> Vec<f64> {
        let at = |a: usize, b: usize| self.products[a * self.experts + b];
        (0..self.experts)
            .flat_map(|a| {
                (0..self.experts).map(move |b| {
                    let cosine = at(a, b) / (at(a, a) * at(b, b)).sqrt();
                    // Rounding may pass the ends.
                    if cosine.is_nan() {
                        cosine
                    } else {
                        cosine.clamp(-1.0, 1.0)
                    }
                })
            })
            .collect()
    }
}

/// A product of sums in f64, each of few enough f32 products that no precision is lost that matters.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    const RUN: usize = 256;
    a.chunks(RUN)
        .zip(b.chunks(RUN))
        .map(|(a, b)| {
            a.iter()
                .zip(b)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum::<f64>()
        })
        .sum()
}

/// The products of one matrix of all experts: a tile of experts is held, the others are read past it one by one.
fn gram_of(
    layer: &dyn LayerWeights,
    projection: ExpertProjection,
    experts: u16,
    is_cancelled: &dyn Fn() -> Result<(), AnalyticsError>,
) -> Result<Gram, AnalyticsError> {
    let mut gram = Gram::new(usize::from(experts));
    let mut first = 0;
    while first < experts {
        let mut tile = vec![layer.expert(first, projection)?];
        let fit = MOST_BYTES / (tile[0].len() * size_of::<f32>()).max(1);
        let end = experts.min(first.saturating_add(u16::try_from(fit.max(1)).unwrap_or(u16::MAX)));
        for expert in first + 1..end {
            is_cancelled()?;
            tile.push(layer.expert(expert, projection)?);
        }
        for (a, weights) in (usize::from(first)..).zip(&tile) {
            for (b, other) in (usize::from(first)..)
                .zip(&tile)
                .take(a - usize::from(first) + 1)
            {
                gram.set(a, b, dot(weights, other));
            }
        }
        for expert in end..experts {
            is_cancelled()?;
            let weights = layer.expert(expert, projection)?;
            for (a, other) in (usize::from(first)..).zip(&tile) {
                gram.set(a, usize::from(expert), dot(&weights, other));
            }
        }
        first = end;
    }
    Ok(gram)
}

/// The cosines of the router's rows.
fn router_cosines(layer: &dyn LayerWeights, experts: usize) -> Result<Vec<f64>, AnalyticsError> {
    let rows = layer.router()?;
    let width = rows.len() / experts.max(1);
    let row = |expert: usize| &rows[expert * width..(expert + 1) * width];
    let mut gram = Gram::new(experts);
    for a in 0..experts {
        for b in 0..=a {
            gram.set(a, b, dot(row(a), row(b)));
        }
    }
    Ok(gram.cosines())
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ComparedWeights {
    /// Rows of the router.
    Router,
    /// Matrices of experts.
    Experts,
}

/// Measures the cosines at every layer of the scope that the trace recorded.
pub(crate) fn measure_weight_similarity(
    data: &TraceData,
    request: &MeasureRequest,
    about: &About,
    compared: ComparedWeights,
    progress: &dyn Progress,
) -> Result<Vec<Measurement>, AnalyticsError> {
    request.check()?;
    request.refuse_reference_scope(about.name)?;
    refuse_contrast(request, about.name, "weights have no label")?;
    let source = data.weights().ok_or_else(|| AnalyticsError::MissingInput {
        metric: about.name.to_owned(),
        missing: "the model's weights".to_owned(),
        help: "name the model that made it, with --model MODEL".to_owned(),
    })?;
    let layers: Vec<LayerId> = data
        .layers()
        .iter()
        .copied()
        .filter(|layer| request.scope.layers.contains(*layer))
        .collect();
    if layers.is_empty() {
        let available: Vec<String> = data.layers().iter().map(ToString::to_string).collect();
        return Err(AnalyticsError::NoLayers {
            selection: request.scope.layers.to_string(),
            available: available.join(","),
        });
    }
    let experts = data.model().num_experts;
    let mut values = Vec::new();
    for (place, layer) in layers.iter().enumerate() {
        let tell = || -> Result<(), AnalyticsError> {
            progress.report(place as u64, layers.len() as u64, "comparing weights")?;
            Ok(())
        };
        tell()?;
        source.with_layer(*layer, &mut |weights| {
            match compared {
                ComparedWeights::Router => {
                    values.extend(router_cosines(weights, usize::from(experts))?);
                }
                ComparedWeights::Experts => {
                    let mut all = Gram::new(usize::from(experts));
                    for projection in ExpertProjection::ALL {
                        let gram = gram_of(weights, projection, experts, &tell)?;
                        values.extend(gram.cosines());
                        all.add(&gram);
                    }
                    // Dot products of concatenated matrices are sums of their dot products.
                    values.extend(all.cosines());
                }
            }
            Ok(())
        })?;
    }
    let mut axes = vec![Axis::new(
        AxisKind::Layer,
        layers.iter().map(ToString::to_string).collect(),
    )];
    if compared == ComparedWeights::Experts {
        let [gate, up, down] = ExpertProjection::ALL.map(ExpertProjection::as_str);
        axes.push(variant_axis(&[gate, up, down, "concatenated"]));
    }
    let all = usize::from(experts);
    axes.extend([
        expert_axis(AxisKind::Expert, all),
        expert_axis(AxisKind::ExpertB, all),
    ]);
    let measurement = Measurement {
        metric: about.name.to_owned(),
        title: about.title.to_owned(),
        unit: about.unit.to_owned(),
        axes,
        values,
        intervals: None,
        nulls: None,
        reference: Some(0.0),
        protocol: Protocol {
            scope: format!(
                "weights of {}, layers {}",
                source.model(),
                request.scope.layers
            ),
            phase: "none".to_owned(),
            by: "none".to_owned(),
            interval_method: "none: weights are no sample".to_owned(),
            bias_correction: "none".to_owned(),
            resample_by: "none".to_owned(),
            seed: request.seed,
            ..Protocol::default()
        },
    };
    measurement.check()?;
    Ok(vec![measurement])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Experts e with the one matrix (1, e).
    struct Line;

    impl LayerWeights for Line {
        fn router(&self) -> Result<Vec<f32>, AnalyticsError> {
            Ok(vec![1.0, 0.0, 0.0, 2.0, 3.0, 3.0])
        }

        fn expert(&self, expert: u16, _: ExpertProjection) -> Result<Vec<f32>, AnalyticsError> {
            Ok(vec![1.0, f32::from(expert)])
        }
    }

    #[test]
    fn cosines_are_those_of_the_angles() {
        // Rows at 0°, 90° and 45°, whatever their length.
        let half = 0.5_f64.sqrt();
        let expected = [1.0, 0.0, half, 0.0, 1.0, half, half, half, 1.0];
        for (found, expected) in router_cosines(&Line, 3).unwrap().iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12);
        }
        // (1, 0), (1, 1), (1, 2): products 1, 1, 1 and 2, 3 and 5.
        let found = gram_of(&Line, ExpertProjection::Gate, 3, &|| Ok(())).unwrap();
        assert_eq!(
            found.products,
            [1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 1.0, 3.0, 5.0]
        );
    }
}
