//! What may happen next, and what it changes.

use crate::{
    Anchor, BEAT_LATE, Completion, Fence, Grant, INCARNATIONS, LEASE, Owner, Renewal, Row, Rules, Status,
    Worker, World,
};

/// One step. The number is a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The database gives the job to a worker.
    Claim(usize),
    /// The worker learns of it and starts its handler.
    ClaimArrives(usize),
    /// It never learns of it.
    ClaimLost(usize),
    /// A renewal leaves, and reaches the database.
    RenewSent(usize),
    /// Its answer reaches the worker.
    RenewAnswered(usize),
    /// The handler has ended.
    CompletionSent(usize),
    /// That reaches the database.
    CompletionArrives(usize),
    /// The worker has come to its deadline and stops.
    SelfFence(usize),
    /// A worker between two lives registers.
    Register(usize),
    /// Frozen.
    Pause(usize),
    /// Thawed.
    Resume(usize),
    /// Killed.
    Crash(usize),
    /// The supervisor reports that it saw the worker end.
    Proof(usize),
    /// Cut off.
    Cut(usize),
    /// Connected again.
    Mend(usize),
    /// Time passes for everybody.
    Tick,
    /// Time passes for everybody but this worker's clock.
    TickUnnoticedBy(usize),
    /// The watchdog finds the job in trouble.
    RescueRead,
    /// The watchdog takes it.
    RescueWrite,
    /// The watchdog takes the job of a worker whose connection is gone.
    PresenceRescue,
    /// Another database takes over, which knows nothing of the running claim.
    Failover,
}

impl Rules {
    /// Everything that may happen next; nothing, once the job is completed and nobody has a word to say about it.
    pub fn actions(&self, world: &World) -> Vec<Action> {
        use Action as A;
        if world.is_over() {
            return Vec::new();
        }
        let mut next = Vec::with_capacity(16);
        for (w, worker) in world.workers.iter().enumerate() {
            let mut may = |when: bool, action: fn(usize) -> Action| {
                if when {
                    next.push(action(w));
                }
            };
            let up = worker.alive && !worker.paused;
            let online = up && worker.connected;
            // At its deadline a worker may stop and nothing else.
            let acts = up && worker.deadline.is_some_and(|left| left > 0 || !self.self_fence);
            let idle = worker.handler.is_none() && worker.claim.is_none();
            let may_claim = world.job.status == Status::Queued
                && world.job.claims < self.claims
                && world.barrier == 0
                && worker.lease_left().is_some_and(|left| left > 0);
            may(acts && online && idle && may_claim, A::Claim);
            may(acts && online && worker.claim.is_some(), A::ClaimArrives);
            may(worker.claim.is_some(), A::ClaimLost);
            // A renewal in the instant of the last one gains nothing. One that is sent gives up on the one before.
            let older = worker.deadline.is_some_and(|left| left < LEASE - self.margin)
                || worker.lease_left().is_none()
                || self.anchor == Anchor::Answered;
            may(acts && online && older, A::RenewSent);
            may(online && worker.renewal.is_some(), A::RenewAnswered);
            may(acts && worker.handler.is_some() && worker.completion.is_none(), A::CompletionSent);
            may(worker.connected && worker.completion.is_some(), A::CompletionArrives);
            may(up && self.self_fence && worker.deadline == Some(0), A::SelfFence);
            let lives_left = usize::from(worker.incarnation) + 1 < INCARNATIONS;
            may(online && worker.deadline.is_none() && lives_left, A::Register);
            may(up && world.left.pauses > 0, A::Pause);
            may(worker.alive && worker.paused, A::Resume);
            may(worker.alive && world.left.crashes > 0, A::Crash);
            let holds = world.job.owner.is_some_and(|owner| usize::from(owner.worker) == w);
            may(!worker.alive && holds, A::Proof);
            may(worker.alive && worker.connected && world.left.cuts > 0, A::Cut);
            may(worker.alive && !worker.connected, A::Mend);
        }
        if self.time_may_pass(world) {
            next.push(A::Tick);
            if world.left.slow_ticks > 0 {
                next.extend((0..self.workers).map(A::TickUnnoticedBy));
            }
        }
        if world.plan.is_none() && world.in_trouble() {
            next.push(A::RescueRead);
        }
        if world.plan.is_some() {
            next.push(A::RescueWrite);
        }
        if self.presence_takes_after.is_some_and(|after| world.silent_holder(after)) {
            next.push(A::PresenceRescue);
        }
        if world.left.failovers > 0 && world.job.status == Status::Running {
            next.push(A::Failover);
        }
        next
    }

