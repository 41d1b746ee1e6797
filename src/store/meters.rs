//! The store's own numbers.

use prometheus::{IntCounter, IntGauge, Registry};

#[derive(Clone)]
pub struct Meters {
    pub written: IntCounter,
    pub dropped: IntCounter,
    pub waiting: IntGauge,
    pub up: IntGauge,
}

impl Meters {
    pub fn new(registry: &Registry) -> prometheus::Result<Meters> {
        let meters = Meters {
            written: IntCounter::new(
                "overspill_store_written_total",
                "Records that the store has taken",
            )?,
            dropped: IntCounter::new(
                "overspill_store_dropped_total",
                "Records that were lost, because the store could not take them in time",
            )?,
            waiting: IntGauge::new("overspill_store_queue", "Records that wait to be written")?,
            up: IntGauge::new(
                "overspill_store_up",
                "1 while the store can be written, 0 while it cannot",
            )?,
        };
        registry.register(Box::new(meters.written.clone()))?;
        registry.register(Box::new(meters.dropped.clone()))?;
        registry.register(Box::new(meters.waiting.clone()))?;
        registry.register(Box::new(meters.up.clone()))?;
        Ok(meters)
    }
}
