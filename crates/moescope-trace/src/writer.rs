//! Writing a trace, shard by shard.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use moescope_core::{Discipline, Sample};

use crate::{
    card,
    columns::{profiles, routing, samples, tokens},
    durable,
    error::TraceError,
    folder,
    lock::Lock,
    manifest::{Manifest, Performance, prepare},
    merging, profile,
    record::{ProfileRecord, SampleRecord, record_error},
    samples_reader,
    schema::Table,
    shard_writer::ShardWriter,
};

/// What a trace keeps, and how long its shards are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterConfig {
    /// A shard is cut at the first batch end at which it has this many decisions; shorter ones are merged up to it.
    pub shard_decisions: u64,
    /// Whether `samples.text` and `tokens.text` are kept.
    pub keep_text: bool,
    /// Whether router logits are kept; they are most of a trace's bytes.
    pub keep_logits: bool,
    /// Whether floats in `routing` keep all 24 significant bits instead of 11.
    pub full_precision: bool,
}

impl Default for WriterConfig {
    fn default() -> Self {
        Self {
            shard_decisions: 2_000_000,
            keep_text: true,
            keep_logits: false,
            full_precision: false,
        }
    }
}

/// What is known only when a capture ends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CaptureSummary {
    /// Seconds that this session took.
    pub elapsed_secs: f64,
    /// Tokens that this session ran through the model.
    pub tokens: u64,
    /// RFC 3339 time of the end, from the caller's clock.
    pub finished_at: Option<String>,
}

/// Writes a trace so that a kill at any moment loses at most the samples since the last cut.
///
/// Records go in by [`Self::append`] in sample order; [`Self::end_batch`] says where a batch of them ends.
/// Shards are cut only there.
/// A shard that is long enough is cut by itself. A writer knows no clock: who would lose too much time before that
/// cuts by [`Self::flush_shard`], and so does who stops; a writer that is dropped discards what is in no shard.
/// Shards that are shorter are merged again when they hold enough together, and when the trace is finished.
/// A writer that returned an I/O error takes no more rows; what its manifest lists is intact.
pub struct TraceWriter {
    path: PathBuf,
    manifest: Manifest,
    config: WriterConfig,
    lock: Lock,
    ids: BTreeSet<String>,
    licences: BTreeMap<Option<String>, u64>,
    shard: Option<ShardWriter>,
    next_sample: u32,
    is_inside_batch: bool,
    has_failed: bool,
    /// Whether shards are merged on the way: not any more once the disk had no room, for each try would fill it.
    has_room_to_merge: bool,
}

impl TraceWriter {
    /// Starts a trace in a folder that does not exist yet or is empty.
    ///
    /// # Errors
    /// When the folder holds anything, or the manifest is not one of a trace.
    pub fn create(
        path: &Path,
        manifest: Manifest,
        config: WriterConfig,
    ) -> Result<Self, TraceError> {
        let manifest = prepare(path, manifest, &config)?;
        if !folder::is_absent_or_empty(path)? {
            return Err(TraceError::NotEmpty {
                path: path.to_owned(),
            });
        }
        Self::start(path, manifest, config)
    }

    /// Continues the trace in a folder, or starts it where nothing is there.
    ///
    /// Files that an interrupted writer left are removed; shards in the manifest are kept.
    ///
    /// # Errors
    /// When the folder holds something else, when a shard is missing or has another length, when another process
    /// writes the trace, or when the rows would not continue those that are there (the error names the field).
    pub fn resume(
        path: &Path,
        manifest: &Manifest,
        config: WriterConfig,
    ) -> Result<Self, TraceError> {
        let wanted = prepare(path, manifest.clone(), &config)?;
        if folder::is_unstarted(path)? {
            return Self::start(path, wanted, config);
        }
        Manifest::read(path)?.check_resumable(&wanted, path)?;
        let lock = Lock::take(path)?;
        // Only what is read under the lock is certain to stay.
        let manifest = Manifest::read(path)?;
        folder::check_shards(path, &manifest)?;
        folder::create_tables(path)?;
        folder::remove_leftovers(path, &manifest)?;
        let mut writer = Self::new(path, manifest, config, lock);
        writer.read_samples()?;
        Ok(writer)
    }

