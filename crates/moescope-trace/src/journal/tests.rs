//! Whatever becomes of the file, what was appended whole comes back.

use std::fs;

use moescope_core::TokenRow;

use super::*;
use crate::{
    CaptureSummary, SampleRecord, TraceWriter, WriterConfig, durable::faults, fixture, validate,
};

fn head() -> JournalHead {
    let record = fixture::record(3);
    JournalHead {
        manifest: Manifest {
            keeps_logits: true,
            ..fixture::manifest()
        },
        meta: record.meta,
        num_prompt_tokens: 3,
        seed: 9,
    }
}

/// The seven routed tokens of document 3, with their decisions.
fn record() -> SampleRecord {
    let mut record = fixture::record(3);
    record.tokens.retain(|token| token.is_routed);
    record
}

/// A journal with the tokens in pieces that end at these places.
fn journal(path: &Path, ends: &[usize]) -> SampleJournal {
    let mut journal = SampleJournal::create(path, &head()).unwrap();
    append(&mut journal, ends);
    journal
}

fn append(journal: &mut SampleJournal, ends: &[usize]) {
    let record = record();
    let layers = fixture::LAYERS.len();
    for end in ends {
        let start = journal.tokens() as usize;
        let rows = record.decisions.rows(start * layers..end * layers);
        let secs = f64::from(u32::try_from(*end).unwrap());
        journal
            .append(secs, &record.tokens[start..*end], &rows)
            .unwrap();
    }
}

fn read(path: &Path) -> JournalledSample {
    read_journal(path).unwrap().unwrap()
}

#[test]
fn pieces_come_back_as_one_document_to_the_last_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let mut journal = journal(&path, &[2, 5]);
    let mut later = head();
    later.seed = 10;
    later.manifest.interventions = vec!["mask:1:2 from token 5".to_owned()];
    journal.change_head(&later).unwrap();
    append(&mut journal, &[7]);
    assert_eq!(journal.bytes(), fs::metadata(&path).unwrap().len());
    let found = read(&path);
    assert_eq!(found.head, later);
    assert_eq!((found.lost_bytes, found.elapsed_secs), (0, 7.0));
    let wanted = record();
    assert_eq!(found.record.tokens, wanted.tokens);
    assert_eq!(found.record.decisions, wanted.decisions);
    assert_eq!(found.record.seed, Some(10));
    // What comes back can be a trace.
    let trace = folder.path().join("trace");
    let config = WriterConfig::default();
    let mut writer = TraceWriter::create(&trace, found.head.manifest, config).unwrap();
    writer.append(found.record).unwrap();
    writer.end_batch().unwrap();
    writer.finish(CaptureSummary::default()).unwrap();
    let report = validate(&trace, &moescope_core::NoProgress).unwrap();
    assert!(report.is_valid(), "{:?}", report.violations);
}

#[test]
fn cut_anywhere_it_holds_the_pieces_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let mut written = journal(&path, &[]);
    let mut ends = vec![(written.bytes(), 0)];
    for tokens in [1, 4, 7] {
        append(&mut written, &[tokens]);
        ends.push((written.bytes(), tokens));
    }
    let whole = fs::read(&path).unwrap();
    let cut = folder.path().join("b.journal");
    for length in 0..whole.len() {
        fs::write(&cut, &whole[..length]).unwrap();
        let last = ends.iter().rfind(|(end, _)| *end <= length as u64);
        match (last, read_journal(&cut)) {
            (Some((end, 0)), found) if *end == length as u64 => {
                assert!(found.unwrap().is_none());
            }
            // A journal gets its name with its head whole, so a shorter one was damaged later; so was one that ends within
            // the first piece.
            (None | Some((_, 0)), found) => assert!(found.is_err(), "{length}"),
            (Some((end, tokens)), found) => {
                let found = found.unwrap().unwrap();
                assert_eq!(found.record.tokens, record().tokens[..*tokens], "{length}");
                assert_eq!(found.lost_bytes, length as u64 - end);
                let given = u32::try_from(*tokens).unwrap().min(3);
                assert_eq!(found.record.num_prompt_tokens, Some(given));
            }
        }
        // What a power cut may leave: the length is there, the content is not.
        fs::write(&cut, [&whole[..length], &[0; 64]].concat()).unwrap();
        if let Some((end, tokens)) = last.filter(|(_, tokens)| *tokens > 0) {
            let found = read(&cut);
            assert_eq!(found.record.tokens.len(), *tokens);
            assert_eq!(found.lost_bytes, length as u64 - end + 64);
        }
    }
}

