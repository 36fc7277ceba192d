//! How far training, weights or an intervention moved the shares of the experts.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, TraceSet, TraceSetMetric, find,
    traces::{Contrast, contrast_traces},
};

/// Divergence of a trace's shares from the reference's.
pub(super) struct RoutingDrift;

impl TraceSetMetric for RoutingDrift {
    fn about(&self) -> About {
        About {
            name: "routing_drift",
            title: "Divergence of the shares of experts from the reference's",
            formula: "Jensen–Shannon divergence H((p+q)/2) − (H(p) + H(q))/2 between the shares of assignments per expert, p in the trace and q in the reference",
            unit: "bits",
            range: "0 (the same shares) to 1 (no expert in common)",
            edge_cases: "Of loads, not of decisions: routers that swap experts between tokens and keep the loads have no drift (`router_saturation`, `routing_agreement`). Documents are paired by id; where the traces have none in common, their distributions are compared as two independent samples. A label with fewer than five groups has no interval.",
            uncertainty: "Bias-corrected bootstrap over groups, each drawn from both traces together. Null: a group's two traces swapped at random, one-sided, q by max-T within a table of layers and Bonferroni over labels and traces. Without common documents: groups drawn and permuted independently.",
            citation: "Jensen–Shannon divergence (Lin 1991). On the published counts of OLMoE's checkpoints over Tulu (arXiv 2409.02060), base to SFT gives 0.0061, 0.0056 and 0.0091 bits at layers 0, 7 and 15.",
            inputs: &[Input::Profiles],
            axes: &[AxisKind::Layer, AxisKind::Trace, AxisKind::Group],
        }
    }

    fn compare(
        &self,
        traces: &TraceSet,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let about = self.about();
        let divergence = find("jsd")?;
        let mut found =
            contrast_traces(traces, divergence, Contrast::Divergence, request, progress)?;
        for measurement in &mut found {
            about.name.clone_into(&mut measurement.metric);
            about.title.clone_into(&mut measurement.title);
        }
        Ok(found)
    }
}
