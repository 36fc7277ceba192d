//! The top tokens of experts as a typeset table with bars: what an expert reacts to.

mod blocks;
mod token_text;

use blocks::{Block, Entry, Table};
use moescope_core::{Axis, AxisKind, Measurement};
use token_text::token_text;

use crate::{
    FigureAbout, FigureError, FigureKind, FigureOptions,
    page::{self, Drawn, Words},
    slice::{Needs, index_of, slice},
    text::clean,
};

/// Typesets the tokens with the largest values of each expert.
#[derive(Clone, Copy, Debug)]
pub struct VocabularyTable;

const NEEDS: Needs = Needs {
    figure: "vocabulary_table",
    axes: "layer × expert × token, or token or rank with the tokens as labels and the experts as classes",
};

/// How many experts are shown unless others are asked for.
const MOST_EXPERTS: usize = 12;
/// How many tokens of each are shown unless another number is asked for.
const MOST_TOKENS: usize = 8;

impl FigureKind for VocabularyTable {
    fn about(&self) -> FigureAbout {
        FigureAbout {
            name: NEEDS.figure,
            summary: "The top tokens of experts with bars, white space made visible",
            axes: "layer × expert × token [× variant], or token with experts as classes",
            metrics: "top_tokens and others of one value per expert and entry of the vocabulary",
            options: &[
                ("top", "how many tokens of each expert; 8 by default"),
                (
                    "experts",
                    "the experts to show; by default the twelve with the largest values",
                ),
                ("layer", "only this layer"),
                ("variant", "the variant to draw; by default the first"),
            ],
        }
    }

    fn draw_svg(
        &self,
        measurement: &Measurement,
        options: &FigureOptions,
    ) -> Result<String, FigureError> {
        self.draw_svg_of(std::slice::from_ref(measurement), 0, options)
    }

    fn draw_svg_of(
        &self,
        tables: &[Measurement],
        index: usize,
        options: &FigureOptions,
    ) -> Result<String, FigureError> {
        let measurement = &tables[index];
        let mut options = with_variant(measurement, options);
        if options.title.is_none() {
            options.title = shared_title(&alike(tables, measurement));
        }
        let options = &options;
        let (mut blocks, subtitle) = if measurement.axis(AxisKind::Expert).is_some() {
            blocks_of_experts(tables, measurement, options)?
        } else {
            blocks_of_classes(measurement, options)?
        };
        let mut remarks = Vec::new();
        let all = blocks.len();
        let empty = blocks
            .iter()
            .filter(|block| block.entries.is_empty())
            .count();
        blocks.retain(|block| !block.entries.is_empty());
        if empty > 0 {
            remarks.push(page::counted(
                empty,
                "expert has no token with a value and is left out",
                "experts have no token with a value and are left out",
            ));
        }
        if options.experts.is_empty() && blocks.len() > MOST_EXPERTS {
            // The first of equals stays before the others.
            blocks.sort_by(|a, b| b.strength().total_cmp(&a.strength()));
            blocks.truncate(MOST_EXPERTS);
            remarks.push(format!(
                "{MOST_EXPERTS} of {all} experts, those with the largest values"
            ));
        }
        let top = options.top.map_or(MOST_TOKENS, usize::from);
        for block in &mut blocks {
            block.entries.truncate(top);
        }
        let table = Table::new(blocks, options, page::unit(measurement));
        if table.has_escapes() {
            remarks.push(
                "Letters that the figure's font lacks are written by their numbers in Unicode"
                    .to_owned(),
            );
        }
        let words = Words::new(measurement, options, &subtitle, &remarks, Drawn::default());
        let natural = table.natural_height();
        page::compose(
            &words,
            options,
            (natural, natural),
            |canvas, top, height| table.paint(canvas, top, height),
        )
    }
}

/// The options with the first variant chosen where none is: a table of tokens has one number for each.
fn with_variant(measurement: &Measurement, options: &FigureOptions) -> FigureOptions {
    let mut options = options.clone();
    if options.variant.is_none()
        && let Some((_, variants)) = measurement.axis(AxisKind::Variant)
    {
        options.variant = variants.labels.first().cloned();
    }
    options
}

/// The tables of the same metric and axes as the first one.
fn alike<'m>(tables: &'m [Measurement], first: &Measurement) -> Vec<&'m Measurement> {
    let kinds = |table: &Measurement| table.axes.iter().map(|a| a.kind).collect::<Vec<_>>();
    let is_alike =
        |table: &&Measurement| table.metric == first.metric && kinds(table) == kinds(first);
    tables.iter().filter(is_alike).collect()
}

