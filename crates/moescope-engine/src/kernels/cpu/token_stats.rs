//! Surprisal and arg max from logits, one row at a time.

use super::{exp::exp_in_place, simd::InstructionSet};

/// Logits whose exponentials are taken together.
const PART: usize = 1024;

/// −ln softmax(logits)[next] in nats (NaN without a next token) and the arg max (the lowest id wins a tie).
pub(crate) fn token_stats(logits: &[f32], next: Option<u32>) -> (f32, u32) {
    let mut best = 0usize;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = id;
        }
    }
    let max = logits[best];
    let surprisal = next.map_or(f32::NAN, |next| {
        let set = InstructionSet::detect();
        let mut part = [0.0f32; PART];
        let mut sum = 0.0f64;
        for logits in logits.chunks(PART) {
            let part = &mut part[..logits.len()];
            part.copy_from_slice(logits);
            exp_in_place(set, part, max);
            sum += part.iter().map(|mass| f64::from(*mass)).sum::<f64>();
        }
        #[expect(clippy::cast_possible_truncation, reason = "recorded as f32")]
        let nats = (sum.ln() - f64::from(logits[next as usize] - max)) as f32;
        nats
    });
    (
        surprisal,
        u32::try_from(best).expect("a vocabulary fits 32 bits"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surprisal_is_the_negative_log_of_the_share_and_the_first_of_equals_is_predicted() {
        // softmax(ln 1, ln 3, ln 3, ln 1) = 1/8, 3/8, 3/8, 1/8.
        let logits = [0.0, 3f32.ln(), 3f32.ln(), 0.0];
        let (nats, best) = token_stats(&logits, Some(3));
        assert!((nats - 8f32.ln()).abs() < 1e-6);
        assert_eq!(best, 1);
        assert!(token_stats(&logits, None).0.is_nan());
    }
}
