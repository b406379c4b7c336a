//! Where hosts stand, and who of them is told of whom.

use heirloom_core::Config;

use crate::net::HostId;

/// Who is told of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Discovery {
    /// Everybody is in the group.
    Group,
    /// Everybody is given the addresses of all, and there is no group.
    Peers,
    /// Both.
    Both,
    /// Everybody is given the address of `n0`, and there is no group.
    Seed,
}

impl Discovery {
    /// Whether there is a group that signs of life are sent to.
    pub(crate) fn has_group(self) -> bool {
        match self {
            Self::Group | Self::Both => true,
            Self::Peers | Self::Seed => false,
        }
    }

    /// Whether everybody is given the address of a host.
    pub(crate) fn is_told_of(self, other: HostId) -> bool {
        match self {
            Self::Group => false,
            Self::Peers | Self::Both => true,
            Self::Seed => other == HostId(0),
        }
    }
}

/// Where hosts stand, and how much each holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Places {
    /// Nothing is known of it.
    #[default]
    Alike,
    /// Two on a machine each, of different weights.
    Machines,
    /// Two machines, each a zone, hold them all.
    Zones,
    /// Every second one is of another domain.
    Domains,
}

impl Places {
    /// The settings of one host.
    pub(crate) fn settle(self, config: Config, host: HostId) -> Config {
        match self {
            Self::Alike => config,
            Self::Machines => {
                let weight = [100, 20, 300][host.index() % 3];
                Config { host: format!("machine {}", host.index() / 2), weight, ..config }
            }
            Self::Zones => Config { zone: format!("zone {}", host.index() % 2), ..config },
            Self::Domains => Config { domain: format!("domain {}", self.domain(host)), ..config },
        }
    }

    /// How many domains there are.
    pub(crate) const fn domains(self) -> usize {
        match self {
            Self::Alike | Self::Machines | Self::Zones => 1,
            Self::Domains => 2,
        }
    }

    /// The domain of a host.
    pub(crate) fn domain(self, host: HostId) -> usize {
        host.index() % self.domains()
    }
}
