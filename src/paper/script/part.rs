//! A part of the printed script: what people do, and how long it takes.

use super::{Script, minutes};
use crate::paper::html::Html;
use crate::plan::Deliver;

/// A step's tasks.
pub(super) struct Part {
    /// How long it takes, in minutes; 0 is less than one.
    pub minutes: usize,
    pub tasks: Vec<Html>,
    /// What is filled in below the tasks.
    pub more: Html,
}

impl Part {
    pub(super) fn new(minutes: usize, tasks: Vec<Html>) -> Self {
        Self {
            minutes,
            tasks,
            more: Html::default(),
        }
    }

    pub(super) fn and(mut self, more: Html) -> Self {
        self.more = more;
        self
    }
}

/// How long writing and typing back takes for all custodians, in minutes.
pub(super) fn handing_out(script: &Script) -> usize {
    let escrow = script.plan.escrow.as_ref();
    escrow.map_or(0, |escrow| match escrow.deliver {
        Deliver::Screen => escrow.custodians.len() * minutes::DEALING,
        Deliver::Files(_) => escrow.custodians.len() * minutes::FILE,
    })
}
