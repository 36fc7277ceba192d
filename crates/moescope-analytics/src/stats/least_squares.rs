//! Least squares from cross products, one column after the other.

/// What columns explain of some responses.
#[derive(Clone, Debug)]
pub(crate) struct Fit {
    /// The sum of squares, over all responses, that each column adds to those before it; 0 for one that adds no direction.
    pub(crate) explained: Vec<f64>,
    /// `[columns × responses]`; 0 for a column that adds no direction.
    pub(crate) coefficients: Vec<f64>,
}

/// Fits columns in an order, by Cholesky's decomposition of their cross products.
///
/// `gram` is `XᵀX`, `[n × n]`, and `cross` is `XᵀY`, `[n × responses]`. A column whose remaining sum of squares is a billionth of
/// its `scale` lies in the span of those before it. The coefficients are in the order of `order`.
pub(crate) fn fit_in_order(
    gram: &[f64],
    cross: &[f64],
    scale: &[f64],
    order: &[usize],
    responses: usize,
) -> Fit {
    const SMALLEST: f64 = 1e-9;
    let (n, m) = (scale.len(), order.len());
    let mut lower = vec![0.0; m * m];
    let mut rotated = vec![0.0; m * responses];
    for (i, column) in order.iter().enumerate() {
        for (j, other) in order[..=i].iter().enumerate() {
            let known: f64 = (0..j).map(|k| lower[i * m + k] * lower[j * m + k]).sum();
            let rest = gram[column * n + other] - known;
            lower[i * m + j] = if i == j {
                if rest > SMALLEST * scale[*column] {
                    rest.sqrt()
                } else {
                    0.0
                }
            } else if lower[j * m + j] > 0.0 {
                rest / lower[j * m + j]
            } else {
                0.0
            };
        }
        let pivot = lower[i * m + i];
        if pivot > 0.0 {
            let (before, own) = rotated.split_at_mut(i * responses);
            let own = &mut own[..responses];
            own.copy_from_slice(&cross[column * responses..(column + 1) * responses]);
            for (k, before) in before.chunks_exact(responses).enumerate() {
                subtract(own, lower[i * m + k], before);
            }
            own.iter_mut().for_each(|x| *x /= pivot);
        }
    }
    let explained = rotated
        .chunks_exact(responses)
        .map(|row| row.iter().map(|x| x * x).sum())
        .collect();
    let mut coefficients = rotated;
    for i in (0..m).rev() {
        let pivot = lower[i * m + i];
        let (own, after) = coefficients[i * responses..].split_at_mut(responses);
        for (k, after) in after.chunks_exact(responses).enumerate() {
            subtract(own, lower[(i + 1 + k) * m + i], after);
        }
        for x in own {
            *x = if pivot > 0.0 { *x / pivot } else { 0.0 };
        }
    }
    Fit {
        explained,
        coefficients,
    }
}

fn subtract(row: &mut [f64], factor: f64, other: &[f64]) {
    if factor != 0.0 {
        row.iter_mut()
            .zip(other)
            .for_each(|(x, y)| *x -= factor * y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_credited_with_what_those_before_it_leave() {
        // Columns (1, 1, 1), (0, 1, 2) and their sum (1, 2, 3); response (1, 2, 4).
        // The mean explains 49/3; the slope 3/2 around it 9/2; the sum nothing. Fit: 5/6 + 3/2 x.
        let gram = [3.0, 3.0, 6.0, 3.0, 5.0, 8.0, 6.0, 8.0, 14.0];
        let cross = [7.0, 10.0, 17.0];
        let fit = fit_in_order(&gram, &cross, &[3.0, 5.0, 14.0], &[0, 1, 2], 1);
        let expected = [49.0 / 3.0, 4.5, 0.0];
        for (found, expected) in fit.explained.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{fit:?}");
        }
        for (found, expected) in fit.coefficients.iter().zip([5.0 / 6.0, 1.5, 0.0]) {
            assert!((found - expected).abs() < 1e-12, "{fit:?}");
        }
        // The slope alone, through the origin: 10² / 5.
        let alone = fit_in_order(&gram, &cross, &[3.0, 5.0, 14.0], &[1], 1);
        assert!((alone.explained[0] - 20.0).abs() < 1e-12);
    }
}
