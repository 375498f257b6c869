//! Recording what the child asked for and was refused. (being written)
use super::view::Shown;
use crate::denial::Denial;
use std::os::fd::OwnedFd;
#[derive(Debug)]
pub(super) struct Observer {
    listener: Option<OwnedFd>,
    _shown: Shown,
}
impl Observer {
    pub(super) fn new(listener: OwnedFd, shown: Shown) -> Observer {
        Observer { listener: Some(listener), _shown: shown }
    }
    pub(super) fn listener(&self) -> Option<&OwnedFd> {
        self.listener.as_ref()
    }
    pub(super) fn answer(&mut self) {}
    pub(super) fn close(&mut self) {
        self.listener = None;
    }
    pub(super) fn denials(self) -> Vec<Denial> {
        Vec::new()
    }
}
