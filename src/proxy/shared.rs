//! What all requests share.

use crate::config::snapshot::Snapshot;
use crate::limits::buffers::Buffers;
use crate::relay::Wires;
use crate::telemetry::access::AccessLog;
use crate::telemetry::metrics::Metrics;
use arc_swap::ArcSwap;
use std::sync::Arc;

pub struct Shared {
    pub snapshot: ArcSwap<Snapshot>,
    pub wires: Wires,
    pub buffers: Arc<Buffers>,
    pub metrics: Arc<Metrics>,
    /// None where the level says that nobody reads it.
    pub access: Option<AccessLog>,
}