    fn start(path: &Path, manifest: Manifest, config: WriterConfig) -> Result<Self, TraceError> {
        fs::create_dir_all(path)
            .map_err(|error| TraceError::io("create the trace's folder", path, error))?;
        let lock = Lock::take(path)?;
        folder::create_tables(path)?;
        folder::remove_leftovers(path, &manifest)?;
        manifest.write(path)?;
        if let Some(parent) = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            // The new folder's own name; a parent that may not be read cannot be synced, and need not be.
            drop(durable::sync_folder(parent));
        }
        Ok(Self::new(path, manifest, config, lock))
    }

    fn new(path: &Path, manifest: Manifest, config: WriterConfig, lock: Lock) -> Self {
        let next_sample = manifest
            .shards
            .last()
            .map_or(0, |shard| shard.first_sample + shard.samples);
        Self {
            path: path.to_owned(),
            manifest,
            config,
            lock,
            ids: BTreeSet::new(),
            licences: BTreeMap::new(),
            shard: None,
            next_sample,
            is_inside_batch: false,
            has_failed: false,
            has_room_to_merge: true,
        }
    }

    /// The trace's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The manifest as it is on the disk.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The number of the sample that comes next.
    pub(crate) fn next_sample(&self) -> u32 {
        self.next_sample
    }

    /// Fills in what is known of the source only when all of it has been read; it reaches the disk with the next shard.
    pub(crate) fn amend(&mut self, change: impl FnOnce(&mut Manifest)) {
        change(&mut self.manifest);
    }

    /// Samples that are on the disk for good; a resumed capture goes on after them.
    #[must_use]
    pub fn completed_samples(&self) -> u32 {
        self.manifest
            .shards
            .last()
            .map_or(0, |shard| shard.first_sample + shard.samples)
    }

    /// Whether the trace was finished, so that there is nothing to add.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.manifest.complete
    }

    /// Adds one document; documents come in sample order.
    ///
    /// # Errors
    /// [`TraceError::Record`] when the record breaks a rule of the format (nothing of it is written then),
    /// else when the disk refuses.
    pub fn append(&mut self, record: SampleRecord) -> Result<(), TraceError> {
        self.admit(record.sample, &record.meta, record.tokens.len())?;
        if self.manifest.profiles_only {
            return Err(self.misuse(
                "append a record with decisions",
                "the manifest says profiles_only",
            ));
        }
        record.check(&self.manifest)?;
        let sums = profile::profiles(
            &record.tokens,
            &record.decisions,
            &self.manifest.model.gating,
        );
        let row = samples::SampleRow {
            sample: record.sample,
            has_text: self.config.keep_text,
            num_tokens: count_of(record.sample, &record.meta, record.tokens.len())?,
            num_prompt_tokens: record.num_prompt_tokens,
            seed: record.seed,
            meta: record.meta,
        };
        let batches = [
            samples::to_batch(&row, &self.manifest.label_columns),
            tokens::to_batch(row.sample, &record.tokens, self.config.keep_text),
            routing::to_batch(
                row.sample,
                record.decisions,
                self.config.keep_logits,
                self.config.full_precision,
            ),
            profiles::to_batch(row.sample, &sums),
        ];
        self.write(row.meta, batches)
    }

    /// Adds one document of which only sums are known; the manifest must say `profiles_only`.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_profiles(&mut self, record: ProfileRecord) -> Result<(), TraceError> {
        self.admit(record.sample, &record.meta, 0)?;
        if !self.manifest.profiles_only {
            return Err(self.misuse(
                "append a record of sums",
                "the manifest does not say profiles_only",
            ));
        }
        record.check(&self.manifest)?;
        let row = samples::SampleRow {
            sample: record.sample,
            has_text: self.config.keep_text,
            num_tokens: record.num_tokens,
            num_prompt_tokens: None,
            seed: None,
            meta: record.meta,
        };
        let model = &self.manifest.model;
        let nothing = moescope_core::DecisionBatch::ids_only(
            usize::from(model.num_experts),
            usize::from(model.top_k),
        );
        let batches = [
            samples::to_batch(&row, &self.manifest.label_columns),
            tokens::to_batch(row.sample, &[], false),
            routing::to_batch(row.sample, nothing, false, true),
            profiles::to_batch(row.sample, &record.profiles),
        ];
        self.write(row.meta, batches)
    }

    /// Says that a batch of records ended; a shard that is long enough is cut here.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn end_batch(&mut self) -> Result<(), TraceError> {
        self.is_inside_batch = false;
        let is_long = self
            .shard
            .as_ref()
            .is_some_and(|shard| shard.decisions() >= self.config.shard_decisions);
        if is_long { self.cut() } else { Ok(()) }
    }

    /// Cuts the shard now, so that a capture can stop or be killed without losing rows; only between batches.
    ///
    /// # Errors
    /// Inside a batch, and when the disk refuses.
    pub fn flush_shard(&mut self) -> Result<(), TraceError> {
        if self.is_inside_batch {
            return Err(self.misuse(
                "cut a shard",
                "a batch has begun and not ended; cut after end_batch",
            ));
        }
        self.cut()
    }

    /// Writes the last shard and the dataset card, and marks the trace complete.
    ///
    /// # Errors
    /// When the disk refuses; the trace can then be resumed.
    pub fn finish(mut self, summary: CaptureSummary) -> Result<Manifest, TraceError> {
        self.check_writable("finish the trace")?;
        if self.shard.is_none() && self.manifest.shards.is_empty() {
            // An empty table is a file without rows; no file at all would be an error to every reader.
            self.shard = Some(ShardWriter::create(&self.path, &self.manifest)?);
        }
        self.cut()?;
        merging::merge_rest(&self.path, &mut self.manifest, self.config.shard_decisions)?;
        let mut manifest = self.manifest.clone();
        manifest.times.finished_at = summary.finished_at;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a rate is printed with a few digits"
        )]
        let tokens_per_sec =
            (summary.elapsed_secs > 0.0).then(|| summary.tokens as f64 / summary.elapsed_secs);
        manifest.performance = Some(Performance {
            elapsed_secs: summary.elapsed_secs,
            tokens: summary.tokens,
            tokens_per_sec,
        });
        manifest.complete = true;
        card::write(&self.path, &manifest, &self.licences)?;
        manifest.write(&self.path)?;
        self.manifest = manifest;
        Ok(self.manifest.clone())
    }

    /// Checks everything about a record that does not concern its rows.
    fn admit(&self, sample: u32, meta: &Sample, tokens: usize) -> Result<(), TraceError> {
        self.check_writable("append a record")?;
        let reason = if sample != self.next_sample {
            format!(
                "sample {} was expected; samples are numbered without gaps",
                self.next_sample
            )
        } else if meta.id.is_empty() {
            "its id is empty".to_owned()
        } else if self.ids.contains(&meta.id) {
            "its id occurred before; ids are unique within a trace".to_owned()
        } else if let Some(label) = self.undeclared_label(meta) {
            format!("its label '{label}' is not in the manifest's label_columns")
        } else if u32::try_from(tokens).is_err() {
            "it has more tokens than a trace can number".to_owned()
        } else {
            return Ok(());
        };
        Err(record_error(sample, meta, reason))
    }

    fn undeclared_label<'a>(&self, meta: &'a Sample) -> Option<&'a String> {
        let declared = &self.manifest.label_columns;
        meta.labels.keys().find(|name| !declared.contains(name))
    }

    fn write(
        &mut self,
        meta: Sample,
        batches: [arrow_array::RecordBatch; 4],
    ) -> Result<(), TraceError> {
        // From here on a failure leaves a half-written shard behind.
        self.has_failed = true;
        if self.shard.is_none() {
            self.shard = Some(ShardWriter::create(&self.path, &self.manifest)?);
        }
        if let Some(shard) = &mut self.shard {
            shard.append(meta.discipline.as_ref().map(Discipline::as_str), batches)?;
        }
        self.has_failed = false;
        self.next_sample += 1;
        self.is_inside_batch = true;
        *self.licences.entry(meta.licence).or_default() += 1;
        self.ids.insert(meta.id);
        Ok(())
    }

    fn cut(&mut self) -> Result<(), TraceError> {
        self.check_writable("cut a shard")?;
        if let Some(shard) = self.shard.take() {
            self.has_failed = true;
            shard.commit(&mut self.manifest)?;
            let usual = self.config.shard_decisions;
            if self.has_room_to_merge {
                self.has_room_to_merge =
                    merging::merge_where_full(&self.path, &mut self.manifest, usual)?;
            }
            self.has_failed = false;
        }
        Ok(())
    }

    fn check_writable(&self, action: &'static str) -> Result<(), TraceError> {
        if self.has_failed {
            return Err(self.misuse(action, "an earlier write failed; resume the trace"));
        }
        if self.manifest.complete {
            return Err(self.misuse(action, "the trace is complete"));
        }
        Ok(())
    }

    fn misuse(&self, action: &'static str, reason: &'static str) -> TraceError {
        TraceError::Misuse {
            action,
            reason,
            path: self.path.clone(),
        }
    }

    /// Learns the ids and licences that a resumed trace already has.
    fn read_samples(&mut self) -> Result<(), TraceError> {
        for shard in &self.manifest.shards {
            let path = self.path.join(Table::Samples.shard_file(shard.index));
            samples_reader::for_each_key(&path, &self.manifest, |id, licence| {
                self.ids.insert(id.to_owned());
                *self.licences.entry(licence.map(str::to_owned)).or_default() += 1;
            })?;
        }
        Ok(())
    }
}

impl Drop for TraceWriter {
    fn drop(&mut self) {
        if let Some(shard) = self.shard.take() {
            shard.discard();
        }
        self.lock.release();
    }
}

fn count_of(sample: u32, meta: &Sample, tokens: usize) -> Result<u32, TraceError> {
    u32::try_from(tokens)
        .map_err(|_| record_error(sample, meta, "it has too many tokens".to_owned()))
}
