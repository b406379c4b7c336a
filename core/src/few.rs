//! A list that mostly has one item.
//!
//! Of most sessions there is one birth, and so one of what there is for each birth. That one stands in the session itself and
//! takes no block of the allocator.

use alloc::{vec, vec::Vec};
use core::{
    mem,
    ops::{Deref, DerefMut},
    slice,
};

#[derive(Clone, Debug)]
pub(crate) enum Few<T> {
    One(T),
    /// None, or several.
    Others(Vec<T>),
}

impl<T> Few<T> {
    pub(crate) fn insert(&mut self, at: usize, item: T) {
        match mem::take(self) {
            Self::One(one) => *self = Self::Others(if at == 0 { vec![item, one] } else { vec![one, item] }),
            Self::Others(others) if others.is_empty() => *self = Self::One(item),
            Self::Others(mut others) => {
                others.reserve_exact(1);
                others.insert(at, item);
                *self = Self::Others(others);
            }
        }
    }

    /// Takes out what is none of these.
    pub(crate) fn retain(&mut self, keeps: impl Fn(&T) -> bool) {
        self.take_out(|item| !keeps(item));
    }

    /// Takes these out.
    pub(crate) fn take_out(&mut self, goes: impl Fn(&T) -> bool) -> Vec<T> {
        if !self.iter().any(&goes) {
            return Vec::new();
        }
        let (out, kept) = mem::take(self).into_vec().into_iter().partition(goes);
        *self = Self::from(kept);
        out
    }

    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Others(others) => others,
        }
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(mut items: Vec<T>) -> Self {
        match (items.pop(), items.is_empty()) {
            (Some(one), true) => Self::One(one),
            (last, _) => {
                items.extend(last);
                Self::Others(items)
            }
        }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::Others(Vec::new())
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::One(one) => slice::from_ref(one),
            Self::Others(others) => others,
        }
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::One(one) => slice::from_mut(one),
            Self::Others(others) => others,
        }
    }
}

impl<'a, T> IntoIterator for &'a Few<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> slice::Iter<'a, T> {
        self.iter()
    }
}

impl<T: PartialEq> PartialEq for Few<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_vector_would(steps in prop::collection::vec((0..4_u8, any::<u8>()), 0..30)) {
            let (mut few, mut vector) = (Few::default(), Vec::new());
            for (step, item) in steps {
                match step {
                    0 => {
                        few.retain(|kept| *kept < item);
                        vector.retain(|kept| *kept < item);
                    }
                    1 => {
                        let out: Vec<_> = vector.extract_if(.., |gone| *gone < item).collect();
                        prop_assert_eq!(few.take_out(|gone| *gone < item), out);
                    }
                    _ => {
                        let at = usize::from(item) % (vector.len() + 1);
                        few.insert(at, item);
                        vector.insert(at, item);
                    }
                }
                prop_assert_eq!(&few[..], &vector[..]);
                prop_assert_eq!(few.len() == 1, matches!(few, Few::One(_)));
            }
        }
    }
}