    /// A worker that must stop does so before any time passes.
    fn time_may_pass(&self, world: &World) -> bool {
        let must_stop = |worker: &Worker| worker.alive && !worker.paused && worker.deadline == Some(0);
        !self.self_fence || !world.workers.iter().any(must_stop)
    }

    /// The world after an action that [`Rules::actions`] offered.
    pub fn step(&self, world: &World, action: Action) -> World {
        let mut world = world.clone();
        match action {
            Action::Claim(w) => world.claim(w),
            Action::ClaimArrives(w) => {
                let worker = &mut world.workers[w];
                if let Some((grant, age)) = worker.claim.take()
                    && (age <= LEASE || !self.stale_claims_are_dropped)
                {
                    worker.handler = Some(grant);
                    world.job.held = 0;
                }
            }
            Action::ClaimLost(w) => world.workers[w].claim = None,
            Action::RenewSent(w) => world.workers[w].renew(),
            Action::RenewAnswered(w) => self.answered(&mut world.workers[w]),
            Action::CompletionSent(w) => {
                let worker = &mut world.workers[w];
                let incarnation = worker.incarnation;
                worker.completion = worker.handler.take().map(|grant| Completion { incarnation, grant });
            }
            Action::CompletionArrives(w) => self.complete(&mut world, w),
            Action::SelfFence(w) => world.workers[w].stop(),
            Action::Register(w) => {
                let worker = &mut world.workers[w];
                worker.incarnation += 1;
                worker.rows[usize::from(worker.incarnation)] = Row::Live { left: LEASE, silent: None };
                worker.deadline = Some(LEASE - self.margin);
            }
            Action::Pause(w) => {
                world.left.pauses -= 1;
                world.workers[w].paused = true;
            }
            Action::Resume(w) => world.workers[w].paused = false,
            Action::Crash(w) => {
                world.left.crashes -= 1;
                let worker = &mut world.workers[w];
                worker.stop();
                worker.alive = false;
                worker.paused = false;
                worker.fall_silent();
            }
            Action::Proof(_) => world.take(),
            Action::Cut(w) => {
                world.left.cuts -= 1;
                world.workers[w].connected = false;
                world.workers[w].fall_silent();
            }
            Action::Mend(w) => world.workers[w].connected = true,
            Action::Tick => self.tick(&mut world, None),
            Action::TickUnnoticedBy(w) => {
                world.left.slow_ticks -= 1;
                self.tick(&mut world, Some(w));
            }
            Action::RescueRead => world.plan = Some(world.job.fence),
            Action::RescueWrite => {
                let seen = world.plan.take();
                let as_seen = seen == Some(world.job.fence) && world.job.status == Status::Running;
                if as_seen || !self.rescue_is_conditional {
                    world.take();
                }
            }
            Action::PresenceRescue => world.take(),
            Action::Failover => self.fail_over(&mut world),
        }
        self.forget(&mut world);
        world
    }

    /// Forgets what can make no difference any more, so that worlds that differ only in it are one.
    fn forget(&self, world: &mut World) {
        let owner = world.job.owner;
        for w in 0..world.workers.len() {
            let stakes = world.has_stakes(w);
            let worker = &mut world.workers[w];
            // Who has nothing to do with the job may renew as it likes, and does so in the instant in which it claims.
            let renews = worker.alive && worker.deadline.is_some_and(|left| left > 0);
            if !stakes && renews && worker.lease_left().is_some_and(|left| left > 0) {
                worker.rows[usize::from(worker.incarnation)] = Row::Live { left: LEASE, silent: None };
                worker.deadline = Some(LEASE - self.margin);
                worker.renewal = None;
            }
            for (incarnation, row) in worker.rows.iter_mut().enumerate() {
                let owns = owner == Some(Owner { worker: w as u8, incarnation: incarnation as u8 });
                let past = incarnation < usize::from(worker.incarnation) || !worker.alive;
                if past && !owns && *row != Row::Absent {
                    *row = Row::Ended;
                }
                if let Row::Live { silent, .. } = row
                    && self.presence_takes_after.is_none()
                {
                    *silent = None;
                }
            }
            // An answer to an ended life is not heard.
            let incarnation = worker.incarnation;
            let ended = worker.deadline.is_none();
            if ended || worker.renewal.is_some_and(|renewal| renewal.incarnation != incarnation) {
                worker.renewal = None;
            }
            if !worker.alive {
                worker.connected = true;
            }
        }
    }

