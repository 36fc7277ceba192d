//! A branch as the worker has it: the engine's sequence, with its prompt, its text and what ends it.

use moescope_core::{Phase, Role};
use moescope_engine::{
    ChatMessage, EngineError, Growth, GrowthConfig, Interventions, SamplingConfig, Tokenizer,
    most_likely,
};

use super::{
    BranchId, BranchInfo, BranchState, Candidate, Given, LiveColumns, LiveToken, StartConfig,
    given_text::given_text, prompt::Prompt,
};
use crate::{
    capture::{PlannedSample, PlannedToken, token_text},
    clock,
    error::PipelineError,
    generate::text_stream::TextStream,
    model::LoadedModel,
    prompt::{PromptConfig, PromptDescription, prompt_id},
};

/// So many tokens that may come next are told.
const CANDIDATES: usize = 8;

/// A branch that can grow.
#[derive(Clone)]
pub(super) struct Growing<'m> {
    pub(super) info: BranchInfo,
    pub(super) state: BranchState,
    pub(super) growth: Growth<'m>,
    /// The given tokens, with their places in the prompt's text.
    pub(super) planned: PlannedSample,
    pub(super) description: PromptDescription,
    pub(super) stop: Vec<String>,
    pub(super) is_saved: bool,
    /// Seconds that its own tokens took.
    pub(super) secs: f64,
    /// When it was made, RFC 3339.
    pub(super) started_at: String,
    framing: PromptConfig,
    /// Whether the given tokens are others than those of the prompt that its description has.
    is_rewritten: bool,
    /// Tokens of the prompt as it was read: what comes after them is the model's reply, drawn or put in its mouth.
    reply_at: usize,
    stop_tokens: Vec<u32>,
    stream: TextStream,
    /// Tokens that were told.
    told: usize,
}

impl<'m> Growing<'m> {
    /// Reads a prompt.
    pub(super) fn start(
        loaded: &'m LoadedModel,
        id: BranchId,
        config: &StartConfig,
        keeps_logits: bool,
    ) -> Result<Self, PipelineError> {
        let mut framing = config.framing.clone();
        if let Some(chat) = &mut framing.chat {
            // A conversation that goes on past midnight has one date.
            chat.date.get_or_insert_with(clock::today);
        }
        let prompt = Prompt::read(loaded, &framing, &[], &config.prompt)?;
        let interventions = Interventions::new(config.interventions.clone(), loaded.model.spec())?;
        let growth = Growth::new(
            &loaded.model,
            &prompt.ids(),
            GrowthConfig {
                sampling: config.sampling.clone(),
                keeps_logits,
            },
            interventions,
        )?;
        let mut growing = Self {
            info: BranchInfo {
                id,
                parent: None,
                prompt: config.prompt.clone(),
                messages: prompt.messages,
                is_chat: framing.chat.is_some(),
                system: framing.chat.as_ref().and_then(|chat| chat.system.clone()),
                is_plain: true,
                sampling: config.sampling.clone(),
                interventions: Vec::new(),
            },
            state: BranchState::Paused,
            growth,
            reply_at: prompt.planned.tokens.len(),
            planned: prompt.planned,
            description: prompt.description,
            stop: config.stop.clone(),
            is_saved: false,
            secs: 0.0,
            started_at: clock::now(),
            framing,
            is_rewritten: false,
            stop_tokens: prompt.stop_tokens,
            stream: TextStream::new(&config.stop),
            told: 0,
        };
        growing.note_changes();
        Ok(growing)
    }

    /// The first `keep` tokens as a branch of their own; the last of them is told anew, with what could come next.
    pub(super) fn fork(
        &self,
        id: BranchId,
        keep: usize,
        tokenizer: &Tokenizer,
    ) -> Result<Self, PipelineError> {
        let mut fork = self.clone();
        fork.growth.cut(keep)?;
        fork.planned.tokens.truncate(keep);
        fork.note_cut(keep);
        if keep < self.planned.tokens.len() {
            fork.name_anew(tokenizer)?;
        }
        fork.become_branch(id, (self.info.id, keep));
        fork.told = keep - 1;
        fork.read_again(tokenizer)?;
        Ok(fork)
    }

    /// The first `keep` tokens and other words after them, all of it a prompt.
    pub(super) fn give(
        &self,
        id: BranchId,
        keep: usize,
        given: &Given,
        tokenizer: &Tokenizer,
    ) -> Result<Self, PipelineError> {
        self.check_keep(keep)?;
        let ids: Vec<u32> = match given {
            Given::Text(text) => {
                let tokens = tokenizer.encode_as_is(text)?;
                tokens.iter().map(|token| token.id).collect()
            }
            Given::Token(id) => vec![*id],
        };
        let mut new = self.clone();
        new.growth.rewrite(keep, &ids)?;
        new.is_rewritten = true;
        new.planned.tokens.truncate(keep);
        new.note_cut(keep);
        // Words put into the user's message are the user's.
        let within = self.planned.tokens.get(keep).and_then(|token| token.role);
        let role = within.unwrap_or_else(|| self.planned.reply_role());
        let known = new.planned.tokens.len();
        let further = &new.growth.record().tokens[known..];
        let planned = further.iter().map(|token| {
            PlannedToken::new(token.id, None, tokenizer.is_special(token.id)).of_role(role)
        });
        let planned: Vec<PlannedToken> = planned.collect();
        new.planned.tokens.extend(planned);
        new.name_anew(tokenizer)?;
        new.become_branch(id, (self.info.id, keep));
        new.told = 0;
        new.read_again(tokenizer)?;
        Ok(new)
    }

