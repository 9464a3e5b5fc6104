#![doc = include_str!("../README.md")]

mod hedge;
mod histogram;

pub use hedge::{Hedge, HedgeConfig, HedgeFuture, HedgeLayer, HedgeService, HedgeSnapshot};