    fn answered(&self, worker: &mut Worker) {
        let Some(renewal) = worker.renewal.take() else { return };
        if renewal.incarnation != worker.incarnation || worker.deadline.is_none() {
            return;
        }
        let age = match self.anchor {
            Anchor::Sent => renewal.age,
            Anchor::Answered => 0,
        };
        let left = (LEASE - self.margin).saturating_sub(age);
        // An answer cannot call back what was promised; past its deadline a worker is past it.
        worker.deadline =
            worker.deadline.map(|now| if now == 0 && self.self_fence { 0 } else { now.max(left) });
    }

    fn complete(&self, world: &mut World, w: usize) {
        let Some(Completion { incarnation, grant }) = world.workers[w].completion.take() else { return };
        let sender = Owner { worker: w as u8, incarnation };
        let job = &mut world.job;
        let running = job.status == Status::Running;
        let accepted = match self.fence {
            Fence::OwnerAndNumber => running && job.fence == grant.fence && job.owner == Some(sender),
            Fence::NumberOnly => running && job.fence == grant.fence,
            Fence::Nothing => true,
        };
        if !accepted {
            world.seen.refused = true;
            return;
        }
        world.seen.accepted = (world.seen.accepted + 1).min(2);
        world.seen.wrong |= running && job.claims != grant.claim;
        job.status = Status::Done;
        job.owner = None;
        job.held = 0;
    }

    /// The new database has lost the claim, and with it the owner; it takes nobody of before for alive.
    fn fail_over(&self, world: &mut World) {
        world.left.failovers -= 1;
        world.job.status = Status::Queued;
        world.job.fence -= 1;
        world.job.owner = None;
        world.job.held = 0;
        world.plan = None;
        for worker in &mut world.workers {
            worker.end_rows();
        }
        world.barrier = if self.barrier { LEASE } else { 0 };
    }

    fn tick(&self, world: &mut World, sleeps: Option<usize>) {
        world.barrier = world.barrier.saturating_sub(1);
        if world.unknown_to_its_holder() {
            world.job.held = (world.job.held + 1).min(BEAT_LATE);
        }
        for (w, worker) in world.workers.iter_mut().enumerate() {
            for row in &mut worker.rows {
                if let Row::Live { left, silent } = row {
                    *left = left.saturating_sub(1);
                    *silent = silent.map(|ticks| (ticks + 1).min(LEASE));
                }
            }
            let notices = sleeps != Some(w) && (self.clock_counts_pauses || !worker.paused);
            if notices {
                worker.deadline = worker.deadline.map(|left| left.saturating_sub(1));
                if let Some(renewal) = &mut worker.renewal {
                    renewal.age = (renewal.age + 1).min(LEASE);
                }
                if let Some((_, age)) = &mut worker.claim {
                    *age = (*age + 1).min(LEASE + 1);
                }
            }
        }
    }
}

impl World {
    fn is_over(&self) -> bool {
        let quiet = (0..self.workers.len()).all(|w| !self.has_stakes(w));
        self.job.status == Status::Done && quiet && self.plan.is_none()
    }

    /// Whether a worker has anything to do with the job.
    fn has_stakes(&self, w: usize) -> bool {
        let worker = &self.workers[w];
        let owns = self.job.owner.is_some_and(|owner| usize::from(owner.worker) == w);
        owns || worker.claim.is_some() || worker.handler.is_some() || worker.completion.is_some()
    }

