//! The text of what a model was given, where that is another than the prompt that it began with.

use moescope_engine::{EngineError, Tokenizer};

use crate::{
    capture::{PlannedSample, PlannedToken},
    prompt::BETWEEN,
};

/// The text of a sample's tokens: its own as far as they have places in it, then the words that were put after them.
///
/// Words of another message stand apart, as in the text of a conversation; what a template wrote is left out.
pub(super) fn given_text(
    planned: &PlannedSample,
    tokenizer: &Tokenizer,
) -> Result<String, EngineError> {
    let tokens = &planned.tokens;
    let own = tokens.iter().rposition(|token| token.bytes().is_some());
    let (placed, after) = tokens.split_at(own.map_or(0, |last| last + 1));
    let ends = placed.iter().filter_map(PlannedToken::bytes);
    let end = ends.map(|bytes| bytes.end as usize).max().unwrap_or(0);
    // A token may end within a character.
    let whole = planned.sample.text.as_str();
    let kept = (end..=whole.len()).find_map(|end| whole.get(..end));
    let mut text = kept.unwrap_or(whole).to_owned();
    let is_added = |token: &PlannedToken| token.is_template || token.is_special;
    let words = after.iter().filter(|token| !is_added(token));
    let words: Vec<u32> = words.map(|token| token.id).collect();
    if words.is_empty() {
        return Ok(text);
    }
    let is_other_message = after.first().is_some_and(is_added);
    if is_other_message && !text.is_empty() {
        text.push_str(BETWEEN);
    }
    let before = placed.last().filter(|_| !is_other_message);
    let before = before.map(|token| token.id);
    text.push_str(&words_after(before, &words, tokenizer)?);
    Ok(text)
}

/// The text of tokens that follow another; some decoders drop the space before a word that stands alone.
fn words_after(
    before: Option<u32>,
    words: &[u32],
    tokenizer: &Tokenizer,
) -> Result<String, EngineError> {
    let alone = tokenizer.decode(words)?;
    let Some(before) = before else {
        return Ok(alone);
    };
    let all = std::iter::once(before).chain(words.iter().copied());
    let all: Vec<u32> = all.collect();
    let (first, both) = (tokenizer.decode(&[before])?, tokenizer.decode(&all)?);
    Ok(both.strip_prefix(&first).map_or(alone, str::to_owned))
}

#[cfg(test)]
mod tests {
    use moescope_core::Sample;

    use super::*;

    const TEXT: &str = "The enzyme lowers";

    /// The text's tokens with their places, and those of further words without.
    fn planned(tokenizer: &Tokenizer, keep: usize, words: &str) -> PlannedSample {
        let own = tokenizer.encode(TEXT).unwrap();
        let own = own.iter().take(keep);
        let own = own.map(|token| PlannedToken::new(token.id, token.bytes, token.is_special));
        let further = tokenizer.encode_as_is(words).unwrap();
        let further = further.iter();
        let further = further.map(|token| PlannedToken::new(token.id, None, false));
        PlannedSample {
            sample: Sample {
                text: TEXT.to_owned(),
                ..Sample::default()
            },
            tokens: own.chain(further).collect(),
        }
    }

    /// The text with one space between words: a tokenizer may put another before a piece.
    fn spaced(text: &str) -> String {
        let words: Vec<&str> = text.split_whitespace().collect();
        words.join(" ")
    }

    #[test]
    fn words_follow_the_text_that_was_kept() {
        let tokenizer = Tokenizer::open(&moescope_testkit::scidfm_mini()).unwrap();
        let all = tokenizer.encode(TEXT).unwrap().len();
        let read = |planned: &PlannedSample| given_text(planned, &tokenizer).unwrap();
        assert_eq!(read(&planned(&tokenizer, all, "")), TEXT);
        let longer = planned(&tokenizer, all, " the energy");
        assert_eq!(spaced(&read(&longer)), "The enzyme lowers the energy");
        // Whatever the tokens are, less of the text is left.
        let cut = read(&planned(&tokenizer, all - 1, ""));
        assert!(TEXT.starts_with(&cut) && cut.len() < TEXT.len(), "{cut}");
        let other = read(&planned(&tokenizer, all - 1, " raises"));
        assert_eq!(spaced(&other), spaced(&format!("{cut} raises")));
    }

    #[test]
    fn words_of_a_reply_are_a_message_of_their_own() {
        let tokenizer = Tokenizer::open(&moescope_testkit::scidfm_mini()).unwrap();
        let all = tokenizer.encode(TEXT).unwrap().len();
        let mut said = planned(&tokenizer, all, "a catalyst");
        let mark = PlannedToken::of_template(said.tokens[0].id, None, false);
        said.tokens.insert(all, mark);
        let text = given_text(&said, &tokenizer).unwrap();
        let (question, answer) = text.split_once("\n\n").unwrap();
        assert_eq!((question, spaced(answer)), (TEXT, "a catalyst".to_owned()));
    }
}
