//! Surprisal and arg max from logits, one row at a time.

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
        let sum: f64 = logits.iter().map(|z| f64::from((z - max).exp())).sum();
        #[expect(clippy::cast_possible_truncation, reason = "recorded as f32")]
        let nats = (sum.ln() - f64::from(logits[next as usize] - max)) as f32;
        nats
    });
    (
        surprisal,
        u32::try_from(best).expect("a vocabulary fits 32 bits"),
    )
}