    fn claim(&mut self, w: usize) {
        let worker = &mut self.workers[w];
        self.job.status = Status::Running;
        self.job.fence += 1;
        self.job.claims += 1;
        self.job.held = 0;
        self.job.owner = Some(Owner { worker: w as u8, incarnation: worker.incarnation });
        worker.claim = Some((Grant { fence: self.job.fence, claim: self.job.claims }, 0));
    }

    /// Whether the watchdog finds fault with the running job: its owner's lease has run out, the owner has ended, or it
    /// has not beaten for the job.
    fn in_trouble(&self) -> bool {
        if self.job.status != Status::Running {
            return false;
        }
        match self.owner_row() {
            Some(Row::Live { left, .. }) => left == 0 || self.job.held >= BEAT_LATE,
            Some(Row::Ended | Row::Absent) | None => true,
        }
    }

    fn owner_row(&self) -> Option<Row> {
        let owner = self.job.owner?;
        Some(self.workers[usize::from(owner.worker)].rows[usize::from(owner.incarnation)])
    }

    /// Whether the job runs in the database while the incarnation that has it, alive there, runs no handler for it.
    fn unknown_to_its_holder(&self) -> bool {
        let Some(owner) = self.job.owner.filter(|_| self.job.status == Status::Running) else { return false };
        let worker = &self.workers[usize::from(owner.worker)];
        let handled = worker.incarnation == owner.incarnation
            && (worker.handler.is_some_and(|grant| grant.claim == self.job.claims)
                || worker.completion.is_some_and(|sent| sent.grant.claim == self.job.claims));
        !handled
    }

    /// Whether the running job's worker has been without its connection for so long.
    fn silent_holder(&self, after: u8) -> bool {
        match self.owner_row() {
            Some(Row::Live { silent: Some(ticks), .. }) if self.job.status == Status::Running => {
                ticks >= after
            }
            _ => false,
        }
    }

    /// Takes the job from whoever has it and offers it again.
    fn take(&mut self) {
        self.seen.overwritten |= self.job.status == Status::Done;
        self.seen.rescued = true;
        self.job.status = Status::Queued;
        self.job.fence += 1;
        self.job.held = 0;
        if let Some(owner) = self.job.owner.take() {
            let row = &mut self.workers[usize::from(owner.worker)].rows[usize::from(owner.incarnation)];
            // Only one who is silent or proven dead is given up; a job without a heartbeat is no reason.
            if let Row::Live { left: 0, .. } = row {
                *row = Row::Ended;
            }
        }
    }
}

impl World {
    /// The same world with its workers in order: which of them is called first makes no difference.
    pub fn in_order(&self) -> Self {
        let mut order: Vec<usize> = (0..self.workers.len()).collect();
        order.sort_by_key(|&w| (self.workers[w], self.job.owner.is_some_and(|o| usize::from(o.worker) == w)));
        let mut world = self.clone();
        world.workers = order.iter().map(|&w| self.workers[w]).collect();
        if let Some(owner) = &mut world.job.owner
            && let Some(now) = order.iter().position(|&w| w == usize::from(owner.worker))
        {
            owner.worker = now as u8;
        }
        world
    }
}

impl Worker {
    /// Ticks left of the lease of the present incarnation.
    fn lease_left(&self) -> Option<u8> {
        match self.rows[usize::from(self.incarnation)] {
            Row::Live { left, .. } => Some(left),
            Row::Absent | Row::Ended => None,
        }
    }

    /// A renewal counts only while the lease has not run out; who is refused stops.
    fn renew(&mut self) {
        let incarnation = self.incarnation;
        let row = &mut self.rows[usize::from(incarnation)];
        if matches!(row, Row::Live { left, .. } if *left > 0) {
            *row = Row::Live { left: LEASE, silent: None };
            self.renewal = Some(Renewal { incarnation, age: 0 });
        } else {
            self.stop();
        }
    }

    /// Ends the handler and this life. What is on its way goes on.
    fn stop(&mut self) {
        self.handler = None;
        self.claim = None;
        self.deadline = None;
    }

    fn fall_silent(&mut self) {
        for row in &mut self.rows {
            if let Row::Live { silent, .. } = row {
                *silent = Some(0);
            }
        }
    }

    fn end_rows(&mut self) {
        for row in &mut self.rows {
            if let Row::Live { .. } = row {
                *row = Row::Ended;
            }
        }
    }
}
