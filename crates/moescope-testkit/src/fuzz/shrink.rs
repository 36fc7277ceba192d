//! The smallest input that still shows a failure.

/// Cuts an input down for as long as `fails` says that it still fails, with at most `tries` questions.
///
/// Runs are removed, the longest first (delta debugging: Zeller and Hildebrandt 2002), until no single byte can go.
///
/// ```
/// use moescope_testkit::fuzz::smallest;
///
/// let found = smallest(b"a long text with x and y", 1000, |input| {
///     input.contains(&b'x') && input.contains(&b'y')
/// });
/// assert_eq!(found, b"xy");
/// ```
#[must_use]
pub fn smallest(input: &[u8], tries: usize, mut fails: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut best = input.to_vec();
    let mut left = tries;
    let mut run = best.len().div_ceil(2);
    while run > 0 {
        let mut at = 0;
        let mut is_shorter = false;
        while at < best.len() && left > 0 {
            let mut candidate = best.clone();
            candidate.drain(at..best.len().min(at + run));
            left -= 1;
            if fails(&candidate) {
                best = candidate;
                is_shorter = true;
            } else {
                at += run;
            }
        }
        if left == 0 {
            break;
        }
        // After the last byte was tried in vain there is nothing to try.
        if !(run == 1 && is_shorter) {
            run /= 2;
        }
    }
    best
}
