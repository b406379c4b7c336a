//! The scenarios that are known by name: stored plans, to run, to read and to change.

/// A name and a plan.
pub(crate) const ALL: [(&str, &str); 4] = [
    ("failover", include_str!("../../scenarios/failover.plan")),
    ("split", include_str!("../../scenarios/split.plan")),
    ("rolling", include_str!("../../scenarios/rolling.plan")),
    ("sleeper", include_str!("../../scenarios/sleeper.plan")),
];

pub(crate) fn named(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

pub(crate) fn names() -> String {
    ALL.map(|(name, _)| name).join(", ")
}
