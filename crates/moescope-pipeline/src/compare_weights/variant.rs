//! What is compared with the reference, and what it is called.

use moescope_core::did_you_mean;
use moescope_engine::{ComputeType, LoadOptions, WeightType};
use serde::Serialize;

use crate::error::PipelineError;

/// Another way to compute the model: a type of weights, a type of arithmetic, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightVariant {
    /// Its name in tables: what differs from weights as stored with the reference's arithmetic, `stored` if nothing does.
    pub name: String,
    /// How it is loaded.
    pub options: LoadOptions,
}

/// A variant as JSON tells of it.
impl Serialize for WeightVariant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut fields = serializer.serialize_struct("WeightVariant", 3)?;
        fields.serialize_field("name", &self.name)?;
        fields.serialize_field("weights", self.options.weights.name())?;
        fields.serialize_field("compute", self.options.compute.name())?;
        fields.end()
    }
}

const COMPUTE_TYPES: [ComputeType; 2] = [ComputeType::F32, ComputeType::Bf16];

impl WeightVariant {
    /// A variant of a reference with this arithmetic.
    #[must_use]
    pub fn new(options: LoadOptions, reference: ComputeType) -> Self {
        let weights = options.weights.name();
        let arithmetic = arithmetic_name(options.compute);
        let name = match (options.weights, options.compute == reference) {
            (_, true) => weights.to_owned(),
            (WeightType::Stored, false) => arithmetic,
            (_, false) => format!("{weights}+{arithmetic}"),
        };
        Self { name, options }
    }

    /// What is compared where nothing is asked for: 8-bit and 4-bit blocks, and bf16 arithmetic where it is not the
    /// reference's and the device (`cpu` or `gpu`) has it.
    #[must_use]
    pub fn usual(reference: ComputeType, device_kind: &str) -> Vec<Self> {
        let options = |weights, compute| LoadOptions {
            weights,
            compute,
            ..LoadOptions::default()
        };
        let mut variants = vec![
            options(WeightType::Q8, reference),
            options(WeightType::Q4, reference),
        ];
        if reference != ComputeType::Bf16 && device_kind == "cpu" {
            variants.push(options(WeightType::Stored, ComputeType::Bf16));
        }
        variants
            .into_iter()
            .map(|options| Self::new(options, reference))
            .collect()
    }

    /// Reads names such as `q8`, `bf16-compute` and `q4+bf16-compute`.
    ///
    /// What a name does not say is the reference's: weights as stored, and its arithmetic.
    ///
    /// # Errors
    /// When a name is unknown (near ones are suggested), two mean the same, or the device does not compute so.
    pub fn parse_all(
        names: &[String],
        reference: ComputeType,
        device_kind: &str,
    ) -> Result<Vec<Self>, PipelineError> {
        let mut variants: Vec<Self> = Vec::with_capacity(names.len());
        for name in names {
            let variant = Self::parse(name, reference)?;
            if variant.options.compute != ComputeType::F32 && device_kind != "cpu" {
                return Err(PipelineError::Settings(format!(
                    "'{name}' computes in {}, which only the CPU does; use --device cpu, or leave it out of --against",
                    variant.options.compute
                )));
            }
            if variants.contains(&variant) {
                return Err(PipelineError::Settings(format!(
                    "--against names '{}' twice",
                    variant.name
                )));
            }
            variants.push(variant);
        }
        if variants.is_empty() {
            return Err(PipelineError::Settings(
                "--against names nothing to compare with; try --against q8,q4".to_owned(),
            ));
        }
        Ok(variants)
    }

    fn parse(name: &str, reference: ComputeType) -> Result<Self, PipelineError> {
        let (mut weights, mut compute) = (None, None);
        for part in name.split('+').map(str::trim) {
            let found_weights = WeightType::ALL.into_iter().find(|t| t.name() == part);
            let found_compute = COMPUTE_TYPES
                .into_iter()
                .find(|t| arithmetic_name(*t) == part);
            let is_repeated = match (found_weights, found_compute) {
                (Some(found), _) => weights.replace(found).is_some(),
                (_, Some(found)) => compute.replace(found).is_some(),
                (None, None) => return Err(unknown(name, part)),
            };
            if is_repeated {
                return Err(PipelineError::Settings(format!(
                    "'{name}' names two types of the same thing; a variant is a type of weights (stored, q8, q4), a type of \
                     arithmetic (f32-compute, bf16-compute), or one of each, like q8+bf16-compute"
                )));
            }
        }
        let options = LoadOptions {
            weights: weights.unwrap_or_default(),
            compute: compute.unwrap_or(reference),
            ..LoadOptions::default()
        };
        Ok(Self::new(options, reference))
    }
}

fn arithmetic_name(compute: ComputeType) -> String {
    format!("{compute}-compute")
}

fn unknown(name: &str, part: &str) -> PipelineError {
    let arithmetic = COMPUTE_TYPES.map(arithmetic_name);
    let mut known: Vec<&str> = WeightType::ALL.iter().map(|t| t.name()).collect();
    known.extend(arithmetic.iter().map(String::as_str));
    PipelineError::Settings(format!(
        "there is no variant '{name}'{}; its parts may be {}, joined by '+', like q8+bf16-compute",
        did_you_mean(part, &known),
        known.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(asked: &[&str], reference: ComputeType) -> Vec<String> {
        let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
        WeightVariant::parse_all(&asked, reference, "cpu")
            .unwrap()
            .into_iter()
            .map(|variant| variant.name)
            .collect()
    }

    #[track_caller]
    fn refused(asked: &[&str], device_kind: &str, words: &str) {
        let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
        let error = WeightVariant::parse_all(&asked, ComputeType::F32, device_kind)
            .unwrap_err()
            .to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn names_say_what_differs_from_the_reference() {
        let asked = ["q8", "bf16-compute", "bf16-compute + q4", "stored"];
        assert_eq!(
            names_of(&asked, ComputeType::F32),
            ["q8", "bf16-compute", "q4+bf16-compute", "stored"]
        );
        // The same options under another reference: bf16 arithmetic is then nothing special.
        assert_eq!(
            names_of(&["q8+bf16-compute", "f32-compute"], ComputeType::Bf16),
            ["q8", "f32-compute"]
        );
    }

    #[test]
    fn mistakes_are_refused_in_words() {
        refused(&["q88"], "cpu", "did you mean 'q8'?");
        refused(&["bf16"], "cpu", "did you mean 'bf16-compute'?");
        refused(&["q8+q4"], "cpu", "two types of the same thing");
        refused(&["q8", "q8+f32-compute"], "cpu", "'q8' twice");
        refused(&["q8+bf16-compute"], "gpu", "only the CPU");
        refused(&[], "cpu", "nothing to compare");
    }

    #[test]
    fn a_gpu_is_not_asked_for_bf16_by_itself() {
        let names = |reference, device| -> Vec<String> {
            let usual = WeightVariant::usual(reference, device);
            usual.into_iter().map(|variant| variant.name).collect()
        };
        assert_eq!(names(ComputeType::F32, "cpu"), ["q8", "q4", "bf16-compute"]);
        assert_eq!(names(ComputeType::F32, "gpu"), ["q8", "q4"]);
        assert_eq!(names(ComputeType::Bf16, "cpu"), ["q8", "q4"]);
    }
}
