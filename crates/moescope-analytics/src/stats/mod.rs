//! Statistics on dense arrays: information measures, resampling, permutation, and nothing of traces.

pub(crate) mod assignment_problem;
pub(crate) mod bootstrap;
pub(crate) mod correlation;
pub(crate) mod information;
pub(crate) mod interval;
pub(crate) mod normal;
pub(crate) mod permutation;
pub(crate) mod random;
pub(crate) mod statistic;
pub(crate) mod units;
