//! Documents as bags of tokens: the baseline that every claim about routing must beat.

/// Counts of token ids per document, as vectors of unit length.
#[derive(Clone, Debug)]
pub(crate) struct TokenBags {
    /// Documents and weights of each token id that occurs.
    postings: Vec<Vec<(u32, f64)>>,
    /// Token (as an index into `postings`) and weight of each document.
    bags: Vec<Vec<(u32, f64)>>,
}

impl TokenBags {
    /// Bags of `(token id, count)` per document.
    pub(crate) fn new(counts: &[&[(u32, u32)]]) -> Self {
        let mut vocabulary: Vec<u32> = counts
            .iter()
            .flat_map(|c| c.iter().map(|(id, _)| *id))
            .collect();
        vocabulary.sort_unstable();
        vocabulary.dedup();
        let mut postings = vec![Vec::new(); vocabulary.len()];
        let mut bags = Vec::with_capacity(counts.len());
        for (document, counts) in (0u32..).zip(counts) {
            let length = counts
                .iter()
                .map(|(_, n)| f64::from(*n).powi(2))
                .sum::<f64>()
                .sqrt();
            let mut bag = Vec::with_capacity(counts.len());
            for (id, n) in *counts {
                let token = vocabulary.partition_point(|known| known < id);
                let weight = f64::from(*n) / length;
                postings[token].push((document, weight));
                bag.push((u32::try_from(token).expect("ids are 32-bit"), weight));
            }
            bags.push(bag);
        }
        Self { postings, bags }
    }

    /// Number of token ids that occur.
    pub(crate) fn vocabulary(&self) -> usize {
        self.postings.len()
    }

    /// Tokens (numbered from 0) with weights of each document, of unit length.
    pub(crate) fn rows(&self) -> &[Vec<(u32, f64)>] {
        &self.bags
    }

    /// Cosine distances from one document to all.
    pub(crate) fn distances(&self, document: usize, row: &mut [f64]) {
        row.fill(1.0);
        for (token, weight) in &self.bags[document] {
            for (other, other_weight) in &self.postings[*token as usize] {
                row[*other as usize] -= weight * other_weight;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_distance_of_bags() {
        // (3, 4, 0) against (0, 4, 3): cosine 16/25.
        let bags = TokenBags::new(&[&[(7, 3), (9, 4)], &[(9, 4), (1000, 3)], &[(5, 1)]]);
        let mut row = [0.0; 3];
        bags.distances(0, &mut row);
        assert!(row[0].abs() < 1e-12);
        assert!((row[1] - 9.0 / 25.0).abs() < 1e-12);
        assert!((row[2] - 1.0).abs() < 1e-12);
    }
}