    /// Another prompt in the same frame; in a conversation, another last message.
    pub(super) fn edit(
        &self,
        loaded: &LoadedModel,
        id: BranchId,
        prompt: &str,
    ) -> Result<Self, PipelineError> {
        let earlier = self.info.messages.split_last();
        let earlier = earlier.map_or(&[][..], |(_, earlier)| earlier);
        self.read_on(loaded, id, earlier, prompt)
    }

    /// The conversation so far, the reply as it stands, and the user's next message.
    pub(super) fn reply(
        &self,
        loaded: &LoadedModel,
        id: BranchId,
        message: &str,
    ) -> Result<Self, PipelineError> {
        let refuse = |why: &str| Err(PipelineError::Settings(why.to_owned()));
        if self.framing.chat.is_none() {
            return refuse(
                "this line is a text that goes on, not a conversation; start one with the chat switched on",
            );
        }
        if self.info.messages.is_empty() {
            return refuse(
                "this line was cut or given other words within its prompt, so that its messages are not known any more; \
                 go on from another line, or start anew",
            );
        }
        if self.growth.len() <= self.reply_at {
            return refuse("the model has not replied yet; let it write first");
        }
        if message.trim().is_empty() {
            return refuse("the message is empty; write some text");
        }
        let mut earlier = self.info.messages.clone();
        earlier.push(ChatMessage {
            role: Role::Assistant,
            content: self.words_of_reply(&loaded.files.tokenizer)?,
        });
        self.read_on(loaded, id, &earlier, message)
    }

    /// A branch with another prompt; tokens that both begin with are not computed again.
    fn read_on(
        &self,
        loaded: &LoadedModel,
        id: BranchId,
        earlier: &[ChatMessage],
        prompt: &str,
    ) -> Result<Self, PipelineError> {
        let read = Prompt::read(loaded, &self.framing, earlier, prompt)?;
        let ids = read.ids();
        let old = self.growth.record().tokens.iter().map(|token| token.id);
        let same = old.zip(&ids).take_while(|(old, new)| old == *new).count();
        // The last token is computed again even where all are the same: what follows it is needed.
        let mut new = self.clone();
        new.growth.rewrite(same, &ids[same..])?;
        new.is_rewritten = false;
        new.reply_at = read.planned.tokens.len();
        new.planned = read.planned;
        new.description = read.description;
        prompt.clone_into(&mut new.info.prompt);
        new.info.messages = read.messages;
        new.become_branch(id, (self.info.id, same));
        new.told = 0;
        new.read_again(&loaded.files.tokenizer)?;
        Ok(new)
    }

    /// The same prompt from the start, under other interventions.
    pub(super) fn again(
        &self,
        loaded: &'m LoadedModel,
        id: BranchId,
        interventions: Interventions,
        keeps_logits: bool,
    ) -> Result<Self, PipelineError> {
        let given = self.growth.record().num_prompt_tokens;
        let tokens = &self.growth.record().tokens[..given];
        let prompt: Vec<u32> = tokens.iter().map(|token| token.id).collect();
        let growth = Growth::new(
            &loaded.model,
            &prompt,
            GrowthConfig {
                sampling: self.growth.sampling().clone(),
                keeps_logits,
            },
            interventions,
        )?;
        let mut new = Self {
            growth,
            ..self.clone()
        };
        new.become_branch(id, (self.info.id, given));
        new.told = 0;
        new.read_again(&loaded.files.tokenizer)?;
        Ok(new)
    }

    /// Draws a token; says what can be added to the reply's text, and whether the reply has ended.
    pub(super) fn draw(
        &mut self,
        tokenizer: &Tokenizer,
    ) -> Result<(String, Option<End>), PipelineError> {
        let id = self.growth.draw()?;
        self.is_saved = false;
        let text = self.stream.push(tokenizer, id)?;
        let end = if self.stream.is_stopped() {
            Some(End::StopText)
        } else if self.stop_tokens.contains(&id) {
            Some(End::Token)
        } else if self.growth.room() == 0 {
            Some(End::Context)
        } else {
            None
        };
        Ok((text, end))
    }

    /// The text that was held back because a stop text might have begun.
    pub(super) fn finish_text(&mut self, tokenizer: &Tokenizer) -> Result<String, PipelineError> {
        Ok(self.stream.finish(tokenizer)?)
    }

