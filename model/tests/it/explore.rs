//! The protocol as the model checker wants to see it.

use lease_model::{Action, Rules, World};
use stateright::{Checker, HasDiscoveries, Model, Property};

/// Names of the properties that must always hold.
pub(crate) const ONCE: &str = "it never runs twice at once";
pub(crate) const ONE_COMPLETION: &str = "it is completed once at most";
pub(crate) const BY_ITS_HOLDER: &str = "only the claim that holds it completes it";
pub(crate) const STAYS_COMPLETED: &str = "a completed job is not touched any more";
/// Names of what must be possible, so that the model cannot be safe by doing nothing.
const COMPLETES: &str = "it is completed";
const SURVIVES: &str = "it is completed after its worker died";
const REFUSES: &str = "a zombie is refused";

/// More steps than this take too long; an exploration that is cut off there proves nothing.
const TOO_MANY: usize = 20_000_000;
/// A path that ends in a broken property is at most so long; a longer one would be hard to read.
const READABLE: usize = 30;

#[derive(Clone)]
pub(crate) struct Explored(Rules);

impl Model for Explored {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![self.0.begin()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        actions.extend(self.0.actions(world));
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        Some(self.0.step(world, action))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONCE, |model: &Self, world: &World| world.runs_once(&model.0)),
            Property::always(ONE_COMPLETION, |_, world: &World| world.completes_once()),
            Property::always(BY_ITS_HOLDER, |_, world: &World| world.completes_by_its_holder()),
            Property::always(STAYS_COMPLETED, |_, world: &World| world.stays_completed()),
            Property::sometimes(COMPLETES, |_, world: &World| world.is_done()),
            Property::sometimes(SURVIVES, |_, world: &World| world.survives_a_crash()),
            Property::sometimes(REFUSES, |_, world: &World| world.refuses_a_zombie()),
        ]
    }
}

/// Explores everything: nothing bad may be reachable, and at least `states` must be, so that the model cannot become
/// safe by standing still.
#[track_caller]
pub(crate) fn check_safe(rules: Rules, states: usize) {
    let crashes = rules.faults.crashes > 0;
    let zombies = rules.faults.pauses + rules.faults.failovers > 0;
    let builder = Explored(rules).checker().symmetry_fn(World::in_order);
    let checker = builder.target_state_count(TOO_MANY).spawn_dfs().join();
    println!("{} states, {} different", checker.state_count(), checker.unique_state_count());
    for name in [ONCE, ONE_COMPLETION, BY_ITS_HOLDER, STAYS_COMPLETED] {
        checker.assert_no_discovery(name);
    }
    assert!(checker.discovery(COMPLETES).is_some(), "the job cannot be completed");
    assert_eq!(checker.discovery(SURVIVES).is_some(), crashes, "recovery from a crash");
    assert!(checker.discovery(REFUSES).is_some() || !zombies, "no zombie was ever refused");
    assert!(checker.state_count() < TOO_MANY, "not everything was explored; choose smaller bounds");
    let found = checker.unique_state_count();
    assert!(found >= states, "only {found} states are left of {states}: the model has lost something");
}

/// Explores until `broken` is: it must be, within a readable number of steps.
#[track_caller]
pub(crate) fn check_broken(rules: Rules, broken: &'static str) {
    let enough = HasDiscoveries::AllOf([broken].into());
    let checker = Explored(rules).checker().finish_when(enough).spawn_bfs().join();
    let Some(path) = checker.discovery(broken) else {
        panic!("no counterexample to \"{broken}\" in {} states", checker.unique_state_count());
    };
    let steps = path.into_actions();
    println!("\"{broken}\" is broken after {} steps: {steps:?}", steps.len());
    assert!(steps.len() <= READABLE, "{} steps: {steps:?}", steps.len());
}
