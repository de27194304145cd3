//! stub
use std::sync::Arc;
use std::time::Duration;
#[derive(Debug)]
pub struct Metrics(Vec<Arc<WorkerMetrics>>);
#[derive(Debug, Default)]
pub struct WorkerMetrics;
#[derive(Debug)]
pub struct SiteCounters;
impl SiteCounters {
    pub fn new(_: usize) -> Self {
        Self
    }
    pub fn count(&self, _: usize, _: u16, _: u64) {}
}
impl Metrics {
    pub fn new(n: usize) -> Self {
        Self((0..n).map(|_| Arc::default()).collect())
    }
    pub fn worker(&self, i: usize) -> Arc<WorkerMetrics> {
        self.0[i].clone()
    }
    pub fn render<'a>(
        &self,
        _: impl Iterator<Item = (&'a str, &'a SiteCounters)>,
        _: u64,
    ) -> String {
        String::new()
    }
}
impl WorkerMetrics {
    pub fn connection_opened(&self) {}
    pub fn connection_closed(&self) {}
    pub fn connection_refused(&self) {}
    pub fn latency(&self, _: Duration) {}
    pub fn segments(&self, _: u64, _: u64) {}
    pub fn held(&self, _: Duration) {}
    pub fn cache(&self, _: u64, _: u64) {}
    pub fn cache_miss(&self) {}
    pub fn waited_for_disk(&self) {}
}
