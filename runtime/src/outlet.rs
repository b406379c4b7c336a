//! What the node has to tell, on its way to those who wait for it: its events, and the messages of other applications.

use core::task::Waker;
use std::collections::VecDeque;

use heirloom_core::Event;

/// What was taken from the node and not read yet, and who waits for more.
///
/// As long as nobody waits it stays in the node, which bounds it and knows what may become one.
#[derive(Debug)]
pub(crate) struct Outlet<T> {
    kept: VecDeque<T>,
    readers: Vec<Waker>,
}

impl<T> Default for Outlet<T> {
    fn default() -> Self {
        Self { kept: VecDeque::new(), readers: Vec::new() }
    }
}

impl<T> Outlet<T> {
    /// The next one, if need be of the node; else the waker is woken when there is one.
    pub(crate) fn poll(&mut self, waker: Option<&Waker>, next: impl FnOnce() -> Option<T>) -> Option<T> {
        let next = self.kept.pop_front().or_else(next);
        if next.is_none()
            && let Some(waker) = waker.filter(|&new| self.readers.iter().all(|old| !old.will_wake(new)))
        {
            self.readers.push(waker.clone());
        }
        next
    }

    /// Takes one of the node if somebody waits and there is none; who waits for what is there is to be woken.
    pub(crate) fn offer(&mut self, woken: &mut Vec<Waker>, next: impl FnOnce() -> Option<T>) {
        if !self.readers.is_empty() && self.kept.is_empty() {
            self.kept.extend(next());
        }
        if !self.kept.is_empty() {
            woken.append(&mut self.readers);
        }
    }

    /// Keeps what is left in a node that ends; the node has bounded it.
    pub(crate) fn keep_all(&mut self, rest: impl Iterator<Item = T>) {
        self.kept.extend(rest);
    }

    /// Nothing more comes: whoever waits is to be told so.
    pub(crate) fn take_readers(&mut self, woken: &mut Vec<Waker>) {
        woken.append(&mut self.readers);
    }
}

impl Outlet<Event> {
    /// Keeps an event of a node that leaves. A reader that falls behind meanwhile loses events as it would in the node. The
    /// last one, which says that the node has left, always stays.
    pub(crate) fn keep(&mut self, event: Event, events_max: usize) {
        if events_max <= self.kept.len() {
            self.kept.pop_back();
            if self.kept.back() != Some(&Event::Lagged) {
                self.kept.pop_back();
                self.kept.push_back(Event::Lagged);
            }
        }
        self.kept.push_back(event);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_from_the_node_before_somebody_waits() {
        let mut outlet = Outlet::default();
        let mut woken = Vec::new();
        outlet.offer(&mut woken, || Some(1));
        assert_eq!(outlet.poll(Some(Waker::noop()), || None), None);
        assert_eq!(outlet.poll(Some(Waker::noop()), || None), None);
        outlet.offer(&mut woken, || Some(2));
        assert_eq!((woken.len(), outlet.poll(None, || Some(3))), (1, Some(2)));
        assert_eq!(outlet.poll(None, || Some(3)), Some(3));
        outlet.keep_all([4, 5].into_iter());
        assert_eq!(outlet.poll(None, || Some(6)), Some(4));
    }
}
