//! How single texts are measured: by no other protocol than that they are counted as they stand.

use moescope_core::Protocol;

/// The protocol of numbers of one text: all of its `tokens` that `scope` names count, and there is no interval, for one text
/// is one group.
#[must_use]
pub fn text_protocol(scope: String, tokens: u64) -> Protocol {
    Protocol {
        scope,
        phase: "all".to_owned(),
        by: "all".to_owned(),
        interval_method: "no interval: one text".to_owned(),
        bias_correction: "none".to_owned(),
        resample_by: "group".to_owned(),
        n_tokens: tokens,
        n_documents: 1,
        n_groups: 1,
        ..Protocol::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_is_one_group_without_an_interval() {
        let protocol = text_protocol("the reply".to_owned(), 7);
        assert_eq!(protocol.scope, "the reply");
        let counted = (protocol.n_tokens, protocol.n_documents, protocol.n_groups);
        assert_eq!(counted, (7, 1, 1));
        assert_eq!(protocol.interval_method, "no interval: one text");
        assert_eq!((protocol.level, protocol.resamples), (None, 0));
        assert!(protocol.null_method.is_empty());
    }
}
