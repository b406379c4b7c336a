//! What you add to a run: clients of your own, and what must hold by your own judgement.

use core::fmt;

use crate::{
    action::Action,
    chance::{Chance, Draws, Purpose},
    clock::Moment,
    cluster::Fact,
    oracles::View,
    plan::Plan,
    violation::{Promise, Violation},
};

/// What your clients do.
///
/// ```
/// use core::time::Duration;
/// use heirloom_core::Durability;
/// use heirloom_sim::{Action, Ask, Choice, Draws, HostId, Moment, Plan, Workload, clients::key, run};
///
/// /// Everybody puts something into a basket, every half second, and has it kept by all.
/// struct Baskets;
///
/// impl Workload for Baskets {
///     fn requests(&self, draws: &mut Draws, hosts: u16, from: Moment, until: Moment) -> Vec<(Moment, Action)> {
///         let mut requests = Vec::new();
///         let mut at = from;
///         while at < until {
///             let host = HostId(u16::try_from(draws.below(u64::from(hosts))).unwrap());
///             requests.push((at, Action::Commit(host, Ask::set(key(draws.below(10)), 0, Durability::All))));
///             at = at + Duration::from_millis(500);
///         }
///         requests
///     }
/// }
///
/// let plan = Plan::draw(1, Choice::Any).with_clients(&Baskets);
/// run(&plan).expect("every promise is kept");
/// ```
pub trait Workload {
    /// The requests between two moments, in any order, to so many hosts. What is drawn comes from the seed: so the same seed
    /// gives the same requests.
    fn requests(&self, draws: &mut Draws, hosts: u16, from: Moment, until: Moment) -> Vec<(Moment, Action)>;
}

impl Plan {
    /// The same settings, network and faults, with these clients instead of those that the seed has drawn.
    #[must_use]
    pub fn with_clients(mut self, clients: &dyn Workload) -> Self {
        let mut draws = Chance::new(self.setup.seed).draws(Purpose::Clients, 0, 0, 20);
        let from = self.setup.clients_from();
        self.actions.retain(|(_, action)| !action.is_of_a_client());
        self.actions.extend(clients.requests(&mut draws, self.setup.hosts, from, self.healed_at));
        self.actions.sort_by_key(|(at, _)| *at);
        self
    }
}

/// Something that must hold by your own judgement, besides all promises.
///
/// Each method answers with the story of what does not hold. None does anything unless it is written.
///
/// ```
/// use heirloom_core::Event;
/// use heirloom_sim::{Choice, Fact, Invariant, Plan, Promise, Trial, View, What};
///
/// /// No member ever takes another for dead.
/// struct NobodyDies;
///
/// impl Invariant for NobodyDies {
///     fn name(&self) -> &str {
///         "nobody dies"
///     }
///
///     fn handle_fact(&mut self, _: View<'_>, fact: &Fact) -> Result<(), String> {
///         match &fact.what {
///             What::Event(Event::MemberRemoved(member, cause)) => Err(format!("{member}: {cause:?}")),
///             _ => Ok(()),
///         }
///     }
/// }
///
/// let found = (0..20).find_map(|seed| {
///     Trial::judged(&Plan::draw(seed, Choice::Any), vec![Box::new(NobodyDies)]).result.err()
/// });
/// assert_eq!(found.map(|violation| violation.promise), Some(Promise::Own));
/// ```
pub trait Invariant {
    /// What it is called where it is told that it does not hold.
    fn name(&self) -> &str;

    /// As what it is told that it does not hold.
    fn promise(&self) -> Promise {
        Promise::Own
    }

    /// Judges something that a member has just told its application.
    ///
    /// # Errors
    ///
    /// What does not hold.
    fn handle_fact(&mut self, view: View<'_>, fact: &Fact) -> Result<(), String> {
        let _ = (view, fact);
        Ok(())
    }

    /// Judges the state of the cluster, once in a second of virtual time.
    ///
    /// # Errors
    ///
    /// What does not hold.
    fn check(&mut self, view: View<'_>) -> Result<(), String> {
        let _ = view;
        Ok(())
    }

    /// The next moment at which it wants to `check` besides; asked again after each check.
    fn looks_at(&self) -> Option<Moment> {
        None
    }

    /// Judges a cluster in which all faults are over and all members are equal.
    ///
    /// # Errors
    ///
    /// What does not hold.
    fn check_quiet(&self, view: View<'_>) -> Result<(), String> {
        let _ = view;
        Ok(())
    }

    /// Judges a run that is over: every session has expired, and every member has forgotten it.
    ///
    /// # Errors
    ///
    /// What does not hold.
    fn check_over(&mut self, view: View<'_>) -> Result<(), String> {
        let _ = view;
        Ok(())
    }
}

/// All that a user judges by.
#[derive(Default)]
pub(crate) struct Own(pub(crate) Vec<Box<dyn Invariant>>);

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|own| own.name())).finish()
    }
}

impl Own {
    pub(crate) fn handle_fact(&mut self, view: View<'_>, fact: &Fact) -> Result<(), Violation> {
        self.0.iter_mut().try_for_each(|own| {
            let judged = own.handle_fact(view, fact);
            judged.map_err(|story| violation(view, own.as_ref(), &story))
        })
    }

    pub(crate) fn check(&mut self, view: View<'_>) -> Result<(), Violation> {
        self.0.iter_mut().try_for_each(|own| {
            let judged = own.check(view);
            judged.map_err(|story| violation(view, own.as_ref(), &story))
        })
    }

    /// When one of them wants to look next.
    pub(crate) fn looks_at(&self) -> Option<Moment> {
        self.0.iter().filter_map(|own| own.looks_at()).min()
    }

    /// Lets those look that want to by now.
    pub(crate) fn look(&mut self, view: View<'_>) -> Result<(), Violation> {
        let due = |own: &dyn Invariant| own.looks_at().is_some_and(|at| at <= view.now());
        self.0.iter_mut().filter(|own| due(own.as_ref())).try_for_each(|own| {
            let judged = own.check(view);
            judged.map_err(|story| violation(view, own.as_ref(), &story))
        })
    }

    pub(crate) fn check_over(&mut self, view: View<'_>) -> Result<(), Violation> {
        self.0.iter_mut().try_for_each(|own| {
            let judged = own.check_over(view);
            judged.map_err(|story| violation(view, own.as_ref(), &story))
        })
    }

    pub(crate) fn check_quiet(&self, view: View<'_>) -> Result<(), Violation> {
        self.0.iter().try_for_each(|own| own.check_quiet(view).map_err(|story| violation(view, own.as_ref(), &story)))
    }
}

fn violation(view: View<'_>, own: &dyn Invariant, story: &str) -> Violation {
    Violation { promise: own.promise(), at: view.now(), story: format!("{}: {story}", own.name()) }
}
