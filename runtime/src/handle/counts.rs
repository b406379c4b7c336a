//! What a node tells of its traffic.

use std::time::Duration;

use heirloom_core::{AttributeTraffic, MemberId, Node};

use super::Handle;

impl Handle {
    /// How far another member of the view lags behind, as [`Node::lag`] has it; `None` if it is not in the view, or the driver
    /// has stopped.
    pub fn lag(&self, member: MemberId) -> Option<Duration> {
        self.shared().look(|node| node.lag(self.now(), member)).flatten()
    }

    /// The attributes that take the most room on the wire, as [`Node::attribute_traffic`] has it; none after the driver has
    /// stopped.
    pub fn attribute_traffic(&self) -> Vec<AttributeTraffic> {
        self.shared().look(Node::attribute_traffic).unwrap_or_default()
    }
}