    /// Puts what is in force into the branch's description.
    pub(super) fn note_changes(&mut self) {
        let stretches = self.growth.stretches().iter();
        self.info.interventions = stretches
            .map(|(first, interventions)| (*first, interventions.specs()))
            .collect();
        // What no token was computed under yet.
        let now = self.growth.interventions();
        if self
            .growth
            .stretches()
            .last()
            .is_none_or(|(_, last)| last != now)
        {
            let next = (self.growth.len(), now.specs());
            self.info.interventions.push(next);
        }
        self.info.sampling = self.growth.sampling().clone();
        self.info.is_plain = !self.is_rewritten
            && self.info.messages.len() <= 1
            && self.info.interventions.len() == 1
            && self.growth.samplings().len() <= 1
            && self.last_sampling() == self.growth.sampling();
    }

    /// The tokens that were not told yet, with their routing.
    pub(super) fn untold(&mut self, tokenizer: &Tokenizer) -> LiveColumns {
        let record = self.growth.record();
        let (first, end) = (self.told, record.tokens.len());
        let decisions = &record.decisions;
        let layers = decisions.len() / end.max(1);
        let mut columns = LiveColumns::new(
            decisions.layer[..layers].to_vec(),
            decisions.num_experts(),
            decisions.top_k(),
        );
        let tokens = (first..end).map(|place| self.live_token(place, tokenizer));
        columns.extend(tokens.collect(), decisions, first * layers);
        self.told = end;
        columns
    }

    fn live_token(&self, place: usize, tokenizer: &Tokenizer) -> LiveToken {
        let tokens = &self.growth.record().tokens;
        let token = tokens[place];
        let given = self.planned.tokens.get(place);
        let is_special = given.map_or_else(|| tokenizer.is_special(token.id), |g| g.is_special);
        let text = token_text(&self.planned, self.growth.record(), place, tokenizer);
        let is_last = place + 1 == tokens.len();
        let logits = self.growth.next_logits().filter(|_| is_last);
        let next = logits.map_or_else(Vec::new, |logits| {
            let candidates = most_likely(logits, CANDIDATES).into_iter();
            let candidate = |(id, probability)| Candidate {
                id,
                text: tokenizer.piece(id).into(),
                probability,
            };
            candidates.map(candidate).collect()
        });
        LiveToken {
            id: token.id,
            text: text.into(),
            phase: token.phase.unwrap_or(Phase::Decode),
            is_content: !is_special && !given.is_some_and(|given| given.is_template),
            surprisal: token.surprisal,
            next,
        }
    }

    /// How the last drawn token was drawn; before the first, how it will be.
    pub(super) fn last_sampling(&self) -> &SamplingConfig {
        let used = self.growth.samplings().last();
        used.map_or_else(|| self.growth.sampling(), |(_, sampling)| sampling)
    }

    /// Whether a stop text has ended the reply.
    pub(super) fn is_stopped(&self) -> bool {
        self.stream.is_stopped()
    }

    /// The reply's text so far.
    pub(super) fn reply_text(&self) -> &str {
        self.stream.text()
    }

    /// What the model replied, without what ended it.
    fn words_of_reply(&self, tokenizer: &Tokenizer) -> Result<String, PipelineError> {
        let mut stream = TextStream::new(&self.stop);
        let mut reply = &self.growth.record().tokens[self.reply_at..];
        if let Some((last, before)) = reply.split_last()
            && self.stop_tokens.contains(&last.id)
        {
            reply = before;
        }
        for token in reply {
            stream.push(tokenizer, token.id)?;
        }
        stream.finish(tokenizer)?;
        Ok(stream.into_text())
    }

    /// Of a prompt that was cut, the messages are not known.
    fn note_cut(&mut self, keep: usize) {
        if keep < self.reply_at {
            self.info.messages.clear();
            self.reply_at = keep;
            self.is_rewritten = true;
        }
    }

    /// Makes the text of all given tokens the sample's, and names the sample by it: other words are another document, and
    /// traces of both are not to be paired.
    fn name_anew(&mut self, tokenizer: &Tokenizer) -> Result<(), PipelineError> {
        let text = given_text(&self.planned, tokenizer)?;
        let sample = &mut self.planned.sample;
        sample.id = prompt_id(&text);
        sample.text = text;
        Ok(())
    }

    fn become_branch(&mut self, id: BranchId, parent: (BranchId, usize)) {
        self.info.id = id;
        self.info.parent = Some(parent);
        self.state = BranchState::Paused;
        self.is_saved = false;
        self.secs = 0.0;
        self.started_at = clock::now();
        self.note_changes();
    }

    /// Makes the reply's text of the drawn tokens anew.
    fn read_again(&mut self, tokenizer: &Tokenizer) -> Result<(), PipelineError> {
        self.stream = TextStream::new(&self.stop);
        let record = self.growth.record();
        for token in &record.tokens[record.num_prompt_tokens..] {
            self.stream.push(tokenizer, token.id)?;
        }
        Ok(())
    }

    fn check_keep(&self, keep: usize) -> Result<(), PipelineError> {
        if (1..=self.growth.len()).contains(&keep) {
            return Ok(());
        }
        Err(PipelineError::Engine(EngineError::Execution(format!(
            "cannot keep {keep} of {} tokens",
            self.growth.len()
        ))))
    }
}

/// Why a reply has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The model said so.
    Token,
    /// A stop text came.
    StopText,
    /// The context is full.
    Context,
}
