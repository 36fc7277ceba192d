//! Statistics on dense arrays: information measures, resampling, permutation, and nothing of traces.

pub(crate) mod bootstrap;
pub(crate) mod change_points;
pub(crate) mod concentration;
pub(crate) mod contingency;
pub(crate) mod correlation;
pub(crate) mod count;
pub(crate) mod draws;
pub(crate) mod exact_k;
pub(crate) mod histogram;
pub(crate) mod information;
pub(crate) mod interval;
pub(crate) mod least_squares;
pub(crate) mod logistic;
pub(crate) mod multiple;
pub(crate) mod normal;
pub(crate) mod number;
pub(crate) mod permutation;
pub(crate) mod pooled_ranks;
pub(crate) mod random;
pub(crate) mod ranking;
pub(crate) mod sparse;
pub(crate) mod statistic;
pub(crate) mod units;
