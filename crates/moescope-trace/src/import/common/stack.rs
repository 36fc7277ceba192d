//! One tensor for each layer, saved one by one or stacked.

use moescope_core::ModelSpec;

use super::{array::Array, tensor_file::TensorFile};

/// Tensors `[rows, width]`, one for each layer with a router, in their order.
#[derive(Debug)]
pub(crate) struct Stack {
    /// One array for all layers, or one each.
    arrays: Vec<Array>,
    layers: usize,
    rows: usize,
    width: usize,
    /// `[batch, tokens]` where the tensors themselves say so.
    batch_shape: Option<Vec<usize>>,
}

impl Stack {
    /// Takes `name` (`[layers, …]`) or `name.0`, `name.1`, … out of a file; `None` where it has neither.
    ///
    /// The numbers count the layers with a router, or are those layers' own numbers.
    pub(crate) fn take(
        file: &mut TensorFile,
        name: &str,
        model: &ModelSpec,
    ) -> Result<Option<Self>, String> {
        let wanted = model.moe_layers.len();
        if let Some(whole) = file.arrays.remove(name) {
            let shape = whole.shape().to_vec();
            if !(3..=4).contains(&shape.len()) {
                return Err(format!(
                    "{name} has shape {shape:?}, expected [layers, tokens, experts]"
                ));
            }
            if shape[0] != wanted {
                return Err(wrong_layers(name, shape[0], wanted));
            }
            let stack = Self {
                layers: wanted,
                rows: shape[1..shape.len() - 1].iter().product(),
                width: shape[shape.len() - 1],
                batch_shape: (shape.len() == 4).then(|| shape[1..3].to_vec()),
                arrays: vec![whole],
            };
            return Ok(Some(stack));
        }
        let prefix = format!("{name}.");
        let mut numbers = Vec::new();
        for key in file.arrays.keys() {
            if let Some(number) = key.strip_prefix(&prefix) {
                let number: u16 = number
                    .parse()
                    .map_err(|_| format!("'{key}' does not end in the number of a layer"))?;
                numbers.push(number);
            }
        }
        if numbers.is_empty() {
            return Ok(None);
        }
        numbers.sort_unstable();
        if numbers.len() != wanted {
            return Err(wrong_layers(name, numbers.len(), wanted));
        }
        let is_counted = numbers
            .iter()
            .copied()
            .eq(0..u16::try_from(wanted).unwrap_or(0));
        let is_own = numbers
            .iter()
            .eq(model.moe_layers.iter().map(|layer| &layer.0));
        if !is_counted && !is_own {
            return Err(format!(
                "the numbers of {name}.… are {numbers:?}; they count the layers with a router from 0, or are the numbers \
                 of those layers"
            ));
        }
        let arrays: Vec<Array> = numbers
            .iter()
            .filter_map(|number| file.arrays.remove(&format!("{prefix}{number}")))
            .collect();
        if arrays.len() != wanted {
            return Err(format!("the numbers of {name}.… have leading zeros"));
        }
        Self::of_layers(name, arrays).map(Some)
    }

    fn of_layers(name: &str, arrays: Vec<Array>) -> Result<Self, String> {
        let shape = arrays[0].shape().to_vec();
        if !(2..=3).contains(&shape.len()) {
            return Err(format!(
                "{name}.… have shape {shape:?}, expected [tokens, experts]"
            ));
        }
        if let Some((layer, other)) = arrays.iter().enumerate().find(|(_, a)| a.shape() != shape) {
            return Err(format!(
                "the {layer}th of {name}.… has shape {:?}, the first {shape:?}",
                other.shape()
            ));
        }
        Ok(Self {
            layers: arrays.len(),
            rows: shape[..shape.len() - 1].iter().product(),
            width: shape[shape.len() - 1],
            batch_shape: (shape.len() == 3).then(|| shape[..2].to_vec()),
            arrays,
        })
    }

    /// Compares with what the rest of the file and the model say.
    pub(crate) fn check(
        &self,
        name: &str,
        rows: usize,
        width: usize,
        is_integer: bool,
    ) -> Result<(), String> {
        if self.rows != rows {
            return Err(format!("{name} has {} rows, expected {rows}", self.rows));
        }
        if self.width != width {
            return Err(format!(
                "{name} has {} columns, the model's description says {width}",
                self.width
            ));
        }
        self.arrays.iter().try_for_each(|array| {
            let result = if is_integer {
                array.check_integers()
            } else {
                array.check_floats()
            };
            result.map_err(|what| format!("{name} {what}"))
        })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn batch_shape(&self) -> Option<Vec<usize>> {
        self.batch_shape.clone()
    }

    /// One row of one layer, of floats.
    pub(crate) fn floats(&self, layer: usize, row: usize) -> impl Iterator<Item = f32> {
        let (array, start) = self.at(layer, row);
        (start..start + self.width).map(|i| array.float(i).unwrap_or(f32::NAN))
    }

    /// One row of one layer, of integers; −1 stands for a number too large to be one of ours.
    pub(crate) fn integers(&self, layer: usize, row: usize) -> impl Iterator<Item = i64> {
        let (array, start) = self.at(layer, row);
        (start..start + self.width).map(|i| array.integer(i).unwrap_or(-1))
    }

    fn at(&self, layer: usize, row: usize) -> (&Array, usize) {
        if self.arrays.len() == self.layers {
            (&self.arrays[layer], row * self.width)
        } else {
            (&self.arrays[0], (layer * self.rows + row) * self.width)
        }
    }
}

fn wrong_layers(name: &str, found: usize, wanted: usize) -> String {
    format!(
        "it holds {name} of {found} layers, the model's description has {wanted} layers with a router; some model classes \
         return several tensors for each layer: save those of the expert routers only"
    )
}
