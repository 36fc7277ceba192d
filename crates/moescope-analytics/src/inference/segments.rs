//! How often each expert is chosen within segments of tokens.

use crate::data::DocumentDecisions;

/// How often each expert is chosen within one segment of tokens.
#[derive(Debug)]
pub(crate) struct SegmentCounts {
    /// Tokens of the segment that choose each expert, `[experts]`.
    count: Vec<usize>,
    /// Experts that are chosen by so many tokens, `[tokens + 1]`.
    experts_with: Vec<usize>,
}

impl SegmentCounts {
    /// An empty segment of at most `tokens` tokens.
    pub(crate) fn new(experts: usize, tokens: usize) -> Self {
        let mut experts_with = vec![0; tokens + 1];
        experts_with[0] = experts;
        Self {
            count: vec![0; experts],
            experts_with,
        }
    }

    /// Adds a token's choices.
    pub(crate) fn add(&mut self, chosen: &[u16]) {
        for expert in chosen {
            let count = &mut self.count[usize::from(*expert)];
            self.experts_with[*count] -= 1;
            *count += 1;
            self.experts_with[*count] += 1;
        }
    }

    /// Takes a token's choices out again.
    pub(crate) fn remove(&mut self, chosen: &[u16]) {
        for expert in chosen {
            let count = &mut self.count[usize::from(*expert)];
            self.experts_with[*count] -= 1;
            *count -= 1;
            self.experts_with[*count] += 1;
        }
    }

    /// Tokens of the segment that choose an expert.
    pub(crate) fn of(&self, expert: u16) -> usize {
        self.count[usize::from(expert)]
    }

    /// The number of experts that are chosen by so many tokens, `[tokens + 1]`.
    pub(crate) fn experts_with(&self) -> &[usize] {
        &self.experts_with
    }

    /// The assignments that the `size` most chosen experts take.
    pub(crate) fn of_most_chosen(&self, size: usize) -> usize {
        let mut left = size;
        let mut assignments = 0;
        for (tokens, experts) in self.experts_with.iter().enumerate().rev() {
            let taken = left.min(*experts);
            assignments += taken * tokens;
            left -= taken;
        }
        assignments
    }

    /// Visits every segment of `tokens` neighbouring tokens of a stretch, each one token after the one before.
    pub(crate) fn slide(
        decisions: &DocumentDecisions<'_>,
        stretch: &[usize],
        experts: usize,
        tokens: usize,
        mut visit: impl FnMut(&Self),
    ) {
        if stretch.len() < tokens {
            return;
        }
        let mut segment = Self::new(experts, tokens);
        for (i, row) in stretch.iter().enumerate() {
            if i >= tokens {
                segment.remove(decisions.experts(stretch[i - tokens]));
            }
            segment.add(decisions.experts(*row));
            if i + 1 >= tokens {
                visit(&segment);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_chosen_experts_take_their_assignments() {
        // Experts 0, 1, 2 are chosen 3, 2 and 1 times.
        let mut segment = SegmentCounts::new(4, 3);
        for chosen in [[0, 1], [0, 1], [0, 2]] {
            segment.add(&chosen);
        }
        assert_eq!(segment.of_most_chosen(1), 3);
        assert_eq!(segment.of_most_chosen(2), 5);
        assert_eq!(segment.of_most_chosen(4), 6);
        segment.remove(&[0, 1]);
        assert_eq!(segment.experts_with(), [1, 2, 1, 0]);
    }
}