/// What the titles of several tables of single experts have in common, up to a colon.
fn shared_title(tables: &[&Measurement]) -> Option<String> {
    if tables.len() < 2 {
        return None;
    }
    let common = |a: &str, b: &str| {
        let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
        same.map(|(c, _)| c).collect::<String>()
    };
    let shared = tables[1..]
        .iter()
        .fold(tables[0].title.clone(), |shared, table| {
            common(&shared, &table.title)
        });
    let title = shared
        .split_once(':')
        .map_or(shared.as_str(), |(title, _)| title);
    (!title.trim().is_empty()).then(|| title.trim().to_owned())
}

/// A block for each pair of layer and expert of all tables that are like the first one.
fn blocks_of_experts(
    tables: &[Measurement],
    first: &Measurement,
    options: &FigureOptions,
) -> Result<(Vec<Block>, Vec<String>), FigureError> {
    let everything = FigureOptions {
        layer: None,
        ..options.clone()
    };
    let mut found: Vec<(String, String, Block)> = Vec::new();
    let mut subtitle = Vec::new();
    for table in alike(tables, first) {
        let needed = [AxisKind::Layer, AxisKind::Expert, AxisKind::Token];
        let cells = slice(NEEDS, table, needed, &everything)?;
        let [layers, experts, tokens] = cells.axes;
        let texts: Vec<String> = tokens
            .labels
            .iter()
            .map(|token| token_text(token))
            .collect();
        for (l, layer) in layers.labels.iter().enumerate() {
            for (e, expert) in experts.labels.iter().enumerate() {
                let entries = texts.iter().enumerate().map(|(token, text)| Entry {
                    text: text.clone(),
                    value: cells.value([l, e, token]),
                });
                let name = format!("Layer {} · expert {}", clean(layer), clean(expert));
                let block = Block::new(name, entries.collect());
                found.push((layer.clone(), expert.clone(), block));
            }
        }
        // A table of one expert fixes what its heading says anyway.
        subtitle = cells.fixed;
    }
    let labels = |of: fn(&(String, String, Block)) -> &String| {
        let mut labels: Vec<String> = Vec::new();
        for label in found.iter().map(of) {
            if !labels.contains(label) {
                labels.push(label.clone());
            }
        }
        labels
    };
    let layer = options.layer.map(|layer| layer.to_string());
    if let Some(layer) = &layer {
        index_of(
            "layer",
            &Axis::new(AxisKind::Layer, labels(|b| &b.0)),
            layer,
        )?;
    }
    let experts: Vec<String> = options.experts.iter().map(ToString::to_string).collect();
    for expert in &experts {
        index_of(
            "experts",
            &Axis::new(AxisKind::Expert, labels(|b| &b.1)),
            expert,
        )?;
    }
    let blocks = found
        .into_iter()
        .filter(|(l, e, _)| {
            layer.as_ref().is_none_or(|layer| layer == l)
                && (experts.is_empty() || experts.contains(e))
        })
        .map(|(_, _, block)| block)
        .collect();
    Ok((blocks, subtitle))
}

/// A block for each class of a list of tokens, in the order in which the classes come.
fn blocks_of_classes(
    measurement: &Measurement,
    options: &FigureOptions,
) -> Result<(Vec<Block>, Vec<String>), FigureError> {
    let kind = if measurement.axis(AxisKind::Token).is_some() {
        AxisKind::Token
    } else {
        AxisKind::Rank
    };
    let list = slice(NEEDS, measurement, [kind], options)?;
    let axis: &Axis = list.axes[0];
    // Of ranks, the class is the token; of tokens, the class is the expert.
    let mut blocks: Vec<(String, Vec<Entry>)> = Vec::new();
    for (i, label) in axis.labels.iter().enumerate() {
        let class = axis.classes.as_ref().map(|classes| classes[i].as_str());
        let (token, block) = match (kind, class) {
            (AxisKind::Rank, Some(token)) => (token, ""),
            (_, class) => (label.as_str(), class.unwrap_or_default()),
        };
        let entry = Entry {
            text: token_text(token),
            value: list.value([i]),
        };
        let name = clean(block);
        match blocks.iter_mut().find(|(known, _)| *known == name) {
            Some((_, entries)) => entries.push(entry),
            None => blocks.push((name, vec![entry])),
        }
    }
    let blocks = blocks
        .into_iter()
        .map(|(name, entries)| Block::new(name, entries))
        .collect();
    Ok((blocks, list.fixed))
}
