//! What happens to the view of the first node while it is measured.

use core::time::Duration;
use std::collections::BTreeMap;

/// A change of the view, and when it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) at: Duration,
    pub(super) what: String,
}

/// The other members by name, each with its state.
pub(super) type View = BTreeMap<String, String>;

/// Tells what is new in a view.
pub(super) fn changes<'a>(before: &'a View, after: &'a View) -> impl Iterator<Item = String> + 'a {
    let gone = before.keys().filter(|name| !after.contains_key(*name)).map(|name| format!("{name} is gone"));
    let other = after.iter().filter(|(name, state)| before.get(*name) != Some(state));
    gone.chain(other.map(|(name, state)| format!("{name} is {state}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_in_a_view_is_told() {
        let view = |members: &[(&str, &str)]| -> View {
            members.iter().map(|(name, state)| ((*name).into(), (*state).into())).collect()
        };
        let before = view(&[("b", "ready"), ("c", "ready")]);
        let after = view(&[("c", "suspect"), ("d", "joining")]);
        let told: Vec<_> = changes(&before, &after).collect();
        assert_eq!(told, ["b is gone", "c is suspect", "d is joining"]);
        assert_eq!(changes(&after, &after).count(), 0);
    }
}