#[test]
fn a_flipped_bit_costs_what_comes_after_it_and_a_damaged_head_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let mut written = journal(&path, &[]);
    let head_ends = usize::try_from(written.bytes()).unwrap();
    append(&mut written, &[3]);
    let first_ends = usize::try_from(written.bytes()).unwrap();
    append(&mut written, &[7]);
    let whole = fs::read(&path).unwrap();
    for place in (0..whole.len()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x10;
        fs::write(&path, &damaged).unwrap();
        let found = read_journal(&path);
        if place < head_ends {
            let error = found.unwrap_err().to_string();
            assert!(error.contains("the journal cannot be read"), "{error}");
        } else if place < first_ends {
            assert!(found.is_err());
        } else {
            let found = found.unwrap().unwrap();
            assert_eq!(found.record.tokens.len(), 3);
            assert!(found.lost_bytes > 0);
        }
    }
}

#[test]
fn other_files_are_refused_with_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let error = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        read_journal(&path).unwrap_err().to_string()
    };
    assert!(error(b"").contains("does not begin"));
    assert!(error(b"{\"name\": \"web app\", \"version\": 1}").contains("does not begin"));
    assert!(error(b"moescope journal 2\n and more").contains("does not begin"));
    // A length that the file does not have is believed of nobody.
    let mut huge = MAGIC.to_vec();
    huge.push(b'H');
    huge.extend(u64::MAX.to_le_bytes());
    huge.extend([0; 64]);
    assert!(error(&huge).contains("its head is damaged"));
    // A frame that is whole and holds something else.
    let of_payload = |payload: &[u8]| {
        let frame = frame::encode(FrameKind::Head, payload.to_vec());
        [MAGIC.as_slice(), &frame].concat()
    };
    assert!(error(&of_payload(b"{}")).contains("missing field"));
    let mut impossible = head();
    impossible.manifest.model.top_k = 7;
    let impossible = serde_json::to_vec(&impossible).unwrap();
    assert!(error(&of_payload(&impossible)).contains("top_k is 7"));
}

#[test]
fn pieces_that_contradict_their_head_are_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    journal(&path, &[3]);
    let whole = fs::read(&path).unwrap();
    let with = |kind, payload: Vec<u8>| {
        let bytes = [whole.as_slice(), &frame::encode(kind, payload)].concat();
        fs::write(&path, bytes).unwrap();
        read(&path)
    };
    // A token without its decisions.
    let mut token = record().tokens[3].clone();
    token.text = Some("x".to_owned());
    let piece = token::encode(1.0, &[token]).unwrap();
    for payload in [piece, Vec::new(), vec![0xff; 40]] {
        let found = with(FrameKind::Tokens, payload);
        assert_eq!(found.record.tokens, record().tokens[..3]);
        assert!(found.lost_bytes > 0);
    }
    let mut other = head();
    other.manifest.model.num_experts = 5;
    let found = with(FrameKind::Head, serde_json::to_vec(&other).unwrap());
    assert_eq!(found.head, head());
}

#[test]
fn what_would_leave_a_hole_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let mut journal = journal(&path, &[2]);
    let before = journal.bytes();
    let record = record();
    let mut refused = |tokens: &[TokenRow], rows| {
        let rows = record.decisions.rows(rows);
        assert!(matches!(
            journal.append(0.0, tokens, &rows),
            Err(TraceError::Misuse { .. })
        ));
    };
    refused(&record.tokens[3..4], 6..8);
    refused(&record.tokens[2..3], 4..5);
    let unrouted = TokenRow {
        is_routed: false,
        ..record.tokens[2].clone()
    };
    refused(&[unrouted], 4..6);
    assert_eq!(journal.bytes(), before);
    assert!(SampleJournal::create(&path, &head()).is_err());
}

#[test]
fn a_journal_appears_with_its_head_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    // The only file operation that faults reach here comes after the name.
    faults::fail_after(Some(0));
    let created = SampleJournal::create(&path, &head());
    faults::fail_after(None);
    assert!(created.is_err());
    assert!(read_journal(&path).unwrap().is_none());
}
