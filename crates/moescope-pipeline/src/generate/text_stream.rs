//! Text from tokens as they come: no half characters, and nothing of a stop text.

use moescope_engine::{EngineError, Tokenizer};

/// Turns generated tokens into text that can be shown at once.
///
/// Text is held back while it ends in the middle of a character, or in what may become a stop text.
#[derive(Clone, Debug)]
pub(crate) struct TextStream {
    stop: Vec<String>,
    ids: Vec<u32>,
    /// Tokens from here on are decoded together, so that a decoder sees what stands before.
    window: usize,
    /// Tokens whose text is in `text`.
    read: usize,
    text: String,
    shown: usize,
    is_stopped: bool,
}

impl TextStream {
    pub(crate) fn new(stop: &[String]) -> Self {
        Self {
            stop: stop.to_vec(),
            ids: Vec::new(),
            window: 0,
            read: 0,
            text: String::new(),
            shown: 0,
            is_stopped: false,
        }
    }

    /// Adds a token and returns the text that can be shown now.
    pub(crate) fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> Result<String, EngineError> {
        self.ids.push(id);
        let before = tokenizer.decode(&self.ids[self.window..self.read])?;
        let with = tokenizer.decode(&self.ids[self.window..])?;
        // A replacement character at the end is a character that is not whole yet.
        if with.len() > before.len() && !with.ends_with('\u{fffd}') {
            self.accept(with.get(before.len()..).unwrap_or_default());
            self.window = self.read;
            self.read = self.ids.len();
        }
        Ok(self.show(false))
    }

    /// What was held back and is now known to be all.
    pub(crate) fn finish(&mut self, tokenizer: &Tokenizer) -> Result<String, EngineError> {
        if !self.is_stopped {
            let before = tokenizer.decode(&self.ids[self.window..self.read])?;
            let with = tokenizer.decode(&self.ids[self.window..])?;
            self.accept(with.get(before.len()..).unwrap_or_default());
            // Half a character that was shown is not shown again.
            self.window = self.read;
            self.read = self.ids.len();
        }
        Ok(self.show(true))
    }

    /// Whether a stop text came.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// All text that was shown.
    pub(crate) fn text(&self) -> &str {
        &self.text[..self.shown]
    }

    /// All text before the stop text.
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    fn accept(&mut self, new: &str) {
        if self.is_stopped {
            return;
        }
        // A stop text may have begun in the text that is there.
        let longest = self.stop.iter().map(String::len).max().unwrap_or(0);
        let mut from = self.text.len().saturating_sub(longest);
        while !self.text.is_char_boundary(from) {
            from -= 1;
        }
        self.text.push_str(new);
        let found = self
            .stop
            .iter()
            .filter(|stop| !stop.is_empty())
            .filter_map(|stop| self.text[from..].find(stop.as_str()))
            .min();
        if let Some(place) = found {
            self.text.truncate(from + place);
            self.is_stopped = true;
        }
    }

    fn show(&mut self, is_last: bool) -> String {
        let held = if is_last || self.is_stopped {
            0
        } else {
            self.held_back()
        };
        let end = (self.text.len() - held).max(self.shown);
        let new = self
            .text
            .get(self.shown..end)
            .unwrap_or_default()
            .to_owned();
        self.shown = end.min(self.text.len());
        new
    }

    /// Bytes at the end that may be the beginning of a stop text.
    fn held_back(&self) -> usize {
        self.stop
            .iter()
            .flat_map(|stop| {
                stop.char_indices()
                    .skip(1)
                    .map(move |(end, _)| &stop[..end])
            })
            .filter(|beginning| self.text.ends_with(beginning))
            .map(str::len)
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds texts as if they were tokens, and returns what was shown after each and at the end.
    fn check(stop: &[&str], texts: &[&str], shown: &[&str]) {
        let stop: Vec<String> = stop.iter().map(|text| (*text).to_owned()).collect();
        let mut stream = TextStream::new(&stop);
        let mut found: Vec<String> = Vec::new();
        for text in texts {
            stream.accept(text);
            found.push(stream.show(false));
        }
        found.push(stream.show(true));
        assert_eq!(found, shown);
    }

    #[test]
    fn what_may_be_a_stop_text_is_held_back() {
        check(&["END"], &["a E", "N", "x"], &["a ", "", "ENx", ""]);
        check(&["END"], &["a E", "ND", " more"], &["a ", "", "", ""]);
        check(
            &["\n\n", "."],
            &["one\n", "two", ". three"],
            &["one", "\ntwo", "", ""],
        );
        check(&["END"], &["a EN"], &["a ", "EN"]);
        check(&[], &["a", "b"], &["a", "b", ""]);
    }

    #[test]
    fn tokens_of_a_real_tokenizer_make_whole_characters() {
        let tokenizer = Tokenizer::open(&moescope_testkit::scidfm_mini()).unwrap();
        let text = "The π-bond costs 5 € in Kyōto.";
        let mut stream = TextStream::new(&[]);
        let mut shown = String::new();
        for token in tokenizer.encode(text).unwrap() {
            let new = stream.push(&tokenizer, token.id).unwrap();
            assert!(!new.contains('\u{fffd}'), "{new}");
            shown.push_str(&new);
        }
        shown.push_str(&stream.finish(&tokenizer).unwrap());
        assert_eq!(shown, text);
        assert_eq!(stream.into_text(), text);
    }
}
