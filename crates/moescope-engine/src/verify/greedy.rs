//! Greedy tokens after a prompt, one at a time with a cache.

use super::{LargestError, Tolerances, VerifyReport, expected::Expected, least_margin};
use crate::{
    decoder::MoeModel,
    error::EngineError,
    interventions::Interventions,
    run::{BatchRun, RunConfig},
};

pub(super) fn compare(
    model: &MoeModel,
    expected: &Expected,
    lengths: &[String],
    tolerances: Tolerances,
    report: &mut VerifyReport,
) -> Result<(), EngineError> {
    let Some(wanted) = expected.ids_opt("generated")? else {
        return Ok(());
    };
    let prompt = if lengths.iter().any(|length| length == "7") {
        "7"
    } else {
        lengths.last().map_or("7", |l| l)
    };
    let prompt = expected.ids(&format!("input_ids.{prompt}"))?;
    let Greedy {
        logits: found,
        ids: drawn,
        certain,
    } = run(model, &prompt, wanted.len(), tolerances)?;
    let all = expected.floats("generated_logits")?;
    let vocab = model.config().vocab_size;
    let mut compared = 0;
    for (step, wanted_id) in wanted.iter().enumerate() {
        let mut gap = f64::INFINITY;
        if let (Some(all), Some(found)) = (&all, found.get(step)) {
            let wanted = all.get(step * vocab..(step + 1) * vocab).ok_or_else(|| {
                EngineError::Expected("generated_logits is shorter than generated".to_owned())
            })?;
            let name = format!("generated_logits, step {step}");
            let mut error = LargestError::default();
            error.compare(&name, wanted, found)?;
            if step >= certain && error.largest > tolerances.logits {
                // Some near tie went the other way, and what follows is another computation.
                break;
            }
            report.logits.compare(&name, wanted, found)?;
            gap = gap_of_two(wanted);
        } else if step >= certain {
            break;
        }
        report.greedy_tokens += 1;
        if drawn.get(step) != Some(wanted_id) {
            // From here on the two texts differ; comparing further would count one difference many times.
            report.differing_greedy += 1;
            // Each of the two logits may be wrong by the tolerance.
            let is_near_tie = tolerances.near_tie > 0.0 && gap <= 2.0 * tolerances.logits;
            report.greedy_near_ties += u64::from(is_near_tie);
            compared = wanted.len();
            break;
        }
        compared += 1;
    }
    report.downstream_greedy += (wanted.len() - compared) as u64;
    Ok(())
}

/// Tokens drawn greedily.
struct Greedy {
    /// Logits that each was drawn from.
    logits: Vec<Vec<f32>>,
    ids: Vec<u32>,
    /// How many of them no selection within the near-tie margin precedes. After one that went the other way nothing can
    /// be compared.
    certain: usize,
}

fn run(
    model: &MoeModel,
    prompt: &[u32],
    tokens: usize,
    tolerances: Tolerances,
) -> Result<Greedy, EngineError> {
    let config = RunConfig {
        records_routing: tolerances.near_tie > 0.0,
        records_surprisal: false,
        max_new_tokens: tokens + 1,
        ..RunConfig::default()
    };
    let mut run = BatchRun::new(
        model,
        &[prompt.to_vec()],
        &[0],
        config,
        Interventions::default(),
    );
    run.prefill()?;
    let (mut logits, mut drawn) = (Vec::new(), Vec::new());
    for _ in 0..tokens {
        logits.extend(run.last_logits(0).map(<[f32]>::to_vec));
        drawn.extend(run.decode_step()?.iter().map(|(_, id)| *id));
    }
    let decisions = run.finish().pop().map(|record| record.decisions);
    let first_uncertain = decisions.and_then(|decisions| {
        (0..decisions.len())
            .filter(|row| tolerances.is_near_tie(least_margin(model, &decisions, *row)))
            .map(|row| decisions.position[row] as usize)
            .min()
    });
    let certain = first_uncertain.map_or(tokens, |position| {
        // The token after position p is drawn from what positions up to p gave.
        (position + 1).saturating_sub(prompt.len())
    });
    Ok(Greedy {
        logits,
        ids: drawn,
        certain,
    })
}

/// The largest number less the second largest.
fn gap_of_two(values: &[f32]) -> f64 {
    let (mut first, mut second) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    for value in values {
        if *value > first {
            (first, second) = (*value, first);
        } else if *value > second {
            second = *value;
        }
    }
    f64::from(first) - f64::from(second)
}
